"""The connection of a simulated process to a system of record."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from parbake.errors import SourceError
from parbake.ports.sources import Extent, LogPage, SourceEvent
from parbake.ports.views import View
from parbake.protocol.recording import Tracker
from simulator.world.process_state import ProcessState
from simulator.world.system_of_record import OutboxRow, Snapshot, SourceSnapshot, SystemOfRecord

_PAGE = 2
"""Rows in a page, few enough that a drain takes several."""


class SimViews:
    """One process's connection to a system of record, through which views read."""

    def __init__(self, system: SystemOfRecord, views: Collection[type[View]], process: ProcessState) -> None:
        """Create the connection. Every use fails while the process is cut off from the system."""
        self.name = system.name
        self.families: Collection[str] = tuple(system.declared)
        self._system = system
        self._views = views
        self._process = process

    def provides(self, view: type[Any]) -> bool:
        """Whether a view reads this system."""
        return view in self._views

    @contextlib.contextmanager
    def open(self, view: type[Any], tracker: Tracker) -> Iterator[Any]:
        """Begin a transaction on the primary."""
        self._check()
        yield view(self.snapshot(), tracker)

    def snapshot(self) -> SourceSnapshot:
        """The primary's state now."""
        return SourceSnapshot(self._system.facts, self._system.sets)

    def close(self) -> None:
        """Do nothing: a simulated connection holds no resource."""

    def _check_feed(self) -> None:
        self._check()
        if self._system.is_feed_down:
            raise SourceError(f"the outbox of {self.name} cannot be polled", field=self.name)

    def _check(self) -> None:
        if self._process.is_cut_from_sources or not self._process.is_alive:
            raise SourceError(f"{self.name} cannot be reached", field=self.name)


class SimSource(SimViews):
    """A system of record with an ordered outbox."""

    is_gapless = True

    def extent(self) -> Extent:
        """The whole outbox, which is never pruned."""
        self._check_feed()
        return Extent(0, len(self._system.outbox))

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Return outbox rows after a position."""
        self._check_feed()
        return [_event(self.name, row) for row in self._system.outbox[after : after + limit]]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """What was told: the transactions of a snapshot, and of a later one those up to a row."""

    seen: Snapshot = Snapshot()
    upto: Snapshot | None = None
    last: int = 0


_decode = msgspec.msgpack.Decoder(_Cursor).decode


class SimUnorderedSource(SimViews):
    """A system of record whose transactions become visible in another order than they begin."""

    def read(self, cursor: bytes, limit: int) -> LogPage:
        """Return a few rows that are visible and that the cursor does not cover."""
        self._check_feed()
        at = _decode(cursor) if cursor else _Cursor()
        upto = at.upto or self._system.snapshot()
        unread = [
            row
            for row in self._system.outbox
            if row.position > at.last and upto.shows(row.transaction) and not at.seen.shows(row.transaction)
        ]
        page = unread[: min(limit, _PAGE)]
        is_whole = len(page) == len(unread)
        behind = _Cursor(upto) if is_whole else _Cursor(at.seen, upto, page[-1].position)
        events = [_event(self.name, row) for row in page]
        return LogPage(events, msgspec.msgpack.encode(behind), is_end=is_whole and at.upto is None)

    def covers(self, cursor: bytes, ticket: int) -> bool:
        """Whether a transaction lies before a cursor."""
        return bool(cursor) and _decode(cursor).seen.shows(ticket)

    def told(self, ticket: int) -> list[SourceEvent]:
        """The events of one transaction."""
        self._check_feed()
        return [_event(self.name, row) for row in self._system.outbox if row.transaction == ticket]

    def report(self, cursor: bytes, silence_s: float, *, has_news: bool) -> None:
        """Do nothing: nobody waits for a simulated store.

        Args:
            cursor: The cursor behind what was applied.
            silence_s: After how many seconds nobody waits for the store.
            has_news: Whether events were applied since the last report.
        """

    def may_beat(self, cursor: bytes) -> bool:
        """Whether a heartbeat may be written; always, because nobody waits for a simulated store."""
        del cursor
        return True

    def renewed(self, cursor: bytes) -> bytes:
        """Return the cursor, which has no name."""
        return cursor

    def leave(self, cursor: bytes) -> None:
        """Do nothing, because no report was kept."""


def _event(name: str, row: OutboxRow) -> SourceEvent:
    return SourceEvent(row.position, f"{name}-{row.position}", row.subject, f"sim.{row.kind}")
