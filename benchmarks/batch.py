"""Batch runs: what publishing adds to computing, what memory they need, what a killed one repeats, what requests feel.

All on candidates by exact search, written to LMDB. ``--only`` runs some of the parts:

publish   a run beside the same computation with nothing around it, in turns; three times
memory    the peak of private memory at 100,000 and at 1,000,000 shoppers, each in a process of its own
kill      a run in two processes is killed half-way with SIGKILL and begun again
requests  the 95th percentile of requests to a server while a run computes, with the throttle (three times) and without
refresh   50 purchases a second: from the acknowledgement until the shopper's new candidates can be read
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import _batch_load
import msgspec
from _report import Goal, report

from parbake.lanes.batch.keys import CHUNKS, KeyList
from parbake.values.codecs.value_types import form_of

HERE = Path(__file__).parent
RUNS, ROUNDS, PUBLISHED, ITEMS = 3, 3, 20_000, 20_000
GOAL = 1.1
SMALL, LARGE, FEW_ITEMS = 100_000, 1_000_000, 2_000
KILLED, WORKERS = 60_000, 2
Figures = dict[str, float]
Part = tuple[Figures, list[Goal]]


@contextlib.contextmanager
def world(**variables: object) -> Iterator[Path]:
    """A folder, and an environment in which the app finds its store and its sizes."""
    with tempfile.TemporaryDirectory() as folder:
        names = {"BATCH_STORE": f"lmdb://{folder}/store?map_size=16GiB", **{k: str(v) for k, v in variables.items()}}
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def publish() -> Part:
    """Compute alone, and compute and publish, in turns; wall time, since writing overlaps with computing.

    Both in one process, which computes in one thread. The same turns hold a control: compute, encode each value and
    decode it again, which is the least that a publisher does that lets no unreadable value pass.
    """
    runs = [_compared() for _ in range(RUNS)]
    figures: Figures = {}
    for name in runs[0]:
        figures[name] = median(run[name] for run in runs)
    worst = max(run["publish_ratio"] for run in runs)
    figures["publish_ratio_worst"] = worst
    what = "compute and publish / compute alone, the worst of three runs"
    return figures, [Goal(what, worst, "times", "<= 1.1", worst <= GOAL)]


def _compared() -> Figures:
    """The medians of a few turns."""
    turns: list[Figures] = []
    for _ in range(ROUNDS):
        with world(BATCH_SHOPPERS=PUBLISHED, BATCH_ITEMS=ITEMS):
            run_s, cpu_s, partitions = asyncio.run(_one_run())
            wall, cpu = _computed(partitions)
            checked, _ = _computed(partitions, is_checked=True)
        turn = {
            "publish_ratio": run_s / wall,
            "publish_cpu_ratio": cpu_s / cpu,
            "encode_and_decode_ratio": checked / wall,
        }
        turns.append(turn | {"shoppers_per_s": PUBLISHED / run_s})
    return {name: median(turn[name] for turn in turns) for name in turns[0]}


async def _one_run() -> tuple[float, float, list[int]]:
    """Train, then materialize; seconds of the candidates' part, and the sizes of the chunks."""
    import _batch_app

    sizes: list[int] = []
    app = _batch_app.build()

    def note(task: str, done: int, _total: int) -> None:
        if task == "candidates":
            sizes.append(done)

    run = await app.materialize(_batch_app.items, progress=note)
    await app.close()
    return run.built[1].took_s, run.built[1].cpu_s, sizes


def _computed(ends: list[int], *, is_checked: bool = False) -> tuple[float, float]:
    """The same calls with the same keys, their results thrown away; seconds by the clock, and of CPU."""
    import _batch_app

    task = _batch_app.candidates
    encode, decode = form_of(task.value_type, task.codecs)
    wall, cpu = time.perf_counter(), time.process_time()
    model = _batch_app.items.fn()
    _ = model.index, model.names
    for start, end in itertools.pairwise(ends):
        values = _batch_app.compute([f"u{n:08}" for n in range(start, end)], model)
        if is_checked:
            for value in values.values():
                decode(encode(value))
    return time.perf_counter() - wall, time.process_time() - cpu


def memory() -> Part:
    """Peaks of anonymous memory: what is private to a process, without the pages of the store's file."""
    peaks = {}
    for size in (SMALL, LARGE):
        with world(BATCH_SHOPPERS=size, BATCH_ITEMS=FEW_ITEMS):
            done = subprocess.run([sys.executable, __file__, "--child"], check=True, capture_output=True, text=True)
        peaks[size] = float(done.stdout.split()[-1])
    growth = peaks[LARGE] / peaks[SMALL] - 1
    figures = {"mib_at_100k": peaks[SMALL], "mib_at_1m": peaks[LARGE]}
    return figures, [Goal("memory from 100,000 to 1,000,000 shoppers", growth * 100, "% more", "<= 10", growth <= 0.1)]


def child() -> None:
    """Run once in this process and print its peak of anonymous memory in MiB."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssAnon"))
            peak[0] = max(peak[0], int(line.split()[1]))

    thread = threading.Thread(target=watch)
    thread.start()
    asyncio.run(_one_run())
    done.set()
    thread.join()
    print(peak[0] / 1024)


def kill() -> Part:
    """Kill a run and its processes half-way, run again, and count the calls that were made twice."""
    with world(BATCH_SHOPPERS=KILLED, BATCH_ITEMS=ITEMS) as folder:
        log = folder / "calls"
        os.environ["BATCH_LOG"] = str(log)
        command = [sys.executable, "-m", "parbake", "materialize", "_batch_app:build", "items", "--processes", "2"]
        with subprocess.Popen(command, cwd=HERE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
            _wait_for(lambda: log.exists() and len(log.read_text().split()) >= KILLED / 1024 / 2)
            run.send_signal(signal.SIGKILL)
        before = len(log.read_text().split())
        done = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True)
        calls = log.read_text().split()
        os.environ.pop("BATCH_LOG")
    if "an interrupted run was continued" not in done.stdout:
        raise SystemExit(f"the run was not continued:\n{done.stdout}")
    twice = {user for user, times in Counter(calls).items() if times > 1}
    partitions = sum(bool(twice & part) for part in _partitions())
    figures = {"calls_before_kill": before, "calls_twice": len(twice), "partitions_twice": partitions}
    goal = Goal("partitions computed twice, two workers", partitions, "", "<= 2", partitions <= WORKERS)
    return figures, [goal]


def _partitions() -> Iterator[set[str]]:
    """The shoppers of each partition, as the run cuts them."""
    import _batch_app

    with contextlib.closing(KeyList(CHUNKS * _batch_app.CHUNK)) as keys:
        os.environ["BATCH_SHOPPERS"] = str(KILLED)
        keys.fill(_batch_app.shoppers(), msgspec.msgpack.encode)
        os.environ.pop("BATCH_SHOPPERS")
        for part in keys.partitions:
            yield {msgspec.msgpack.decode(raw) for raw in keys.keys(part)}


def _wait_for(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("the run did not get half-way in time")
        time.sleep(0.05)


PARTS: Mapping[str, Callable[[], Part]] = {
    "publish": publish,
    "memory": memory,
    "kill": kill,
    "requests": lambda: _batch_load.requests(world),
    "refresh": _batch_load.refresh,
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return
    figures: Figures = {}
    goals: list[Goal] = []
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found, stated = PARTS[name]()
        figures |= found
        goals += stated
    report("batch", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
