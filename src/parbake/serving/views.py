"""Opens the views of a task where they cannot hold the event loop: a database that hangs must not stop a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from parbake.process.threads import Pool, in_thread, later_in_thread

OpenViews = Callable[[ExitStack], Mapping[str, Any]]
"""Opens all views of a task on a stack, which closes them; returns them by parameter name."""


def called_with_views(
    opening: OpenViews, fn: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Call a function of a worker thread with its views, which stay open exactly as long as the call.

    Args:
        opening: Opens the views.
        fn: The function.
        arguments: Its arguments by position.
        named: Its other arguments by name.
    """
    with ExitStack() as stack:
        return fn(*arguments, **named, **opening(stack))


@contextlib.asynccontextmanager
async def opened_aside(pool: Pool, opening: OpenViews) -> AsyncIterator[Mapping[str, Any]]:
    """Open views for a coroutine in a thread of a pool, and close them there afterwards.

    Only the end after an error waits for the closing, which tells what was wrong with the source. Otherwise a cancelled
    computation would last as long as its database hangs.
    """
    stack = ExitStack()
    opened = asyncio.ensure_future(in_thread(pool, opening, stack))
    try:
        yield await asyncio.shield(opened)
    except Exception as error:
        await in_thread(pool, stack.__exit__, type(error), error, error.__traceback__)
        raise
    finally:
        opened.add_done_callback(lambda _: later_in_thread(pool, stack.close))  # closes nothing twice
