"""A process's connection to a system that stores report to, read by the product's own rules for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec

from parbake.adapters._postgresql import outbox
from parbake.adapters._postgresql.outbox import Cursor, Primary
from parbake.adapters._postgresql.reports import Reports, trusted_for_s
from parbake.ports.sources import LogPage, SourceEvent
from parbake.ports.views import View
from simulator.processes.sim_sources import SimViews
from simulator.world.process_state import ProcessState
from simulator.world.reader_table import ReaderTable, ReportRow, shows
from simulator.world.system_of_record import OutboxRow, Snapshot, SystemOfRecord

_PAGE = 2
"""Rows in a page, few enough that a drain takes several."""


class SimReportingSource(SimViews):
    """A system of record whose transactions have no order, and whose stores report how far they have read."""

    def __init__(
        self, system: SystemOfRecord, views: Collection[type[View]], process: ProcessState, table: ReaderTable
    ) -> None:
        """Create the connection.

        Args:
            system: The system of record.
            views: The views that read it.
            process: The process that is connected.
            table: Where its stores report.
        """
        super().__init__(system, views, process)
        self._table = table
        self._reports: dict[str, Reports] = {}

    def read(self, cursor: bytes, limit: int) -> LogPage:
        """Return a few rows that are visible and that the cursor does not cover."""
        self._check_feed()
        known = outbox.decode(cursor, name=self.name)
        server = Primary(self.name, f"{self._table.timeline}", self._table.run)
        row = self._table.rows.get(known.reader) if known is not None else None
        reported = (
            (row.number, row.seen) if row is not None and known is not None and row.run == known.server.run else None
        )
        before, lost = outbox.resumed(known, server, reported, name=self.name)
        most = min(limit, _PAGE)
        page = outbox.Page(self._row(before, most), most)
        page.judged(before, name=self.name)
        reports = self._reports.get(before.reader, Reports())
        return page.reading(
            before,
            self.families,
            {},
            lost=lost,
            is_restarted=known is not None and known.server != server,
            serial=reports.serial,
            is_report_due=reports.is_due(server.run, _now()),
        )

    def _row(self, before: Cursor, most: int) -> tuple[object, ...]:
        """The answer of the database to the product's query."""
        scan = before.scan
        now_seen = _as_text(self._system.snapshot())
        upto = scan.upto if scan else now_seen
        unread = [
            row
            for row in sorted(self._system.outbox, key=_order)
            if not shows(before.seen, row.transaction)
            and shows(upto, row.transaction)
            and _order(row) > ((scan.xid, scan.position) if scan else (0, 0))
        ]
        rows = [
            (row.position, row.transaction, f"{self.name}-{row.position}", row.subject, f"sim.{row.kind}", 0.0)
            for row in unread[:most]
        ]
        position = self._system.length_of_log
        known = self._table.rows.get(before.reader)
        states: list[tuple[object, ...]] = [
            ("facts", [*self.families], self._system.triggers_problem, self._system.triggers_state, [])
        ]
        return (
            now_seen, position, position, False, known.number if known else None,
            msgspec.json.encode(states), msgspec.json.encode(rows),
        )  # fmt: skip

    def covers(self, cursor: bytes, ticket: int) -> bool:
        """Whether a transaction lies before a cursor."""
        known = outbox.decode(cursor, name=self.name)
        server = Primary(self.name, f"{self._table.timeline}", self._table.run)
        return known is not None and outbox.covers(known, ticket, server)

    def told(self, ticket: int) -> list[SourceEvent]:
        """The events of one transaction."""
        self._check_feed()
        return [
            SourceEvent(row.position, f"{self.name}-{row.position}", row.subject, f"sim.{row.kind}")
            for row in self._system.outbox
            if row.transaction == ticket
        ]

    def report(self, cursor: bytes, silence_s: float, *, has_news: bool) -> None:
        """Report as the product does.

        Args:
            cursor: The cursor that the store keeps.
            silence_s: For how many seconds after a heartbeat the store trusts what it holds.
            has_news: Whether events were applied since the last report.
        """
        known = outbox.decode(cursor, name=self.name)
        if known is None:
            return
        now = _now()

        def send(is_lasting: bool) -> int:  # noqa: FBT001  # passed by position, as the only one
            del is_lasting  # the table outlasts every crash
            self._check_feed()
            row = ReportRow(known.number, known.seen, known.server.run, now, trusted_for_s(silence_s))
            return self._table.report(known.reader, row)

        reports = self._reports.setdefault(known.reader, Reports())
        reports.report(known, send, now, has_news=has_news, source=self.name)

    def may_beat(self, cursor: bytes) -> bool:
        """Whether a heartbeat may be written."""
        known = outbox.decode(cursor, name=self.name)
        return known is not None and self._reports.get(known.reader, Reports()).may_beat(known.server.run, _now())

    def renewed(self, cursor: bytes) -> bytes:
        """A cursor at the same place under another name."""
        known = outbox.decode(cursor, name=self.name)
        return b"" if known is None else msgspec.msgpack.encode(outbox.renewed(known))

    def leave(self, cursor: bytes) -> None:
        """Take the row of the cursor's name away."""
        known = outbox.decode(cursor, name=self.name)
        if known is not None:
            self._table.leave(known.reader)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _order(row: OutboxRow) -> tuple[int, int]:
    return row.transaction, row.position


def _as_text(snapshot: Snapshot) -> str:
    """A snapshot in PostgreSQL's text form."""
    lowest = min((*snapshot.running, snapshot.upper))
    return f"{lowest}:{snapshot.upper}:{','.join(map(str, snapshot.running))}"
