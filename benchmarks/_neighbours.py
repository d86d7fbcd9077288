"""What a server does beside processes that want its cores: requests that wait for a provider, and floods of chats."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from _flood import Flood, Flooded
from _http_load import posted
from _report import Goal, percentile
from _server import Running, model_server, running, started
from _waiting_app import APP, question

SPINNING = (4, 12)
WAITING_RATE, HELD_S, DEADLINE_S = 40.0, 3.0, 1.0
TIMES = (5, 10)
Rows = list[tuple[object, ...]]
Chats = Callable[[int], bytes]


@contextlib.contextmanager
def neighbours(count: int, *, core: int | None = None) -> Iterator[None]:
    """Run processes that never wait, on any core or on one."""
    with contextlib.ExitStack() as running_ones:
        for _ in range(count):
            one = running_ones.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            running_ones.callback(one.kill)
            os.sched_setaffinity(one.pid, range(os.cpu_count() or 1) if core is None else {core})
        yield


def waiting(seconds: float, rows: Rows, goals: list[Goal]) -> None:
    """Measure requests that wait for a provider, through the proxy and in a task, while all cores are busy."""
    numbers = itertools.count()
    asked: dict[str, Callable[[int], bytes]] = {
        "proxy": lambda _: question(f"what is the price of number {next(numbers)}"),
        "task": lambda _: posted("/v1/serve/answer", {"key": f"number {next(numbers)}"}),
    }
    with model_server() as provider, contextlib.ExitStack() as servers:
        httpx.post(f"{provider}/set", json={"hold_s": HELD_S})
        environment = {**os.environ, "BENCH_PROVIDER": provider.rpartition(":")[2]}
        environment["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), environment.get("PYTHONPATH", "")))
        words = ("proxy", "--upstream", provider, "--port", "0", "--embedder", "none")
        at: dict[str, Running] = {
            "proxy": servers.enter_context(started(*words, environment=environment)),
            "task": servers.enter_context(running(APP, environment=environment)),
        }
        for count, (name, raws) in itertools.product(SPINNING, asked.items()):
            with neighbours(count):
                found = asyncio.run(Flood(at[name].port, 60.0, bool).run(raws, WAITING_RATE, seconds))
            label = f"{name} waits, {count} neighbours"
            counts, slow, lag = (found.shed, found.failed), percentile(found.took or [0.0], 99), lag_of(found)
            rows.append((label, WAITING_RATE, len(found.took) / seconds, *counts, slow * 1e3, 0.0, 0.0, lag * 1e3))
            refused = 100 * (found.shed + found.failed) / int(WAITING_RATE * seconds)
            goals.append(Goal(f"{label}: refused", refused, "%", "0", refused == 0))


def lag_of(found: Flooded) -> float:
    """By how many seconds the client's own requests were late, one in a hundred by more."""
    return percentile(found.late, 99)


def beside_neighbour(
    capacity_of: Callable[[], float], flooded: Callable[[float], tuple[Flooded, list[float]]], seconds: float,
    rows: Rows, goals: list[Goal],
) -> None:  # fmt: skip
    """Measure floods beside a process on the server's core.

    Args:
        capacity_of: Measures how many requests a second get answered.
        flooded: Sends requests at a rate, and probes meanwhile.
        seconds: How long each flood lasts.
        rows: Gets a row for each flood.
        goals: Gets the goals.
    """
    with neighbours(1, core=0):
        capacity = capacity_of()
        once = 0.0
        for times in (1, *TIMES):
            found, probes = flooded(times * capacity)
            in_time = sum(took <= DEADLINE_S for took in found.took) / seconds
            slow, health = percentile(found.took or [float("inf")], 99), percentile(probes, 99)
            counts, lag = (found.shed, found.failed), lag_of(found)
            rows.append(
                (f"{times}x, neighbour", times * capacity, in_time, *counts, slow * 1e3, health * 1e3, 0.0, lag * 1e3)
            )
            if times == 1:
                once = in_time
                continue
            refusal, share = percentile(found.refused or [0.0], 50), in_time / once
            goals += [
                Goal(f"{times}x beside a neighbour: in time, of 1x", share, "", ">= 0.9", share >= 0.9),
                Goal(f"{times}x beside a neighbour: p50 of a refusal", refusal * 1e3, "ms", "<= 100", refusal <= 0.1),
            ]
