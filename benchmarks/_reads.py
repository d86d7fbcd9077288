"""What the read is measured on: tasks of 50 items, the loops that time them, and the bare gets beside them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lmdb
import msgspec
from _report import percentile

import parbake as pb

ITEMS, KEYS, SKEWED_KEYS = 50, 200, 10_000
READS, WARM, BLOCKS = 20_000, 2_000, 10
ZIPF_EXPONENT = 1.0
tasks = pb.Registry()


class Item(msgspec.Struct):
    """One entry of a ranked list."""

    id: str
    score: float


def every_shelf() -> list[str]:
    """The keys that the batch lane computes."""
    return [f"s{n}" for n in range(SKEWED_KEYS)]


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("shelf/{shelf}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def titles(shelf: str) -> list[str]:
    """Fifty short strings."""
    return [f"{shelf} title {n:03d}" for n in range(ITEMS)]


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("shelf/{shelf}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def ranked(shelf: str) -> list[Item]:
    """Fifty structs of an id and a score."""
    return [Item(f"{shelf}-{n:04d}", 1 / (n + 1)) for n in range(ITEMS)]


@tasks.artifact(
    freshness_sla="24h",
    invalidated_by=[pb.fence("shelf/{shelf}")],
    fallback_if_stale=pb.Recompute(),
    owner="bench",
    keys=every_shelf,
)
def precomputed(shelf: str) -> list[str]:
    """The same fifty strings, computed ahead for ten thousand keys."""
    return titles.fn(shelf)


class Times:
    """Reads that were timed: microseconds, and reads per second of this process's CPU."""

    def __init__(self) -> None:
        """Start with none."""
        self.seconds: list[float] = []
        self.cpu_s = 0.0
        self.quiet_us = float("inf")

    def add(self, seconds: list[float], cpu_s: float) -> None:
        """Add a block; ``quiet_us`` is the least median of one: what the code takes when nobody else is about."""
        self.seconds += seconds
        self.cpu_s += cpu_s
        self.quiet_us = min(self.quiet_us, percentile(seconds, 50) * 1e6)

    @property
    def p50_us(self) -> float:
        """The median."""
        return percentile(self.seconds, 50) * 1e6

    @property
    def p99_us(self) -> float:
        """One in a hundred takes longer."""
        return percentile(self.seconds, 99) * 1e6

    @property
    def per_cpu_second(self) -> float:
        """Reads per second of one core, the clock around each read included."""
        return len(self.seconds) / self.cpu_s


Block = Callable[[Sequence[str]], Awaitable[list[float]]]


@dataclass(frozen=True)
class Reading:
    """One way to read, and the keys that it is read with."""

    block: Block
    keys: Sequence[str]


async def in_turn(readings: Mapping[str, Reading]) -> dict[str, Times]:
    """Time every way to read, block by block in turn, so that a slow moment of the machine meets all of them."""
    found = {name: Times() for name in readings}
    for reading in readings.values():
        await reading.block(reading.keys[:WARM])
    for start in range(0, READS, READS // BLOCKS):
        for name, reading in readings.items():
            keys = reading.keys[start : start + READS // BLOCKS]
            cpu = time.process_time()
            seconds = await reading.block(keys)
            found[name].add(seconds, time.process_time() - cpu)
    return found


def round_robin() -> list[str]:
    """Every key equally often."""
    return [f"s{n % KEYS}" for n in range(READS)]


def skewed() -> list[str]:
    """Keys drawn by Zipf's law: the first is read a thousand times as often as the thousandth."""
    weights = list(itertools.accumulate(1 / n**ZIPF_EXPONENT for n in range(1, SKEWED_KEYS + 1)))
    return random.Random(1).choices(every_shelf(), cum_weights=weights, k=READS)


def served(app: pb.App, task: Any) -> Block:
    """``await app.serve`` of each key."""

    async def block(keys: Sequence[str]) -> list[float]:
        times = []
        for key in keys:
            before = time.perf_counter()
            await app.serve(task, key)
            times.append(time.perf_counter() - before)
        return times

    return block


def bare(env: lmdb.Environment, value: object, read: Callable[[bytes], object]) -> Block:
    """A bare get of a value of the same size, each in a fresh transaction."""
    name = type(value).__name__.encode() + str(id(read)).encode()
    with env.begin(write=True) as txn:
        txn.put(name, msgspec.msgpack.encode(value))

    async def block(keys: Sequence[str]) -> list[float]:
        times = []
        for _ in keys:
            before = time.perf_counter()
            with env.begin() as txn:
                read(txn.get(name))
            times.append(time.perf_counter() - before)
        return times

    return block
