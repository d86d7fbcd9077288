"""Play one seed, and report its violations."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import uuid
from collections.abc import Iterator
from unittest import mock

import msgspec

from simulator.processes.oracle import Tally
from simulator.timeline import Timeline
from simulator.world.virtual_loop import run
from simulator.world.world_state import StoreModel, World


class History(msgspec.Struct, frozen=True):
    """The outcome of one seed; ``trace`` is empty unless it was asked for."""

    seed: int
    store_model: StoreModel
    violations: tuple[str, ...]
    tally: Tally
    trace: tuple[str, ...] = ()


def _virtual_now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.contextmanager
def compressed_time() -> Iterator[None]:
    """Let product code that reads the monotonic clock, or idles for milliseconds, run in virtual time."""
    names = map(uuid.UUID, (f"{number:032x}" for number in itertools.count(1)))
    with (
        mock.patch("parbake.serving.request.monotonic", _virtual_now),
        mock.patch("parbake.lanes.event.queue.IDLE_S", 0.15),
        mock.patch("parbake.lanes.worker.schedule.RETRY_AFTER_S", 1.0),
        mock.patch("parbake.lanes.worker.schedule.LOOK_AGAIN_S", 0.5),
        mock.patch("parbake.adapters._postgresql.outbox.uuid.uuid4", side_effect=names),
        mock.patch("parbake.adapters._postgresql.reports.REPORT_S", 0.5),
        mock.patch("parbake.adapters._postgresql.reports.LASTING_S", 0.0),
    ):
        yield


def play(seed: int, store_model: StoreModel, *, trace: bool = False) -> History:
    """Play one history. The same seed always gives the same history.

    Args:
        seed: The seed.
        store_model: The kind of store.
        trace: Whether to record a trace.
    """
    timelines: list[Timeline] = []

    async def main() -> None:
        timelines.append(Timeline(World(seed, store_model, trace=trace)))
        await timelines[0].play()

    logging.disable(logging.CRITICAL)
    try:
        with compressed_time():
            run(main)
    finally:
        logging.disable(logging.NOTSET)
    world, oracle = timelines[0].world, timelines[0].oracle
    return History(seed, store_model, tuple(oracle.violations), oracle.tally, tuple(world.trace or ()))
