"""Single flight: one computation per key at a time on an event loop; the others wait for it, each within its deadline.

A process has two loops where ``await`` and ``app.sync`` are both used. One does not wait for the flights of the other:
synchronous code may be what keeps that one from going on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Computations in the air. A flight outlives the caller that started it, so a cancelled leader strands nobody."""

    def __init__(self, context: Callable[[], Context] = copy_context) -> None:
        """Start with none.

        Args:
            context: Makes the context variables that a flight runs with. A flight should not have the deadline of the
                caller that started it, since others may wait for it.
        """
        self._context = context
        self._flights: dict[Any, asyncio.Task[T]] = {}

    async def join(self, key: Any, start: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the flight's result and whether this caller started it.

        A follower must not trust the result as it is: what it got may have been computed from inputs read before the
        follower began, so it checks the store again.
        """
        place = asyncio.get_running_loop(), key
        flight, leads = self._flights.get(place), False
        if flight is None or flight.done():  # one that has ended, though the loop has not said so yet, is of the past
            leads = True
            flight = asyncio.create_task(_as_coroutine(start), context=self._context())
            self._flights[place] = flight
            flight.add_done_callback(lambda done: self._land(place, done))
        return await asyncio.shield(flight), leads

    async def end(self) -> None:
        """Cancel what is in the air, and wait until what is of this loop has come down."""
        here, flights = asyncio.get_running_loop(), list(self._flights.values())
        mine = [flight for flight in flights if flight.get_loop() is here]
        for flight in mine:
            flight.cancel()
        for flight in flights:
            if flight not in mine:
                with contextlib.suppress(RuntimeError):  # that loop is closed: it has nothing in the air
                    flight.get_loop().call_soon_threadsafe(flight.cancel)
        await asyncio.gather(*mine, return_exceptions=True)

    def _land(self, place: Any, done: asyncio.Task[T]) -> None:
        if self._flights.get(place) is done:
            del self._flights[place]
        if not done.cancelled():
            done.exception()  # retrieved, so that a flight nobody waits for any more does not warn


async def _as_coroutine(start: Callable[[], Awaitable[T]]) -> T:
    return await start()
