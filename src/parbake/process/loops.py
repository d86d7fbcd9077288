"""Event loops: the one loop of a process that keeps going, and what belongs to one event loop of several.

Connections, locks and futures of asyncio work on the loop that they were made on, and on no other. An object that is
used from ``await`` and from ``app.sync`` therefore keeps one of each per loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, NoReturn, TypeVar

from parbake.values.redaction import one_line

T = TypeVar("T")


async def forever(step: Callable[[], Awaitable[object]], every_s: float, *, what: str, log: logging.Logger) -> NoReturn:
    """Call a step again and again until cancelled; a step that fails is logged and tried again.

    Args:
        step: Called at once, and then after each pause. One that returns ``True`` has more to do, and is called again
            without a pause.
        every_s: The pause between two calls, in seconds.
        what: What the step does, for the log: "the sweep".
        log: Where a failure is logged, as an error in one line.
    """
    while True:
        has_more: object = False
        try:
            has_more = await step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must keep doing this
            log.error("%s failed and is tried again: %s", what, one_line(error))  # noqa: TRY400 - no secrets: one masked line
        if has_more is not True:
            await asyncio.sleep(every_s)


@contextlib.asynccontextmanager
async def beside(*works: Any) -> AsyncIterator[None]:
    """Run coroutines beside the body and end them with it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class PerLoop(Generic[T]):
    """One thing for each event loop that asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        """``make`` is called on the loop that the new thing is for."""
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            self._forget_closed()
            found = self._made[loop] = self._make()
        return found

    def clear(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Forget every loop's; returns what was made for loops that are not closed."""
        made, self._made = self._made, {}
        return [(loop, thing) for loop, thing in made.items() if not loop.is_closed()]

    def _forget_closed(self) -> None:
        for loop in list(self._made):
            if loop.is_closed():
                self._made.pop(loop, None)
