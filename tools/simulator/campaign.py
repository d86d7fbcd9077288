"""Many histories on several processes, summed up."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import msgspec

from simulator.catalogue import applied
from simulator.history import History, play
from simulator.processes.oracle import Tally
from simulator.world.world_state import StoreModel

MODELS: dict[str, tuple[StoreModel, ...]] = {
    "atomic": ("embedded", "snapshot"), "single": ("single",), "copied": ("copied",), "files": ("files",),
}  # fmt: skip
"""The kinds of stores: a read is one snapshot (embedded, or on a server), or reads every item on its own, or is one
snapshot of a server that may be set back to an older copy of its data, or of a file in whose place copies are put."""
CHUNK = 10


class CampaignSummary(msgspec.Struct):
    """The outcome of a campaign; ``failed`` holds the first violation of each failing seed."""

    seeds: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)
    failed: list[tuple[StoreModel, int, str]] = []

    @property
    def hit_rate(self) -> float:
        """The share of reads that were answered from stored values."""
        return self.tally.hits / max(1, self.tally.reads)

    @property
    def recent_share(self) -> float:
        """The share of reads whose value depends on something that changed within the last ten steps."""
        return self.tally.recent / max(1, self.tally.reads)

    def add(self, history: History) -> None:
        """Count one history."""
        self.seeds += 1
        for name in Tally.__struct_fields__:
            setattr(self.tally, name, getattr(self.tally, name) + getattr(history.tally, name))
        if history.violations:
            self.failed.append((history.store_model, history.seed, history.violations[0]))


def model_of(kind: str, seed: int) -> StoreModel:
    """The store model that a seed is played on: the models of a kind alternate."""
    models = MODELS[kind]
    return models[seed % len(models)]


def _play_some(kind: str, seeds: Sequence[int], mutant: str) -> list[History]:
    was_collecting = gc.isenabled()
    gc.disable()  # a history is short, and its objects are collected together when it ends
    gc.collect()
    gc.freeze()  # older objects are not searched after each history
    try:
        with applied(mutant):
            return [_play_alone(kind, seed) for seed in seeds]
    finally:
        gc.unfreeze()
        if was_collecting:
            gc.enable()


def _play_alone(kind: str, seed: int) -> History:
    history = play(seed, model_of(kind, seed))
    gc.collect()
    return history


def run(
    kind: str,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    mutant: str = "",
    progress: Callable[[CampaignSummary], None] | None = None,
    stop_at_first: bool = False,
) -> CampaignSummary:
    """Play seeds on one kind of store.

    Args:
        kind: The kind of store.
        seeds: The seeds.
        jobs: Number of processes.
        mutant: The mutant to apply; empty for none.
        progress: Called with the summary so far, after every chunk of seeds.
        stop_at_first: Whether to stop at the first violation.
    """
    summary = CampaignSummary()
    for histories in _chunks(kind, seeds, jobs, mutant):
        for history in histories:
            summary.add(history)
        if progress is not None:
            progress(summary)
        if stop_at_first and summary.failed:
            break
    return summary


def first_kill(kind: str, seeds: Sequence[int], *, jobs: int, mutant: str) -> tuple[int, str]:
    """Find the first seed that detects a mutant.

    Args:
        kind: The kind of store.
        seeds: The seeds, in the order in which they are played.
        jobs: Number of processes.
        mutant: The mutant.

    Returns:
        The number of seeds until the mutant was detected, and the violation; 0 if no seed detects it.
    """
    found = run(kind, seeds, jobs=jobs, mutant=mutant, stop_at_first=True)
    if not found.failed:
        return 0, ""
    _, seed, violation = min(found.failed, key=lambda failure: failure[1])
    return seed - seeds[0] + 1, violation


def _end_with_parent() -> None:
    """End this process when its parent ends, in whatever way; only the parent handles an interruption."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel] if parent else [])
        os._exit(1)

    threading.Thread(target=watch, name="parbake-parent-watch", daemon=True).start()


def _chunks(kind: str, seeds: Sequence[int], jobs: int, mutant: str) -> Iterator[list[History]]:
    parts = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        yield from (_play_some(kind, part, mutant) for part in parts)
        return
    start_method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(start_method)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        waiting = iter(parts)
        running = {pool.submit(_play_some, kind, part, mutant) for part in itertools.islice(waiting, 2 * jobs)}
        try:
            while running:
                done = next(as_completed(running))
                running.remove(done)
                if (part := next(waiting, None)) is not None:
                    running.add(pool.submit(_play_some, kind, part, mutant))
                yield done.result()
        finally:
            for future in running:
                future.cancel()
