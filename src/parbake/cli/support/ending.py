"""Ends a command soon after a signal. A thread cannot be ended, so a busy one is abandoned."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import typer

T = TypeVar("T")
INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
"""The exit statuses that shells report for processes ended by these signals."""


class _Unwaited(ThreadPoolExecutor):
    """A thread pool that is not shut down; the event loop would wait for its busy threads."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as inherited
        super().shutdown(wait=False, cancel_futures=True)


@contextmanager
def handling_signals(undone: str = "") -> Iterator[None]:
    """While the body runs, SIGINT and SIGTERM end this process, however it was started.

    A script starts a command behind ``&`` with SIGINT ignored, and Python keeps that; a user who sends the signal
    anyway wants the process to end. ``undone`` says what a signal leaves unfinished. If it is empty, SIGTERM ends in
    success.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the handler that asyncio replaces by its own
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt:
        leave(INTERRUPTED, f"interrupted{undone}")
    except SystemExit as error:
        if error.code != _TERMINATED:
            raise
        if undone:
            leave(_TERMINATED, f"terminated{undone}")
        leave(0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _terminate(*_: object) -> NoReturn:
    sys.exit(_TERMINATED)


def end_with(parent: int) -> None:
    """End this process by SIGTERM once ``parent``, which started it, has ended; 0 for none. Returns at once."""
    if parent:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    """Send SIGTERM to this process once the one that started it has ended, and again while it has not ended."""
    while True:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end or until interrupted, and then until asynchronous code has cleaned up, even if threads are busy.

    Raises what a signal handler raises. Python itself waits for threads at its end, so :func:`leave` must follow.
    """
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Unwaited(thread_name_prefix="asyncio"))
        return runner.run(work)


def leave(status: int, said: str = "") -> NoReturn:
    """End this process now, without waiting for threads; ``said`` is written first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # already ending
    if said:
        typer.echo(f"parbake: {said}", err=True)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has closed the pipe
            stream.flush()
    os._exit(status)
