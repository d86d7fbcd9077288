"""Events that could not be read: all families of their source are raised, and they are kept for a later retry."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import msgspec

from parbake.errors import BadInput, UnknownResource
from parbake.ports.cloudevents import structured
from parbake.ports.event_log import Ack, Change, Parked
from parbake.ports.sources import Log, SourceEvent
from parbake.ports.store import Store
from parbake.protocol.tags import raised_by

_RAW_KEPT = 64 * 1024
_REASON_KEPT = 500
_RETRIED_AT_MOST = 10_000
_log = logging.getLogger("parbake.ingest")


class Retried(msgspec.Struct, frozen=True):
    """The result of a retry: how many events could be read now, the tags that they raised, and the events that stay."""

    understood: int
    raised: dict[str, int]
    kept: list[Parked]


def everything(families: Collection[str]) -> tuple[str, ...]:
    """The tags to raise if anything in some families may have changed."""
    return tuple(tag for family in families for tag in raised_by(family, "any.bulk"))


def parked_change(source: Log, row: SourceEvent, problem: str, now: float) -> Change:
    """Return the change for an event that cannot be read: the store parks it and raises all families of its source.

    Args:
        source: Where the event comes from.
        row: The event.
        problem: Why it cannot be read.
        now: Epoch seconds.
    """
    parked = Parked(source.name, row.position, problem[:_REASON_KEPT], now, _raw(source, row)[:_RAW_KEPT])
    return Change(everything(source.families), row.source or source.name, _text(row.id), parked)


def _raw(source: Log, row: SourceEvent) -> bytes:
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
    """Lists parked events and retries them."""

    def __init__(self, store: Store) -> None:
        """Use the parked events of one store."""
        self._store = store

    async def look(self, limit: int = 100) -> list[Parked]:
        """The first ``limit`` parked events, ordered by source and position."""
        return await self._store.parked(limit)

    async def retry(self, now: float, only: tuple[str, int] | None = None) -> Retried:
        """Read parked events again with the present code; if one can be read, raise its tags and drop it.

        If this is interrupted a tag may be raised twice, which is harmless. Raises :class:`UnknownResource` if ``only``
        names an event that is not parked.
        """
        chosen = await self._chosen(only)
        raised: dict[str, int] = {}
        kept: list[Parked] = []
        for parked in chosen:
            try:
                event = structured(parked.event)
                change = Change(event.tags, event.source, event.id)
            except BadInput as error:
                again = msgspec.structs.replace(parked, reason=str(error)[:_REASON_KEPT])
                await self._store.park(again)
                kept.append(again)
                continue
            ack: Ack = await self._store.apply([change], now=now)
            raised.update(ack.raised)
            await self._store.unpark(parked.source, parked.position)
        return Retried(len(chosen) - len(kept), raised, kept)

    async def _chosen(self, only: tuple[str, int] | None) -> Sequence[Parked]:
        if only is None:
            return await self._store.parked(_RETRIED_AT_MOST)
        source, position = only
        found = await self._store.parked(1, (source, position - 1)) if position > 0 else []
        if not found or (found[0].source, found[0].position) != only:
            raise UnknownResource(f"no event of {source!r} is parked at position {position}", field="position")
        return found
