"""Ending a command in time: a thread cannot be ended, so a process that is told to end leaves a busy one behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
INTERRUPTED = 128 + signal.SIGINT
"""The exit status that shells give what an interruption ended."""


class _Unwaited(ThreadPoolExecutor):
    """A pool that is left as it is: the event loop would wait for its threads as long as they are busy."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as inherited
        super().shutdown(wait=False, cancel_futures=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until interrupted: then once what is asynchronous has cleaned up, however busy a thread is.

    Raises ``KeyboardInterrupt``, and the ``SystemExit`` of a signal's handler. Python itself waits for threads at its
    end, so :func:`leave` has to follow.
    """
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Unwaited(thread_name_prefix="asyncio"))
        return runner.run(work)


def leave(status: int) -> NoReturn:
    """End this process now, without its threads; what was said is written first."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
