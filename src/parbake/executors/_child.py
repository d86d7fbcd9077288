"""What runs in an executor's process: finds the function that computes a partition by its name, and calls it."""

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

ENTRY = "parbake.cli.partition:perform"
"""What an executor calls, by name: it opens the app, which no executor knows."""
GROUPED, GROUP = Path("/proc/sys/kernel/sched_autogroup_enabled"), Path("/proc/self/autogroup")
TRIES = 10
BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def call(entry: str, app: str, models: str, job: bytes) -> bytes:
    """Compute one partition of an app; ``models`` is a folder that the processes of one machine share, or empty."""
    module, _, name = entry.partition(":")
    answer = getattr(importlib.import_module(module), name)(app, models, job)
    assert isinstance(answer, bytes)  # noqa: S101 - what the entry promises
    return answer


def settle(nice: int, lifeline: Connection) -> None:
    """Take one thread for linear algebra, give way to real-time work, and leave it to the parent when to end.

    The ``lifeline`` is closed by a parent that does not wait for what is computed; one that was killed closes it, too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal interrupts all processes, of which one has to answer
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    threading.Thread(target=_end_with, args=[lifeline], name="parbake-parent-watch", daemon=True).start()
    os.environ.update(dict.fromkeys(BLAS, "1"))
    if importlib.util.find_spec("threadpoolctl") is not None:
        importlib.import_module("threadpoolctl").threadpool_limits(1)
    os.nice(nice)
    if nice and has_groups():
        _lower_the_group(nice)


def has_groups() -> bool:
    """Whether the kernel divides processors between sessions first, so that niceness counts within a session only."""
    try:
        return GROUPED.read_text().strip() == "1"
    except OSError:
        return False


def _lower_the_group(nice: int) -> None:
    """Leave the parent's session for one of its own, and make that one nice: see ``sched(7)``, autogrouping."""
    with contextlib.suppress(OSError):
        os.setsid()
        for _ in range(TRIES):
            try:
                GROUP.write_text(str(nice))
            except BlockingIOError:  # an unprivileged user may ask ten times a second, all processes together
                time.sleep(0.1 + random.random() / 10)  # noqa: S311  # spreads those that were started together
            else:
                return


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """While the body starts processes: they are born with interruptions held back, until they have settled."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(lifeline: Connection) -> None:
    """A parent that was killed closes nothing else: its processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([lifeline] if parent is None else [lifeline, parent.sentinel])
    os._exit(1)
