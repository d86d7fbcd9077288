"""Ten minutes of even load and one fault after the other: is every request answered, and nothing lost or doubled?

Two servers behind a balancer and a worker serve values of a SQLite database over LMDB, or with ``--store valkey`` over
Valkey. One task is worded by a provider in a box.
Before the run a seed decides when each fault strikes. A fault has a window, which begins with it and ends two seconds
after it. What is asked outside of all windows must be answered.

kill      kill -9 of a server or of the worker, which is started again at once
pause     SIGSTOP of a server or of the worker for five seconds
provider  sends nothing for five seconds; a chain of generators is behind it
database  another program keeps it locked for five seconds
store     every page with a value is zeroed (LMDB), or FLUSHALL (Valkey); no room for five seconds
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from _faults_checks import behind
from _report import Goal, percentile, report
from _soak_load import TASKS, Asked, Balancer, Load, unexplained
from _soak_world import FAULTS, NAMES, SoakWorld
from rich.console import Console
from rich.progress import Progress

MINUTES, EVERY_S, CALM_S, AFTER_S, SETTLE_S = 10.0, 20.0, 15.0, 2.0, 30.0
LEAST_S = 10.0
COLUMNS = ("when", "times", "requests", "answered", "share %", "p99 ms", "longest s without")
ON_STDERR = Console(stderr=True)


class Strike(msgspec.Struct, frozen=True):
    """A fault, its time in seconds after the start of the load, and the end of its window."""

    fault: str
    at: float
    end: float


class Soaked(msgspec.Struct):
    """What a run came to; the times of requests are in seconds after the start of the load."""

    asked: list[Asked] = []
    outdated: list[str] = []
    lost: list[str] = []
    doubled: list[str] = []
    memory: list[tuple[float, float]] = []
    """When, and the private memory in MB of the server that is never ended."""
    lag_s: float = 0.0


def planned(kind: str, seconds: float, every_s: float, rng: random.Random) -> list[Strike]:
    """Draw when each fault strikes: one in each slot, every kind once before any comes again."""
    found: list[Strike] = []
    names: list[str] = []
    slot = min(CALM_S, every_s)
    while slot + every_s <= seconds:
        names = names or rng.sample(sorted(FAULTS[kind]), len(FAULTS[kind]))
        name, at = names.pop(), slot + rng.uniform(0.0, every_s / 4)
        found.append(Strike(name, at, at + FAULTS[kind][name][1] + AFTER_S))
        slot += every_s
    return found


async def strike(world: SoakWorld, plan: Sequence[Strike], began: float, progress: Progress) -> None:
    """Do each harm at its time."""
    bar = progress.add_task("faults", total=len(plan))
    for one in plan:
        await asyncio.sleep(max(0.0, began + one.at - time.monotonic()))
        progress.update(bar, description=one.fault)
        await FAULTS[world.kind][one.fault][0](world)
        progress.advance(bar)


async def watch(world: SoakWorld, found: Soaked, began: float, seconds: float, progress: Progress) -> None:
    """Note the memory once a second, until cancelled."""
    bar = progress.add_task("seconds", total=seconds)
    while True:
        moment = time.monotonic() - began
        found.memory.append((moment, private_mb(world.servers[1].popen.pid)))
        progress.update(bar, completed=moment)
        await asyncio.sleep(1.0)


def private_mb(pid: int) -> float:
    """The anonymous memory of a process: its own, without any file that it maps, such as the store's."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no memory")


async def soaked(world: SoakWorld, plan: Sequence[Strike], seconds: float, rng: random.Random) -> Soaked:
    """Run the load and the faults, and judge what was seen."""
    found = Soaked()
    balancer = Balancer(world.addresses)
    load = Load(balancer, rng)
    try:
        with Progress(console=ON_STDERR) as progress:
            began = time.monotonic()
            watching = asyncio.create_task(watch(world, found, began, seconds, progress))
            async with asyncio.TaskGroup() as group:
                group.create_task(strike(world, plan, began, progress))
                group.create_task(load.run(began + seconds))
            watching.cancel()
        found.lag_s = load.lag_s
        found.asked = [msgspec.structs.replace(a, begin=a.begin - began, end=a.end - began) for a in load.asked]
        found.outdated = behind(load.events)
        committed(world, load, found)
        found.lost += await left_behind(world, balancer)
    finally:
        await balancer.close()
    return found


def committed(world: SoakWorld, load: Load, found: Soaked) -> None:
    """Hold the acknowledged writes against what the database has."""
    with contextlib.closing(world.connect()) as connection:
        rows = connection.execute("SELECT id, name, version FROM effect").fetchall()
        facts: dict[str, int] = dict(connection.execute("SELECT name, version FROM fact").fetchall())
    effects = {row[0]: (row[1], row[2]) for row in rows}
    found.lost += [f"{change} {said}" for change, said in load.acknowledged.items() if effects.get(change) != said]
    found.doubled += [f"{len(rows) - len(effects)} changes twice"] * (len(rows) - len(effects))
    for name, version in facts.items():
        times = sum(row[1] == name for row in rows)
        found.doubled += [f"{name}: version {version} after {times} changes"] * (version != times)


async def left_behind(world: SoakWorld, balancer: Balancer) -> list[str]:
    """The values that a server still shows in another version than the database's, after it acknowledged everything."""
    with contextlib.closing(world.connect()) as connection:
        facts: dict[str, int] = dict(connection.execute("SELECT name, version FROM fact").fetchall())
    found = []
    for n in range(len(world.addresses)):
        facts["n0"] += 1
        await asked_until(balancer, n, "/write", {"id": f"last{n}", "name": "n0"})
        for task in TASKS[:-1]:
            for name in NAMES:
                value = (await asked_until(balancer, n, f"/v1/serve/{task}", {"key": name}))["value"]
                if value["version"] != facts[name]:
                    found.append(f"server {n} {task} {name}: {value['version']}, and the database {facts[name]}")
    return found


async def asked_until(balancer: Balancer, n: int, path: str, body: object) -> dict[str, object]:
    """Ask one server until it answers."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            answer, wrong = await balancer.ask_one(n, path, body)
            if not wrong:
                return answer
            await asyncio.sleep(0.1)


def within(asked: Sequence[Asked], start: float, end: float) -> list[Asked]:
    """The requests that a window touches."""
    return [one for one in asked if one.begin < end and one.end > start]


def row(name: str, windows: Sequence[tuple[float, float]], asked: Sequence[list[Asked]]) -> tuple[object, ...]:
    """One line of the table, for some windows and the requests in each."""
    every = [one for requests in asked for one in requests]
    right = [one for one in every if not one.wrong]
    longest = 0.0
    for (start, end), requests in zip(windows, asked, strict=True):
        ends = [start, *sorted(one.end for one in requests if not one.wrong and start < one.end < end), end]
        longest = max(longest, *(b - a for a, b in itertools.pairwise(ends)))
    slow = percentile([one.end - one.begin for one in right] or [float("nan")], 99) * 1000
    return (name, len(windows), len(every), len(right), 100 * len(right) / max(1, len(every)), slow, longest)


def growth(memory: Sequence[tuple[float, float]], seconds: float) -> float:
    """By how many percent the median of the last quarter is above that of the first."""
    first = statistics.median(mb for moment, mb in memory if moment < seconds / 4)
    last = statistics.median(mb for moment, mb in memory if moment >= 3 * seconds / 4)
    return 100 * (last / first - 1)


def told(kind: str, plan: Sequence[Strike], found: Soaked, options: argparse.Namespace) -> None:
    """Report."""
    seconds = options.minutes * 60
    rows = []
    for name in FAULTS[kind]:
        windows = [(one.at, one.end) for one in plan if one.fault == name]
        if windows:
            rows.append(row(name, windows, [within(found.asked, *window) for window in windows]))
    inside = {id(one) for strike in plan for one in within(found.asked, strike.at, strike.end)}
    outside = [one for one in found.asked if id(one) not in inside]
    edges = [0.0, *(edge for strike in plan for edge in (strike.at, strike.end)), seconds]
    calm = list(zip(edges[::2], edges[1::2], strict=True))
    rows.append(row("outside of windows", calm, [within(outside, *window) for window in calm]))
    for why, count in unexplained(outside).most_common(20):
        print(f"outside of windows, {count} times {why}", file=sys.stderr)
    for one in (*found.outdated[:10], *found.lost[:10], *found.doubled[:10]):
        print(one, file=sys.stderr)
    answered = 100 * sum(not one.wrong for one in outside) / max(1, len(outside))
    grown = growth(found.memory, seconds)
    figures = {"seed": options.seed, "minutes": options.minutes, "faults": len(plan), "requests": len(found.asked),
               "requests_outside": len(outside), "answered_outside_percent": answered,
               "answered_percent": 100 * sum(not one.wrong for one in found.asked) / max(1, len(found.asked)),
               "memory_mb_at_end": found.memory[-1][1], "client_lag_max_s": found.lag_s}  # fmt: skip
    none = {"outdated answers": found.outdated, "acknowledged writes lost": found.lost, "doubled": found.doubled}
    goals = [
        Goal("requests answered outside of windows", answered, "%", ">= 99.9", answered >= 99.9),
        *(Goal(what, float(len(seen)), "", "= 0", not seen) for what, seen in none.items()),
        Goal("growth of a server's memory, first quarter to last", grown, "%", "<= 5", grown <= 5),
    ]
    report("soak", COLUMNS, rows, figures=figures, goals=goals)


async def played(options: argparse.Namespace, home: Path) -> None:
    """Start everything, run, and report."""
    seconds = options.minutes * 60
    plan = planned(options.store, seconds, options.every, random.Random(f"{options.seed}/plan"))
    world = SoakWorld(options.store, home, deaf=options.plant)
    try:
        await world.start()
        found = await soaked(world, plan, seconds, random.Random(f"{options.seed}/load"))
    finally:
        world.stop()
    told(options.store, plan, found, options)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long ({MINUTES:g})")
    parser.add_argument("--store", choices=sorted(FAULTS), default="lmdb")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="S", help=f"seconds per fault ({EVERY_S:g})")
    parser.add_argument("--plant", action="store_true", help="turn the fence off: outdated answers must be found")
    options = parser.parse_args()
    if options.every < LEAST_S:
        parser.error(f"--every: faults need at least {LEAST_S:g} seconds, so that their windows do not overlap")
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # processes are killed, not the machine
    home = Path(tempfile.mkdtemp(prefix="parbake-soak-", dir=os.environ.get("TMPDIR") or memory))
    asyncio.run(played(options, home))
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
