"""Code that runs in an executor's process: finds the function that computes a partition by its name, and calls it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

ENTRY = "parbake.cli.partition_process:perform"
"""The function that an executor calls, by name. It opens the app, which the executor itself does not import."""
_GROUPED, GROUP = Path("/proc/sys/kernel/sched_autogroup_enabled"), Path("/proc/self/autogroup")
TRIES = 10
BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def call(entry: str, app: str, models: str, job: bytes) -> bytes:
    """Compute one partition of an app.

    Args:
        entry: The function that computes it, as ``module:attribute``.
        app: The app, as ``module:attribute``.
        models: A folder for models that the processes of one machine share, or empty.
        job: The encoded partition.

    Returns:
        The encoded result.
    """
    module, _, name = entry.partition(":")
    answer = getattr(importlib.import_module(module), name)(app, models, job)
    assert isinstance(answer, bytes)  # noqa: S101 - what the entry promises
    return answer


def settle(nice: int, lifeline: Connection) -> None:
    """Prepare a process: one thread for linear algebra, low priority, and an end that the parent decides.

    The ``lifeline`` is closed when the parent does not wait for the computation any more, or was killed.
    """
    # A terminal interrupts all processes, but only the parent should react.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    threading.Thread(target=_end_with, args=[lifeline], name="parbake-parent-watch", daemon=True).start()
    os.environ.update(dict.fromkeys(BLAS, "1"))
    if importlib.util.find_spec("threadpoolctl") is not None:
        importlib.import_module("threadpoolctl").threadpool_limits(1)
    os.nice(nice)
    if nice and has_groups():
        _lower_the_group(nice)


def has_groups() -> bool:
    """Whether the kernel divides processors between sessions first, so that niceness counts only within a session."""
    try:
        return _GROUPED.read_text().strip() == "1"
    except OSError:
        return False


def _lower_the_group(nice: int) -> None:
    """Start a new session and make it nice: see ``sched(7)``, autogrouping."""
    with contextlib.suppress(OSError):
        os.setsid()
        for _ in range(TRIES):
            try:
                GROUP.write_text(str(nice))
            except BlockingIOError:  # an unprivileged user may do this ten times a second, for all processes together
                time.sleep(0.1 + random.random() / 10)  # noqa: S311  # spreads processes that were started together
            else:
                return


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Block interrupts while the body starts processes; they inherit this until :func:`settle`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(lifeline: Connection) -> None:
    """End with the parent. After a parent was killed, its processes would otherwise wait for work forever."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([lifeline] if parent is None else [lifeline, parent.sentinel])
    os._exit(1)
