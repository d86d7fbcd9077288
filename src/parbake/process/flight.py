"""Single flight: one computation per key at a time on an event loop. Other callers wait for it, within their deadlines.

A process has two loops if both ``await`` and ``app.sync`` are used. Neither loop waits for the other's flights, because
synchronous code may be what blocks the other loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Running computations.

    A flight outlives the caller that started it, so a cancelled leader does not affect followers.
    """

    def __init__(self, context: Callable[[], Context] = copy_context) -> None:
        """Create the table without flights.

        Args:
            context: Makes the context variables for a flight. A flight should not have the deadline of the caller that
                started it, because others may wait for it.
        """
        self._context = context
        self._flights: dict[Any, asyncio.Task[T]] = {}

    async def join(self, key: Any, start: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the flight's result and whether this caller started it.

        A follower must not trust the result as it is. It may have been computed from inputs that were read before the
        follower began, so the follower checks the store again.
        """
        place = asyncio.get_running_loop(), key
        flight, leads = self._flights.get(place), False
        # An ended flight must not be joined, even if the loop has not called its callbacks yet.
        if flight is None or flight.done():
            leads = True
            flight = asyncio.create_task(_as_coroutine(start), context=self._context())
            self._flights[place] = flight
            flight.add_done_callback(lambda done: self._land(place, done))
        return await asyncio.shield(flight), leads

    async def end(self) -> None:
        """Cancel all flights, and wait for those of this loop to end."""
        here, flights = asyncio.get_running_loop(), list(self._flights.values())
        mine = [flight for flight in flights if flight.get_loop() is here]
        for flight in mine:
            flight.cancel()
        for flight in flights:
            if flight not in mine:
                with contextlib.suppress(RuntimeError):  # that loop is closed and has no running flights
                    flight.get_loop().call_soon_threadsafe(flight.cancel)
        await asyncio.gather(*mine, return_exceptions=True)

    def _land(self, place: Any, done: asyncio.Task[T]) -> None:
        if self._flights.get(place) is done:
            del self._flights[place]
        if not done.cancelled():
            done.exception()  # retrieve the exception, so that a flight without waiters does not warn


async def _as_coroutine(start: Callable[[], Awaitable[T]]) -> T:
    return await start()
