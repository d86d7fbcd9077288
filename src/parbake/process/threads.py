"""Worker threads for ``def`` tasks: a pool for each height of the graph of tasks.

A task that reads another waits in its thread until that one is computed. With one pool for all, as many readers as it
has threads would wait for ever for a thread to compute what they read. A task only ever waits for lower ones, so each
height has threads of its own. What a process polls has a pool as well, which neither tasks nor requests can fill: a
server that hears nothing for want of a thread would stop trusting what it has stored.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from parbake.errors import BadInput
from parbake.process import forks
from parbake.values.redaction import described

T = TypeVar("T")
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""In each pool, as in the event loop's own, unless ``PARBAKE_TASK_THREADS`` says otherwise for those of tasks."""
TASK_THREADS = "PARBAKE_TASK_THREADS"
MOST_THREADS = 1000
_ASIDE, _LEDGER = -1, -2
"""The pool that polls sources, and the pool that reads the ledger; tasks use neither."""


class Escaped(Exception):
    """What was raised in a thread and can be handed on by no future and no coroutine; it is the cause.

    A future never finishes with a ``StopIteration``; an exit or a cancellation would be taken for the caller's own.
    """


async def in_thread(level: int, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a thread of the pool of a level, within the caller's context variables.

    Raises :class:`Escaped` for what would otherwise end, or never end, the caller.
    """
    context = contextvars.copy_context()

    def call() -> Any:
        return context.run(_contained, partial(fn, *args, **kwargs))

    return await asyncio.get_running_loop().run_in_executor(_pool(level), call)


async def aside(fn: Callable[..., T], *args: Any) -> T:
    """Call what is not a task's function, such as a poll, in a thread that no task and no request can take.

    Raises :class:`Escaped`, too.
    """
    call = partial(contextvars.copy_context().run, _contained, fn, *args)
    return await asyncio.get_running_loop().run_in_executor(_pool(_ASIDE), call)


async def in_ledger_thread(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Read or write the ledger in a pool of its own, so that a slow ledger delays only those who use it.

    Raises :class:`Escaped`, too.
    """
    context = contextvars.copy_context()

    def call() -> T:
        return context.run(_contained, lambda: fn(*args, **kwargs))

    return await asyncio.get_running_loop().run_in_executor(_pool(_LEDGER), call)


def task_threads(environment: Mapping[str, str] = os.environ) -> int:
    """How many ``def`` tasks of one height run at once; raises :class:`BadInput` for what is not such a number."""
    text = environment.get(TASK_THREADS)
    if text is None:
        return THREADS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_THREADS):
        raise BadInput(
            f"{TASK_THREADS}={text[:40]!r}: expected a whole number from 1 to {MOST_THREADS}", field=TASK_THREADS
        )
    return int(text)


def _contained(fn: Callable[..., T], *args: Any) -> T:
    try:
        return fn(*args)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
            raise
        raise Escaped(described(error)) from error  # no signal raises in a thread: the function did


_NAMES = {_ASIDE: "aside", _LEDGER: "ledger"}
_pools: dict[int, ThreadPoolExecutor] = {}


def _pool(level: int) -> ThreadPoolExecutor:
    pool = _pools.get(level)
    if pool is None:
        # Of two threads that make one at once, one uses the other's: a pool has no thread before its first call.
        what = _NAMES.get(level, f"tasks-{level}")
        threads = THREADS if level in _NAMES else task_threads()
        made = ThreadPoolExecutor(threads, thread_name_prefix=f"parbake-{what}")
        pool = _pools.setdefault(level, made)
    return pool


@forks.in_child
def _forget_pools() -> None:
    forks.abandon(*_pools.values())
    _pools.clear()
