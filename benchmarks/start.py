"""The first start of the demo; its first message; a start after ten days; and two workers on one event.

First the demo makes its shop in an empty folder, as a new user sees it, once in full and once with 1,000 shoppers.

The demo is started several times over one prepared shop, as a process of its own, and asked once for each kind of reply
as soon as it is ready; before that, its memory is read. Servers are started over the same shop, today and on a clock
ten days later, when every value has expired; what counts is their CPU seconds until they are ready. Then two workers
refresh what one event outdates, and the rows that they compute are counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from _report import Goal, report
from _server import cpu_s
from _shop import KEYS as SECRETS
from _shop import Client, prepare, serving

import parbake as pb
from parbake.testing import FileClock

STARTS, KEYS, WORKERS = 5, 200, 2
NEW_S, NEW_SMALL_S, FEW_SHOPPERS = 40.0, 30.0, "1000"
FIRST_S, LATE_RATIO, MOST_MB = 0.3, 1.25, 500.0
TEN_DAYS_S = 10 * 86_400.0
MESSAGES = (
    "Recommend me something",
    "How many days do I have to send a book back?",
    "What is popular right now?",
    "I want a manga about robots",
    "Who pays when a parcel arrives damaged?",
)
SAYS = re.compile(r"ready in ([\d.]+) s: open (\S+)")


def main() -> None:
    """Measure and report."""
    new, new_small = first_start(), first_start(RETAIL_SHOPPERS=FEW_SHOPPERS)
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        starts = [measure(home, MESSAGES[n % len(MESSAGES)]) for n in range(STARTS)]
        today, late = costs(home)
    ready, first, later, megabytes = (median(figures) for figures in zip(*starts, strict=True))
    slowest = max(figures[1] for figures in starts)
    ratio, rows = late / today, asyncio.run(refreshed())
    report(
        "start",
        ("what", "figure"),
        [
            ("first start, until ready, s", new),
            ("first start with 1,000 shoppers, until ready, s", new_small),
            ("until ready, over a prepared shop, s (median)", ready),
            ("first message, s (median)", first),
            ("first message, s (slowest of the starts)", slowest),
            ("the same message again, s (median)", later),
            ("memory of the server when it is ready, MB (median)", megabytes),
            ("CPU until ready today, s (median)", today),
            ("CPU until ready ten days later, s (median)", late),
            (f"rows that {WORKERS} workers compute where {KEYS} are outdated", rows),
        ],
        figures={
            "new_s": new,
            "new_small_s": new_small,
            "ready_s": ready,
            "first_s": first,
            "slowest_first_s": slowest,
            "again_s": later,
            "resident_mb": megabytes,
            "cpu_today_s": today,
            "cpu_late_s": late,
            "rows": rows,
        },
        goals=[
            Goal("first start", new, "s", f"<= {NEW_S:g}", met=new <= NEW_S),
            Goal("first start, 1,000 shoppers", new_small, "s", f"<= {NEW_SMALL_S:g}", met=new_small <= NEW_SMALL_S),
            Goal("first message after ready, slowest", slowest, "s", f"<= {FIRST_S:g}", met=slowest <= FIRST_S),
            Goal("memory after warm-up", megabytes, "MB", f"<= {MOST_MB:g}", met=megabytes <= MOST_MB),
            Goal("CPU of a start, ten days later / today", ratio, "x", f"<= {LATE_RATIO:g}", met=ratio <= LATE_RATIO),
            Goal("rows computed by two workers", rows, "rows", f"<= {KEYS}", met=rows <= KEYS),
        ],
    )


def first_start(**environment: str) -> float:
    """Seconds until the demo is ready in an empty folder."""
    with tempfile.TemporaryDirectory() as home, demo(home, **environment) as (ready_s, _, _):
        return ready_s


def measure(home: str, message: str) -> tuple[float, float, float, float]:
    """Seconds until the demo is ready, of its first message, and of the same message again; then its memory in MB."""
    with demo(home) as (ready_s, address, pid), contextlib.closing(Client(address)) as client:
        megabytes = resident_mb(pid)
        return ready_s, timed(client, message), timed(client, message), megabytes


def resident_mb(pid: int) -> float:
    """The resident memory of a process in MB, with what it shares."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def costs(home: str) -> tuple[float, float]:
    """CPU seconds of a server until it is ready, today and ten days later."""
    clock = FileClock(Path(home) / "clock")
    today = [started(home) for _ in range(STARTS)]
    clock.advance(TEN_DAYS_S)
    return median(today), median(started(home) for _ in range(STARTS))


def started(home: str) -> float:
    """CPU seconds of a server until it is ready."""
    where = {"PYTHONPATH": str(Path(__file__).parent), "BENCH_CLOCK": f"{home}/clock"}
    with serving(home, app="_late_app:app", **where) as (pid, address), contextlib.closing(Client(address)) as client:
        while not client.get("/readyz"):
            time.sleep(0.1)
        return cpu_s(pid)


def timed(client: Client, message: str) -> float:
    """Seconds of one message."""
    before = time.perf_counter()
    client.ask(message)
    return time.perf_counter() - before


@contextlib.contextmanager
def demo(home: str, **environment: str) -> Iterator[tuple[float, str, int]]:
    """Run the demo; yields the seconds that it says it took, its address, and its server's process number."""
    command = [sys.executable, "-m", "retail_assistant", "demo", "--port", "0"]
    whole = {**os.environ, **SECRETS, "RETAIL_HOME": home, **environment}
    with subprocess.Popen(command, env=whole, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = next(match for line in process.stdout or () if (match := SAYS.search(line)))
            yield float(said[1]), said[2], process.pid
        finally:
            process.terminate()


async def refreshed() -> int:
    """Rows that two workers compute after one event."""
    computed: list[int] = []
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="bench"
    )
    async def row(keys: pb.Keys[int]) -> dict[int, int]:
        await asyncio.sleep(0.002 * len(keys))
        computed.extend(keys)
        return {key: key for key in keys}

    with tempfile.TemporaryDirectory() as folder:
        apps = [pb.App(tasks, store=f"lmdb://{folder}/store") for _ in range(WORKERS + 1)]
        server, *workers = apps
        for key in range(KEYS):
            await server.serve(row, key)
        working = [asyncio.create_task(worker.work()) for worker in workers]
        while not all(worker.engine.workers.has_others for worker in workers):  # noqa: ASYNC110  # in a store
            await asyncio.sleep(0.1)
        await asyncio.sleep(3.0)  # the second has waited until the first has seen it
        computed.clear()
        await server.touch("fact/all")
        while len(set(computed)) < KEYS:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)  # what is computed twice comes late
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for app in apps:
            await app.close()
    return len(computed)


if __name__ == "__main__":
    main()
