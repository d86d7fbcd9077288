"""Ending a command when it is told to, and in time: a thread cannot be ended, so a busy one is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import typer

T = TypeVar("T")
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
"""The exit statuses that shells give what these signals ended."""


class _Unwaited(ThreadPoolExecutor):
    """A pool that is left as it is: the event loop would wait for its threads as long as they are busy."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as inherited
        super().shutdown(wait=False, cancel_futures=True)


@contextmanager
def handling_signals(undone: str = "") -> Iterator[None]:
    """While the body runs, SIGINT and SIGTERM end this process, whatever it was started with.

    A script starts a command behind ``&`` with SIGINT ignored, and Python leaves it so; one who sends the signal all
    the same means it. ``undone`` says what a signal leaves undone. Without it nothing is, and SIGTERM ends in success.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are none of its business
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the one that asyncio puts its own in place of
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt:
        leave(INTERRUPTED, f"interrupted{undone}")
    except SystemExit as error:
        if error.code != TERMINATED:
            raise
        if undone:
            leave(TERMINATED, f"terminated{undone}")
        leave(0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _terminate(*_: object) -> NoReturn:
    sys.exit(TERMINATED)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until interrupted: then once what is asynchronous has cleaned up, however busy a thread is.

    Raises what a signal's handler does. Python itself waits for threads at its end, so :func:`leave` has to follow.
    """
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Unwaited(thread_name_prefix="asyncio"))
        return runner.run(work)


def leave(status: int, said: str = "") -> NoReturn:
    """End this process now, without its threads; what was ``said`` is written first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends already
    if said:
        typer.echo(f"parbake: {said}", err=True)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
