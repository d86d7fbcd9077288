"""Worker threads for ``def`` tasks: a pool for each height of the graph of tasks.

A task that reads another waits in its thread until that one is computed. With one pool for all, as many readers as it
has threads would wait for ever for a thread to compute what they read. A task only ever waits for lower ones, so each
height has threads of its own; what a process polls and writes has the event loop's own pool, which no task can fill.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from parbake import forks
from parbake.errors import ComputeFailed
from parbake.serving.meter import working
from parbake.tasks import Task
from parbake.validation import described

T = TypeVar("T")
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""In each pool, as in the event loop's own."""


class Escaped(Exception):
    """What was raised in a thread and can be handed on by no future and no coroutine; it is the cause.

    A ``StopIteration`` would be waited for for ever, and an exit or a cancellation be taken for the caller's own.
    """


async def in_thread(task: Task, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a task's function in a thread of its height, within the caller's context variables.

    Raises :class:`ComputeFailed` for what would otherwise end, or never end, the caller.
    """
    call = partial(contextvars.copy_context().run, _metered, fn, *args, **kwargs)
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(task.height), _contained, call)
    except Escaped as escaped:
        raise ComputeFailed(f"{task.name}: {escaped}", field=task.name) from escaped.__cause__


async def aside(fn: Callable[..., T], *args: Any) -> T:
    """Call what is not a task's function in a thread of the event loop's own pool; raises :class:`Escaped`, too."""
    return await asyncio.to_thread(_contained, fn, *args)


def _contained(fn: Callable[..., T], *args: Any) -> T:
    try:
        return fn(*args)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
            raise
        raise Escaped(described(error)) from error  # no signal raises in a thread: the function did


def _metered(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with working():
        return fn(*args, **kwargs)


_pools: dict[int, ThreadPoolExecutor] = {}


def _pool(level: int) -> ThreadPoolExecutor:
    pool = _pools.get(level)
    if pool is None:
        # Of two threads that make one at once, one uses the other's: a pool has no thread before its first call.
        made = ThreadPoolExecutor(THREADS, thread_name_prefix=f"parbake-tasks-{level}")
        pool = _pools.setdefault(level, made)
    return pool


@forks.in_child
def _forget_pools() -> None:
    forks.abandon(*_pools.values())
    _pools.clear()
