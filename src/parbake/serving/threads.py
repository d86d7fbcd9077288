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
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from parbake.serving.meter import working
from parbake.tasks import Task

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS = min(32, (os.cpu_count() or 1) + 4)
"""In each pool, as in the event loop's own."""


async def in_thread(task: Task, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a task's function in a thread of its height, within the caller's context variables."""
    call = partial(contextvars.copy_context().run, _metered, fn, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool(task.height), call)


def _metered(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with working():
        return fn(*args, **kwargs)


@cache
def _pool(level: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # loads the queues that it waits on

    return ThreadPoolExecutor(THREADS, thread_name_prefix=f"parbake-tasks-{level}")
