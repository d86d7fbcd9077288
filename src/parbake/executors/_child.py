"""What runs in an executor's process: finds the function that computes a partition by its name, and calls it."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import threading

ENTRY = "parbake.cli.partition:perform"
"""What an executor calls, by name: it opens the app, which no executor knows."""
BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def call(entry: str, app: str, models: str, job: bytes) -> bytes:
    """Compute one partition of an app; ``models`` is a folder that the processes of one machine share, or empty."""
    module, _, name = entry.partition(":")
    answer = getattr(importlib.import_module(module), name)(app, models, job)
    assert isinstance(answer, bytes)  # noqa: S101 - what the entry promises
    return answer


def settle(nice: int) -> None:
    """Take one thread for linear algebra, give way to real-time work, and end when the parent has ended."""
    os.environ.update(dict.fromkeys(BLAS, "1"))
    if importlib.util.find_spec("threadpoolctl") is not None:
        importlib.import_module("threadpoolctl").threadpool_limits(1)
    os.nice(nice)
    threading.Thread(target=_end_with_parent, name="parbake-parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed closes nothing: its processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
