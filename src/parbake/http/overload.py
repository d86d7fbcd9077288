"""Keeps a server fast when more is asked than it can do: what cannot be answered soon gets 503 at once.

Every request has a deadline from its arrival. While the event loop is never idle, that deadline is short, so that the
queue cannot become a standing one (controlled delay: Nichols and Jacobson, "Controlling Queue Delay", 2012; for
requests: Maurer, "Fail at Scale", 2015). How many work on the loop together follows its delay: more while it is small,
fewer when it grows (additive increase, multiplicative decrease: Chiu and Jain, 1989). When the loop sleeps, every
request that was let in waits for something else, such as a provider or a database: from then on it does not count as
one that works. A loop that rests is not overloaded, however late other processes make it.
In an overload the newest request is next (adaptive LIFO: Maurer), so that those that are answered are answered fast.
Clients take turns, and one that asks for much less than another is not pressed for time, so that a client that floods
the server keeps few others from it (fair queueing: Nagle, RFC 970, 1985).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Awaitable
from time import perf_counter  # uvloop's own clock stands still while a turn lasts

from parbake.errors import ParbakeError
from parbake.http.refusals import ClientLeft
from parbake.http.waiting_line import Arrival, ClientShares, WaitingLine, WaitingRequest
from parbake.ports.messages import Response, problem
from parbake.process.counters import Counters
from parbake.process.loop_time import LoopClock

PATIENT_S = 0.3
"""Seconds that a request may wait for its turn."""
HASTY_S, _HASTY_CHEAP_S = 0.015, 0.09
"""The same while the server is overloaded; and for requests so cheap that refusing them saves next to nothing."""
_CHEAP_S = 0.001
FEW = 8
"""So many requests at a time are never turned away: they can only be late because the machine is busy otherwise."""
CONTENDED_S = 0.005
"""A request that has waited this long looks first whether its client is still there."""
_AT_ONCE = 32
"""So many late requests are let in before the loop looks again for probes, new clients and those who have left."""
_IDLE_S = 0.002
"""A timer that fires with less delay than this found the event loop idle."""
_OVERLOADED, _RELIEVED, _WEIGHT = 0.95, 0.7, 0.1
"""The shares of moments without an idle loop from which on a server is overloaded, and is not any more."""
_TARGET_S = 0.008
"""The delay of the event loop, in seconds, above which fewer requests are handled together."""
_TICK_S, _MOST_TURNS = 0.01, 10.0
FIRST_LIMIT, _LEAST, _MOST = 4.0, 1.0, 4096.0
MOST_ELSEWHERE = 4096
"""So many requests at a time may wait for something else than the loop, each with what it holds in memory."""
_SLOWLY = 0.1
"""By how much the limit grows in a tick at most while the server is overloaded."""
_RETRY_S = ("1", "2", "3")
_TELL_AGAIN_S = 60.0
_log = logging.getLogger("parbake.http")


class Overloaded(ParbakeError):
    """The server has more requests than it can answer in time; nothing was done."""

    status = 503

    def __init__(self) -> None:
        """Create the error. Clients are asked to come back at different times."""
        super().__init__("the server is overloaded; send the request again later", field="server")
        self.headers = (("retry-after", random.choice(_RETRY_S)),)  # noqa: S311 - spreads clients

    @property
    def response(self) -> Response:
        """The problem document, made once: a refusal must cost next to nothing."""
        (after,) = self.headers
        if after not in _refusals:
            _refusals[after] = problem(self)
        return _refusals[after]


_refusals: dict[tuple[str, str], Response] = {}


class Intake:
    """Lets requests in, one event loop's. Each that is let in must :meth:`leave`."""

    def __init__(self, counters: Counters) -> None:
        """Let in nothing yet; ``counters`` count what is turned away."""
        self._counters = counters
        counters.measured["parbake_requests_in_flight"] = lambda: self._running + self._elsewhere + len(self._waiting)
        self._limit = self._limit_at_tick = FIRST_LIMIT
        self._running = self._elsewhere = self._rests = self._came = 0
        self._waiting, self._shares = WaitingLine(), ClientShares()
        self._busy = self._delay_s = self._usual_s = 0.0
        self._clock = LoopClock()
        self._was_late = self._is_overloaded = False
        self._told_at = float("-inf")
        self._next_tick: float | None = None
        self._held: deque[asyncio.Future[None]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether more requests wait in an overload than will be answered, or too many wait for something else."""
        return self._elsewhere >= MOST_ELSEWHERE or (self._is_overloaded and len(self._waiting) > FEW)

    def has_a_chance(self, client: str) -> bool:
        """Whether one more request of a client may be answered: there is room, or others ask for much more."""
        return not self.is_full or (self._elsewhere < MOST_ELSEWHERE and self._shares.is_modest(client, coming=1))

    def lets_in(self, arrival: Arrival, now: float) -> bool:
        """Let a request in at once, if it did not have to wait and there is room; otherwise it must :meth:`enter`.

        Args:
            arrival: The request.
            now: The time now, of ``perf_counter``.
        """
        self._came += 1
        self._tick_soon(now)
        if self._waiting or self._held or now - arrival.at >= CONTENDED_S or not self._has_room():
            return False
        self._let_in(arrival)
        self._shares.begin(arrival.client)
        return True

    async def enter(self, arrival: Arrival) -> bool:
        """Wait for a turn; return ``False`` if the client leaves meanwhile, so that nothing needs to be done.

        Raises:
            Overloaded: The request has waited for too long.
        """
        self._shares.begin(arrival.client)
        is_in = False
        try:
            is_in = await self._enter(arrival)
        finally:
            if not is_in:
                self._shares.end(arrival.client)
        return is_in

    async def _enter(self, arrival: Arrival) -> bool:
        now = perf_counter()
        self._tick_soon(now)
        if self._elsewhere >= MOST_ELSEWHERE:
            raise self.turned_away(now)
        if now - arrival.at >= CONTENDED_S:
            self._was_late = True
            self._refuse_if_too_late(arrival.at, now, arrival.client)
        if (self._held or now - arrival.at >= CONTENDED_S) and not self._waiting and self._has_room():
            await self._next_turn()
            self._refuse_if_too_late(arrival.at, perf_counter(), arrival.client)
        if arrival.has_left():
            return False
        if not self._waiting and self._has_room():
            self._let_in(arrival)
            return True
        turn = asyncio.get_running_loop().create_future()
        return await self._in_turn(WaitingRequest(turn, arrival))

    async def await_body(self, arrival: Arrival, body: Awaitable[bytes]) -> bytes:
        """Receive the body of a request that was let in. Until it is here, another request has its place.

        Args:
            arrival: The request.
            body: Receives the body.

        Raises:
            ClientLeft: The client has left.
            Overloaded: The request has waited for too long for its place.
        """
        self._release(arrival)
        received = await body
        arrival.at = perf_counter()
        if not await self._enter(arrival):
            raise ClientLeft("the client closed the connection before its request was answered")
        return received

    def leave(self, arrival: Arrival, took_s: float) -> None:
        """End a request that was let in, and that took some seconds from then."""
        self._shares.end(arrival.client)
        if arrival.place == self._rests:  # the time of one that waited elsewhere does not tell what it costs
            self._usual_s += _WEIGHT * (took_s - self._usual_s)
        self._release(arrival)

    def turned_away(self, now: float) -> Overloaded:
        """Count a request that is turned away, and return what it gets."""
        self._counters.turned_away += 1
        if now - self._told_at > _TELL_AGAIN_S:
            self._told_at = now
            _log.warning("more is asked than this server can answer in time: some requests get 503")
        return Overloaded()

    def _refuse_if_too_late(self, arrived: float, now: float, client: str) -> None:
        if now - arrived > self._patience_with(client):
            raise self.turned_away(now)

    async def _next_turn(self) -> None:
        """Wait until the event loop has looked at its connections, in the order of arrival."""
        if not self._held:
            asyncio.get_running_loop().call_soon(self._let_go)
        held = asyncio.get_running_loop().create_future()
        self._held.append(held)
        await held

    def _let_go(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._held))):
            held = self._held.popleft()
            if not held.done():
                held.set_result(None)
        if self._held:
            asyncio.get_running_loop().call_soon(self._let_go)

    def _let_in(self, arrival: Arrival) -> None:
        self._running += 1
        arrival.place = self._rests

    def _release(self, arrival: Arrival) -> None:
        """Take the place of a request that was let in, if it has one, and give it to the next."""
        if arrival.place is None:
            return
        if arrival.place == self._rests:
            self._running -= 1
        else:
            self._elsewhere -= 1
        arrival.place = None
        if self._waiting:
            self._next()

    async def _in_turn(self, waiting: WaitingRequest) -> bool:
        self._waiting.add(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:  # perhaps its turn came in the same moment
            self._release(waiting.arrival)
            raise
        if waiting.arrival.has_left():
            self._release(waiting.arrival)
            return False
        return True

    def _has_room(self) -> bool:
        """Whether one more may run. The limit grows with the demand: by doubling, or slowly during an overload."""
        if self._elsewhere >= MOST_ELSEWHERE:
            return False
        if self._running + 1 <= self._limit:
            return True
        most = self._limit_at_tick + _SLOWLY if self._is_overloaded else 2 * self._limit_at_tick
        if self._delay_s < _TARGET_S:
            self._limit = min(self._limit + 1, most, _MOST)
        return self._running + 1 <= self._limit

    def _next(self) -> None:
        """Give the next turns, to one client after the other.

        In an overload a client's newest is first: its oldest would be late whoever came next.
        """
        newest = self._is_overloaded and self._is_crowded
        while self._waiting and self._has_room():
            turn, arrival = self._waiting.take(newest=newest)
            if not turn.done():
                self._let_in(arrival)
                turn.set_result(None)

    @property
    def _patience_s(self) -> float:
        if not self._is_overloaded:
            return PATIENT_S
        return _HASTY_CHEAP_S if self._usual_s < _CHEAP_S else HASTY_S

    def _patience_with(self, client: str) -> float:
        """Seconds that a client's request may wait. Where others ask for much more, a client is not pressed."""
        if not self._is_crowded:
            return math.inf
        return PATIENT_S if self._shares.is_modest(client) else self._patience_s

    @property
    def _is_crowded(self) -> bool:
        return max(self._came, self._running + len(self._waiting)) > FEW

    def _tick_soon(self, now: float) -> None:
        if self._next_tick is None:
            self._next_tick = now + _TICK_S
            self._clock.restart()
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Take the delay of the loop, adjust the limit, and turn away whoever has waited for too long."""
        now = perf_counter()
        late_s = max(0.0, now - (self._next_tick or now))
        self._next_tick = None
        is_rested = self._has_rested(late_s)
        self._delay_s = 0.0 if is_rested else late_s
        if is_rested:  # whatever was let in waits for something else
            self._rests += 1
            self._elsewhere += self._running
            self._running = 0
        if not self._is_overloaded:
            self._limit = max(FIRST_LIMIT, self._limit if 2 * self._running > self._limit else 0.9 * self._limit)
        elif self._delay_s > _TARGET_S:
            self._limit = max(_LEAST, self._limit * max(0.5, _TARGET_S / self._delay_s))
        self._limit_at_tick = self._limit
        is_busy = not is_rested and (self._was_late or bool(self._waiting) or late_s > _IDLE_S)
        # A late tick stands for those that it kept from coming, but one long turn alone is not an overload.
        turns = min(_MOST_TURNS, 1 + late_s / _TICK_S)
        self._busy += (1 - (1 - _WEIGHT) ** turns) * (is_busy - self._busy)
        self._is_overloaded = self._busy > (_RELIEVED if self._is_overloaded else _OVERLOADED)
        self._was_late = False
        self._shares.measure()
        for late in self._waiting.expire(lambda client: now - self._patience_with(client)):
            if not late.turn.done():
                late.turn.set_exception(self.turned_away(now))
        self._came = 0
        self._next()
        if self._running or self._waiting or self._busy > _WEIGHT:
            self._tick_soon(now)
        else:
            self._busy = self._delay_s = 0.0

    def _has_rested(self, late_s: float) -> bool:
        """Whether the loop had nothing to do for a moment since the last tick; ``False`` if the system does not tell.

        A thread also sleeps for a slow disk; then the tick is late, and not because of other processes.
        """
        spent = self._clock.read()
        return spent is not None and spent.has_rested and late_s - spent.kept_s <= _IDLE_S
