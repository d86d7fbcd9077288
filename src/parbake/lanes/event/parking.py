"""Events that nobody understood: kept with the reason, all families of their source raised, tried again on demand."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import msgspec

from parbake.errors import BadInput, UnknownResource
from parbake.fence.tags import raised_by
from parbake.ports.cloudevents import structured
from parbake.ports.event_log import Ack, Change, Parked
from parbake.ports.sources import EventSource, SourceEvent
from parbake.ports.store import Store

RAW_KEPT = 64 * 1024
REASON_KEPT = 500
RETRIED_AT_MOST = 10_000
_log = logging.getLogger("parbake.ingest")


class Retried(msgspec.Struct, frozen=True):
    """What a retry came to: how many were understood, the tags they raised, and those that stay."""

    understood: int
    raised: dict[str, int]
    kept: list[Parked]


def everything(families: Collection[str]) -> tuple[str, ...]:
    """The tags that a change of anything in some families raises."""
    return tuple(tag for family in families for tag in raised_by(family, "any.bulk"))


def parked_change(source: EventSource, row: SourceEvent, problem: str, now: float) -> Change:
    """Return how the store applies an event that is not understood: it is parked, and raises all families.

    Args:
        source: Where the event comes from.
        row: The event.
        problem: Why it is not understood.
        now: Epoch seconds.
    """
    parked = Parked(source.name, row.position, problem[:REASON_KEPT], now, _raw(source, row)[:RAW_KEPT])
    return Change(everything(source.families), row.source or source.name, _text(row.id), parked)


def _raw(source: EventSource, row: SourceEvent) -> bytes:
    """The event in structured mode, as far as it could be read at all."""
    if row.raw:
        return row.raw
    attributes = {"id": row.id, "source": source.name, "subject": row.subject, "type": row.type}
    return msgspec.json.encode({"specversion": "1.0", **{name: _text(value) for name, value in attributes.items()}})


def _text(value: object) -> str:
    """A column as text, whatever it holds."""
    raw = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return raw.decode(errors="replace")


class Parking:
    """Looks at parked events and tries them again."""

    def __init__(self, store: Store) -> None:
        """Over one store."""
        self._store = store

    async def look(self, limit: int = 100) -> list[Parked]:
        """Parked events by source and position."""
        return await self._store.parked(limit)

    async def retry(self, now: float, only: tuple[str, int] | None = None) -> Retried:
        """Read parked events again with the code of today; what is understood is raised and forgotten.

        A tag may be raised twice if this is interrupted, which is harmless. Raises :class:`UnknownResource` when the
        one that is named is not there.
        """
        chosen = await self._chosen(only)
        raised: dict[str, int] = {}
        kept: list[Parked] = []
        for parked in chosen:
            try:
                event = structured(parked.event)
                change = Change(event.tags, event.source, event.id)
            except BadInput as error:
                again = msgspec.structs.replace(parked, reason=str(error)[:REASON_KEPT])
                await self._store.park(again)
                kept.append(again)
                continue
            ack: Ack = await self._store.apply([change], now=now)
            raised.update(ack.raised)
            await self._store.unpark(parked.source, parked.position)
        return Retried(len(chosen) - len(kept), raised, kept)

    async def _chosen(self, only: tuple[str, int] | None) -> Sequence[Parked]:
        if only is None:
            return await self._store.parked(RETRIED_AT_MOST)
        source, position = only
        found = await self._store.parked(1, (source, position - 1)) if position > 0 else []
        if not found or (found[0].source, found[0].position) != only:
            raise UnknownResource(f"no event of {source!r} is parked at position {position}", field="position")
        return found
