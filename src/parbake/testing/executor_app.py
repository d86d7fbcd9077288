"""The app whose batch runs the executor suite computes: ``PARBAKE_SUITE_STORE`` names its store."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from parbake.app.application import App
from parbake.tasks.contract import Recompute, every
from parbake.tasks.registry import Model, Registry
from parbake.tasks.roles import Keys

NAME = "parbake.testing.executor_app:build"
STORE, PACE, BROKEN = "PARBAKE_SUITE_STORE", "PARBAKE_SUITE_PACE_S", "PARBAKE_SUITE_BROKEN"
KEYS = 2_000
CONTRACT: dict[str, Any] = {
    "freshness_sla": "1h", "invalidated_by": [], "fallback_if_stale": Recompute(), "owner": "suite",
}  # fmt: skip
tasks = Registry()


class Weights(msgspec.Struct, frozen=True):
    """A model with a field that can be mapped into memory."""

    scale: int
    table: memoryview


class Row(msgspec.Struct, frozen=True):
    """A value that shows the numbers it was computed from, the process that computed it, and whether it was mapped."""

    value: float
    scale: int
    process: int
    is_mapped: bool


@tasks.model(**CONTRACT, refresh=every("40m"))
def weights() -> Weights:
    """A megabyte of numbers."""
    return Weights(3, memoryview(bytes(range(256)) * 4096))


def all_keys() -> Iterator[int]:
    """The keys, one by one."""
    yield from range(KEYS)


@tasks.artifact(**CONTRACT, refresh=every("40m"), keys=all_keys, chunk=50)
def rows(keys: Keys[int], *, model: Weights = Model(weights)) -> dict[int, Row]:
    """One number per key, after a pause if the environment sets one; it can also make key 7 a NaN, or let it fail."""
    time.sleep(float(os.environ.get(PACE, "0")))
    broken = os.environ.get(BROKEN, "")
    if broken == "raise" and 7 in keys:
        raise ValueError("key 7 cannot be computed")
    if broken == "exit" and 7 in keys:
        sys.exit("key 7 ends its process")
    values = {key: math.sqrt(key) * model.table[key % 256] for key in keys}
    if broken == "nan" and 7 in keys:
        values[7] = math.nan
    is_mapped = type(model.table.obj).__name__ == "mmap"
    return {key: Row(value, model.scale, os.getpid(), is_mapped) for key, value in values.items()}


def build() -> App:
    """The app."""
    return App(tasks, store=os.environ[STORE])
