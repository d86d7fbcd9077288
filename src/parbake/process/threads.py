"""Worker threads for ``def`` tasks: pools by height in the graph of tasks, and by the sources that a task reads.

A task that reads another task blocks its thread until that one is computed. With a single pool, enough readers to fill
it would wait forever for a thread to compute what they read. A task only waits for tasks of lower height, so each
height has its own threads. At each height those who read a source have their own: if its database hangs, it takes no
thread of the others. Polling has a pool, too, which neither tasks nor requests can fill: a server that cannot poll for
lack of a thread would stop trusting its stored values.
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
Pool = int | str
"""A pool of threads: the height of its tasks, or the height and the sources that they read."""
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Threads per pool, as in the event loop's default pool; ``PARBAKE_TASK_THREADS`` overrides it for task pools."""
TASK_THREADS = "PARBAKE_TASK_THREADS"
_MOST_THREADS = 1000
_ASIDE, _LEDGER, _SOURCE = -1, -2, "source-"
"""The pools for what is done aside and for the ledger, and the name of each source's pool; tasks use none of them."""


class Escaped(Exception):
    """Carries an error that was raised in a thread and that no future or coroutine can carry. The error is the cause.

    A future never finishes with a ``StopIteration``. An exit or a cancellation would be mistaken for the caller's own.
    """


async def in_thread(pool: Pool, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a thread of a pool, with the caller's context variables.

    Args:
        pool: The pool.
        fn: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        Escaped: The function raised something that would end the caller, or make it wait forever.
    """
    context = contextvars.copy_context()

    def call() -> Any:
        return context.run(_contained, partial(fn, *args, **kwargs))

    return await asyncio.get_running_loop().run_in_executor(_pool(pool), call)


def later_in_thread(pool: Pool, fn: Callable[[], object]) -> None:
    """Call a function in a thread of a pool without waiting for it; what it raises is dropped."""
    _pool(pool).submit(fn)


async def aside(fn: Callable[..., T], *args: Any, of: str = "") -> T:
    """Call a function that is not a task's, such as a poll, in a thread that neither tasks nor requests can use.

    Args:
        fn: The function.
        args: Its arguments.
        of: The source that is asked. Each has threads of its own, so that one that hangs holds up no other.

    Raises:
        Escaped: See :func:`in_thread`.
    """
    call = partial(contextvars.copy_context().run, _contained, fn, *args)
    return await asyncio.get_running_loop().run_in_executor(_pool(f"{_SOURCE}{of}" if of else _ASIDE), call)


async def in_ledger_thread(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Use the ledger in a separate pool, so that a slow ledger delays only its users.

    Args:
        fn: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        Escaped: See :func:`in_thread`.
    """
    context = contextvars.copy_context()

    def call() -> T:
        return context.run(_contained, lambda: fn(*args, **kwargs))

    return await asyncio.get_running_loop().run_in_executor(_pool(_LEDGER), call)


def task_threads(environment: Mapping[str, str] = os.environ) -> int:
    """How many ``def`` tasks of one height run at once; raises :class:`BadInput` if the setting is invalid."""
    text = environment.get(TASK_THREADS)
    if text is None:
        return THREADS
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_THREADS):
        raise BadInput(
            f"{TASK_THREADS}={text[:40]!r} must be a whole number from 1 to {_MOST_THREADS}", field=TASK_THREADS
        )
    return int(text)


def _contained(fn: Callable[..., T], *args: Any) -> T:
    try:
        return fn(*args)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
            raise
        raise Escaped(described(error)) from error  # signals do not raise in a thread, so the function raised it


_NAMES: dict[Pool, str] = {_ASIDE: "aside", _LEDGER: "ledger"}
_pools: dict[Pool, ThreadPoolExecutor] = {}


def _pool(key: Pool) -> ThreadPoolExecutor:
    pool = _pools.get(key)
    if pool is None:
        # If two threads create a pool at once, one of them is used. A pool has no threads before its first call.
        is_source = isinstance(key, str) and key.startswith(_SOURCE)
        what = key if is_source else _NAMES.get(key, f"tasks-{key}")
        threads = THREADS if is_source or key in _NAMES else task_threads()
        made = ThreadPoolExecutor(threads, thread_name_prefix=f"parbake-{what}")
        pool = _pools.setdefault(key, made)
    return pool


@forks.in_child
def _forget_pools() -> None:
    forks.abandon(*_pools.values())
    _pools.clear()
