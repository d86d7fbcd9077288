"""Rounds of sides in turn: processes of all sides live at the same time, and are measured one right after another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _http_load import Client, closed_loop

from _against.sides import Side

LOAD_S = 0.4
Found = dict[str, dict[str, list[float]]]
"""Figures by side and name; those at the same place were measured right after another."""


class Running:
    """One side's process of one kind."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait for its first line."""
        self._process = process
        self._said = self._hear()

    def measure(self, figure: str) -> float:
        """One value of a figure."""
        if figure in MEASURES:
            return MEASURES[figure](self._process.pid, self._said)
        assert self._process.stdin is not None
        self._process.stdin.write(figure + "\n")
        self._process.stdin.flush()
        return float(self._hear()["value"])

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended before it was done")
        said: dict[str, Any] = json.loads(line)
        return said


@contextlib.contextmanager
def running(side: Side, kind: str) -> Iterator[Running]:
    """Run a kind of one side; it ends when its stdin is closed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(side.command(kind), env=side.environment(), stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Running(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


@dataclass(frozen=True)
class Part:
    """A kind of process, the figures of each block of it, and those that are taken at its end."""

    kind: str
    figures: Sequence[str]
    blocks: int
    last: Sequence[str] = ()


def play(part: Part, sides: Sequence[Side], found: Found, *, turn: int) -> None:
    """One round: fresh processes; blocks alternate between the sides, and the first of them warms up."""
    with contextlib.ExitStack() as stack:
        started = {side.name: stack.enter_context(running(side, part.kind)) for side in rotated(sides, turn)}
        for block in range(part.blocks + 1):
            for figure in part.figures:
                for side in rotated(sides, turn + block):
                    value = started[side.name].measure(figure)
                    if block:
                        found[side.name][figure].append(value)
        for figure in part.last:
            for side in sides:
                found[side.name][figure].append(started[side.name].measure(figure))


def rotated(sides: Sequence[Side], turn: int) -> list[Side]:
    """Another order each time, in which every side is as often before as after each other one."""
    at = turn // 2 % len(sides)
    turned = [*sides[at:], *sides[:at]]
    return turned[::-1] if turn % 2 else turned


def nothing_found() -> Found:
    """No figures yet."""
    return defaultdict(lambda: defaultdict(list))


def served(pid: int, said: dict[str, Any]) -> float:
    """Microseconds of the server's CPU per request: its client takes the other core, and would drown them."""
    bodies = said["bodies"]
    before = cpu_ns(pid)
    per_s = asyncio.run(closed_loop(said["port"], said["path"], lambda n: bodies[n % len(bodies)], LOAD_S))
    return (cpu_ns(pid) - before) / 1000 / (per_s * LOAD_S)


def turned(_: int, said: dict[str, Any]) -> float:
    """Median microseconds of the messages, one after the other on one connection."""
    return asyncio.run(_turns(said))


async def _turns(said: dict[str, Any]) -> float:
    client = await Client("127.0.0.1", said["port"]).open()
    times = [await client.post(said["path"], body) for body in said["bodies"]]
    client.close()
    return statistics.median(times) * 1e6


def resident(pid: int, _: dict[str, Any]) -> float:
    """MiB of the resident sets of a process and of all below it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    tree = [pid]
    for one in tree:
        tree += [child for child, parent in parents.items() if parent == one]
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in tree)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_ns(pid: int) -> int:
    """Nanoseconds of CPU of a process so far, all its threads together (``clock_getcpuclockid`` of Linux)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


MEASURES: dict[str, Callable[[int, dict[str, Any]], float]] = {
    "serve": served,
    "chat_turn": turned,
    "memory": resident,
}
"""The figures that are measured from outside of a process; it measures all others itself."""
