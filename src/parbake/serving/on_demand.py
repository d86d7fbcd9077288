"""Computes missing values on demand: one flight per key in a process, and one lease per costly key across processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

from parbake.errors import ComputeFailed, StoreError, StoreFull
from parbake.ports.clock import Clock
from parbake.ports.observers import Observers, begun, tell
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.flight import Flights
from parbake.protocol.cause import Cause
from parbake.protocol.record import Record
from parbake.protocol.since_outage import SinceOutage
from parbake.protocol.tags import family
from parbake.protocol.verdict import Judgement
from parbake.serving import request as scope
from parbake.serving.bind import NO_CONTEXT, Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed, Computer
from parbake.serving.cpu_time import metering
from parbake.serving.lease import Turns
from parbake.serving.source_turns import SourceTurns

_WRITE_S = 1.0
"""For how many seconds a request waits for its value to be stored."""
_log = logging.getLogger("parbake.demand")
Judged: TypeAlias = tuple[Record, Judgement]
Look = Callable[[BoundTask, bytes, Context], Awaitable[Judged | None]]


class OnDemand:
    """Computes keys and writes them back, for one app."""

    def __init__(
        self,
        store: Store,
        computer: Computer,
        clock: Clock,
        *,
        counters: Counters,
        on: Observers,
        turns: Turns,
        look: Look,
        since_outage: SinceOutage,
    ) -> None:
        """``look`` returns the stored record of a key if it may be served in a context.

        ``counters`` and ``on`` hear of each computation, ``since_outage`` of those without the store.
        """
        self._store = store
        self._computer = computer
        self._clock = clock
        self._counters, self._computed = counters, (counters.computed, *on.computed)
        self._computing = tuple(on.computing)
        self._look = look
        self._since_outage = since_outage
        self._source_turns = SourceTurns(computer.sources_of)
        self._flights: Flights[Computed | None] = Flights(partial(scope.detached, tuple(on.carried)))
        self.turns = turns

    async def get(self, bound: BoundTask, key: Any, context: Context) -> Computed | Judged:
        """Compute a key now, or return the record that was stored while another caller computed it.

        A follower joins a flight that began before it did, so it takes the stored result only if that passes the
        fence now. Otherwise it joins or starts another flight, whose stamp was read after the follower began.

        Args:
            bound: The task.
            key: The key, checked.
            context: What it was asked within.
        """
        raw = bound.keys.encode(key)
        flight, began_later = flight_of(bound, raw, context), False
        while True:
            computed, leads = await self._flights.join(flight, lambda: self._in_turn(bound, key, raw, context))
            if computed is not None and (leads or began_later):
                return computed
            stored = None if context.is_without_store else await self._look(bound, raw, context)
            if stored is not None:
                return stored
            began_later = True

    async def is_there(self, bound: BoundTask, raw: bytes) -> bool:
        """Whether the store has a value for a key that may be served to any caller now."""
        return await self._look(bound, raw, NO_CONTEXT) is not None

    async def close(self) -> None:
        """Cancel the running computations, so that no lease stays behind."""
        await self._flights.end()

    async def _in_turn(self, bound: BoundTask, key: Any, raw: bytes, context: Context) -> Computed | None:
        """Compute once this process has the lease; ``None`` if another process has stored a servable value."""
        if context.is_without_store:
            return await self._without_store(bound, key, context)

        async def is_there() -> bool:
            return await self._look(bound, raw, context) is not None

        async with self.turns.wait(bound, raw, is_there) as is_left_to_do:
            if not is_left_to_do:
                return None
            (computed,) = await self.refresh(bound, [key], context)
            return computed

    async def _without_store(self, bound: BoundTask, key: Any, context: Context) -> Computed:
        """Compute from the sources, as many at once as they can bear; no other process can be waited for."""
        if bound.lease_s is not None:
            self._counters.leases[bound.name, "unleased"] += 1
        async with self._source_turns.turn(bound.task, context) as holding:
            (computed,) = await self.refresh(bound, [key], holding)
            return computed

    async def refresh(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute keys and write them back under the write rule, on demand or for the event lane.

        Args:
            bound: The task.
            keys: The keys, checked.
            context: The context of the request; its lane is stored with the records.
        """
        ends = begun(self._computing, bound.name, context.lane, len(keys))
        started, outcome, cpu_s = perf_counter(), "failed", 0.0
        try:
            with metering() as spent:
                results = await self._compute(bound, keys, context)
            cpu_s = spent.cpu_s / max(1, len(keys))
            outcome = "rejected"
            for computed in results:
                _check_type(bound, computed)
                if computed.doubt is not None and computed.doubt.cause is Cause.WITHOUT_STORE:
                    self._since_outage.computed(self._computer.concerning(bound), self._clock.now())
                if computed.storable and not context.pointers:
                    written = await self._written(bound, computed, context)
                    outcome = outcome if outcome == "stored" else written
        finally:
            took = (perf_counter() - started) / max(1, len(keys))
            for key in keys:
                raw = bound.keys.encode(key)
                tell(self._computed, bound.name, raw, context.lane, took, outcome=outcome, cpu_s=cpu_s)
            tell(ends, outcome)
        return results

    async def _compute(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute, and measure what a single value takes, unless a store that goes away meanwhile is waited for."""
        now, is_usual = asyncio.get_running_loop().time, context.is_without_store
        began = now()
        try:
            results = await self._computer.compute(bound, keys, context)
            is_usual = is_usual or all(one.storable for one in results)
            return results
        finally:
            if is_usual and len(keys) == 1:
                self._source_turns.took(bound.task, now() - began)

    async def _written(self, bound: BoundTask, computed: Computed, context: Context) -> str:
        """Write a result and return the outcome.

        Where the store is full or away, a value that was computed for a request is served unstored.
        """
        try:
            raw = bound.keys.encode(computed.key)
            # A request waits for its value to be stored, but not for a store that has gone away meanwhile.
            async with asyncio.timeout(_WRITE_S if context.may_do_without_store else None):
                is_stored = await self._store.write(bound.ref, raw, computed.record, now=self._clock.now())
            self._counters.store_full = ""
        except StoreFull as error:
            self._counters.store_full = str(error)
            if context.lane != "realtime":
                raise
            _log.warning(
                "%s: served without being stored, so the next request computes it again: %s", bound.name, error
            )
            return "unstored"
        except StoreError as error:
            if not (error.is_outage and context.may_do_without_store):
                raise
            return self._unstored(bound)
        except TimeoutError:
            if not context.may_do_without_store:
                raise
            return self._unstored(bound)
        return "stored" if is_stored else "rejected"

    def _unstored(self, bound: BoundTask) -> str:
        """A value that is served and that the store does not get is like one that was computed without it."""
        self._since_outage.computed(self._computer.concerning(bound), self._clock.now())
        return "unstored"


def flight_of(bound: BoundTask, raw: bytes, context: Context) -> Hashable:
    """Return what identifies a flight: equal keys share one computation.

    A flight reads its sources itself. Flights therefore differ only in what decides which inputs may be used.

    Args:
        bound: The task.
        raw: The key's bytes.
        context: The strengths, pointers, acknowledgements and tolerance that the key was asked for under, and whether
            the store was away.
    """
    binding = bound.fenced_throughout | context.also_fenced
    acks = tuple(ack for ack in context.acks.items() if family(ack[0]) in binding) if bound.task.inputs else ()
    place = bound.ref, raw, context.also_fenced, tuple(context.pointers.items()), acks, context.tolerated_s
    # A computation that has its turn must not wait for one that waits for a turn.
    return (*place, context.has_turn) if context.is_without_store else place


def _check_type(bound: BoundTask, computed: Computed) -> None:
    """Raise an error unless a record decodes as the task's type; otherwise every later read would fail on it."""
    if problem := bound.unreadable(computed.record):
        raise ComputeFailed(f"{bound.name}: the value of a key: {problem}", field=bound.name)
