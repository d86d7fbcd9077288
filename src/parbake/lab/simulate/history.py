"""Run one seed, or many, and report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from unittest import mock

import msgspec

from parbake.lab.simulate.oracle import Tally
from parbake.lab.simulate.virtual_loop import VirtualLoop, run
from parbake.lab.simulate.world import StoreModel, World


class History(msgspec.Struct, frozen=True):
    """What one seed came to; ``trace`` is empty unless it was asked for."""

    seed: int
    store_model: StoreModel
    violations: tuple[str, ...]
    tally: Tally
    trace: tuple[str, ...] = ()


def _virtual_now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.contextmanager
def compressed_time() -> Iterator[None]:
    """Product code that reads the monotonic clock or idles for milliseconds lives in virtual time."""
    with (
        mock.patch("parbake.serving.request.monotonic", _virtual_now),
        mock.patch("parbake.lanes.event.queue.IDLE_S", 0.15),
        mock.patch("parbake.lanes.worker.schedule.RETRY_AFTER_S", 1.0),
        mock.patch("parbake.lanes.worker.schedule.LOOK_AGAIN_S", 0.5),
    ):
        yield


def play(seed: int, store_model: StoreModel, *, trace: bool = False) -> History:
    """Play one history; the same seed plays the same way every time."""
    worlds: list[World] = []

    async def main() -> None:
        worlds.append(World(seed, store_model, trace=trace))
        await worlds[0].play()

    logging.disable(logging.CRITICAL)
    try:
        with compressed_time():
            run(main)
    finally:
        logging.disable(logging.NOTSET)
    world = worlds[0]
    return History(seed, store_model, tuple(world.oracle.violations), world.oracle.tally, tuple(world.trace or ()))


__all__ = ["History", "VirtualLoop", "play"]
