"""Applies changes to the store: raises their tags durably, and tells the hooks and the counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from parbake.lanes.event.unknown_families import UnknownFamilies
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack, Change, Step
from parbake.ports.observers import End, begun, tell
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.protocol.tags import family
from parbake.serving.tickets import Tickets


class Applier:
    """Applies changes of any origin. Any process may, because the store skips what it has already applied."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_event: Sequence[Callable[..., None]],
        *,
        counters: Counters,
        unknown: UnknownFamilies,
        tickets: Tickets,
        applying: Sequence[Callable[[list[Change]], End]] = (),
    ) -> None:
        """Apply nothing yet.

        ``unknown`` knows the families that some task or source declares, and notes others. ``tickets`` seals the
        acknowledgements. ``on_event`` and ``applying`` hear of events; see :class:`parbake.ports.observers.Observers`.
        """
        self.store = store
        self.clock = clock
        self.counters = counters
        self.unknown = unknown
        self.tickets = tickets
        self._on_event, self._applying = tuple(on_event), tuple(applying)

    async def apply(self, changes: Sequence[Change], step: Step | None = None) -> Ack:
        """Raise the tags of changes; returns once that is durable.

        Args:
            changes: The changes.
            step: How far they take their source, if they come from one.
        """
        traced = [*changes]
        ends, told = begun(self._applying, traced), None
        try:
            ack = told = await self._applied(traced, step)
        finally:
            tell(ends, told)
        ack = await self.tickets.sealed(ack)
        unknown = sorted({family(tag) for tag in ack.raised} - self.unknown.known)
        if not unknown:
            return ack
        self.counters.unknown(unknown)
        await self.unknown.note(unknown)
        return msgspec.structs.replace(ack, unknown=tuple(unknown))

    async def _applied(self, changes: Sequence[Change], step: Step | None) -> Ack:
        started = time.perf_counter()
        ack = await self.store.apply(changes, now=self.clock.now(), advance=step)
        took = time.perf_counter() - started
        tell(self._on_event, ack.raised, duplicates=ack.duplicates, seconds=took)
        return ack
