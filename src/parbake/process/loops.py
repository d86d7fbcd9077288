"""Event loops: steps that a process repeats forever, and objects that exist once per event loop.

Connections, locks and futures of asyncio work only on the loop that created them. An object that is used from ``await``
and from ``app.sync`` therefore keeps one of each per loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter  # uvloop's own clock stands still while a turn lasts
from typing import Any, Generic, NoReturn, TypeVar

from parbake.process.trouble import Trouble
from parbake.values.redaction import one_line

T = TypeVar("T")
_PAUSES_A_STEP = 50
_LAG_EVERY_S = 0.25


async def forever(step: Callable[[], Awaitable[object]], every_s: float, *, what: str, log: logging.Logger) -> NoReturn:
    """Call a step again and again until cancelled. A step that fails is logged and retried.

    Args:
        step: Called at once, and then after each pause. If it returns ``True`` it has more to do and is called again
            without a pause.
        every_s: The pause between two calls, in seconds.
        what: What the step does, for the log: "the sweep".
        log: Receives one line when the step begins to fail, and one when it works again.
    """
    trouble = Trouble(what, log)
    while True:
        has_more: object = False
        try:
            has_more = await step()
            trouble.is_over()
        except Exception as error:  # noqa: BLE001 - any error: the process must continue
            trouble.met(one_line(error))
        if has_more is not True:
            await asyncio.sleep(every_s)


async def sparingly(
    step: Callable[[], Awaitable[object]], least_s: float, *, what: str, log: logging.Logger
) -> NoReturn:
    """Call a step like :func:`forever`, with pauses so long that it takes two hundredths of the time at most.

    Args:
        step: What to do.
        least_s: The least pause between two calls, in seconds.
        what: What the step does, for the log.
        log: See :func:`forever`.
    """

    async def paced() -> None:
        began = perf_counter()
        await step()
        await asyncio.sleep(max(0.0, _PAUSES_A_STEP * (perf_counter() - began) - least_s))

    await forever(paced, least_s, what=what, log=log)


async def measure_lag(add: Callable[[float], None]) -> NoReturn:
    """Measure by how many seconds the running loop is late, some times a second until cancelled, and ``add`` them."""
    while True:
        due = perf_counter() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        add(max(0.0, perf_counter() - due))


@contextlib.asynccontextmanager
async def beside(*works: Any) -> AsyncIterator[None]:
    """Run coroutines while the body runs, and cancel them at its end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class PerLoop(Generic[T]):
    """One object for each event loop that uses it."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Create the container; ``make`` is called on the loop that the new object is for."""
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """The running loop's object."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            self._forget_closed()
            found = self._made[loop] = self._make()
        return found

    def clear(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Drop all objects, and return those whose loops are not closed."""
        made, self._made = self._made, {}
        return [(loop, thing) for loop, thing in made.items() if not loop.is_closed()]

    def _forget_closed(self) -> None:
        for loop in list(self._made):
            if loop.is_closed():
                self._made.pop(loop, None)
