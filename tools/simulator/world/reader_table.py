"""What a database knows of the stores that read its outbox, as ``parbake_report`` and ``parbake_wait`` keep it.

A test compares it with the functions of a real database.
"""

from __future__ import annotations

import copy

import msgspec

from parbake.errors import SourceError, StoreWentBack

MAX_SILENCE_S = 4.2
"""The setting ``max_silence`` of the simulated database, in virtual seconds."""
Answer = bool | None


class ReportRow(msgspec.Struct):
    """How far one store has read. ``is_own`` is false for a row that was loaded from a dump."""

    number: int
    seen: str
    run: str
    reported_at: float
    trusted_s: float
    is_own: bool = True
    is_retired: bool = False


class ReaderTable:
    """The rows of all stores, and the run of the server that was noticed last. Times are those of the database."""

    def __init__(self) -> None:
        """Create the table of a database whose first run was noticed long ago."""
        self.rows: dict[str, ReportRow] = {}
        self.starts = 1
        self.timeline = 1
        self.started_at = -1000.0
        self.noted_run = self.run
        self.noted_at = -1000.0

    @property
    def run(self) -> str:
        """The name of the server's present run."""
        return f"{self.timeline}.{self.starts}"

    def restart(self, now: float, *, is_promoted: bool = False) -> None:
        """Start the server again, or promote a replica that was started long ago.

        Args:
            now: The time.
            is_promoted: Whether it is a replica.
        """
        if is_promoted:
            self.timeline += 1
        else:
            self.starts += 1
            self.started_at = now

    def saved(self) -> ReaderTable:
        """A copy, as in a backup."""
        return copy.deepcopy(self)

    def put_back(self, saved: ReaderTable, now: float, *, how: str) -> None:
        """Replace the rows by those of a copy.

        Args:
            saved: The copy.
            now: The time.
            how: ``folder`` for a copy of the data folder, ``promoted`` for a replica, ``dump`` for a loaded dump, in
                which the server goes on running.
        """
        self.rows = copy.deepcopy(saved.rows)
        if how == "dump":
            for row in self.rows.values():
                row.is_own = False
            self.noted_run = ""
            return
        self.noted_run, self.noted_at = saved.noted_run, saved.noted_at
        self.restart(now, is_promoted=how == "promoted")

    def report(self, store: str, row: ReportRow, *, role: str = "reader") -> int:
        """Report how far a store has read; returns the highest number that was reported under its name.

        Args:
            store: The name under which the store reports.
            row: The report.
            role: Who reports.

        Raises:
            SourceError: The role may not report, or the report is of an earlier run.
            StoreWentBack: Another state of the store has reported this number.
        """
        self._check_role(role)
        if row.run != self.run:
            raise SourceError("the server was started again", field="shop")
        self.note_run(row.reported_at)
        known = self.rows.get(store)
        if known is not None and known.number == row.number and known.seen != row.seen:
            raise StoreWentBack(f"another state has reported number {row.number}", field="shop")
        if known is not None and known.number > row.number:
            known.reported_at = row.reported_at
            known.is_own = True
            known.is_retired = False
            return known.number
        self.rows[store] = row
        return row.number

    def _check_role(self, role: str) -> None:
        if role != "reader":
            raise SourceError("permission denied for function parbake_report", field="shop")

    def leave(self, store: str) -> None:
        """Take away the row of a store that nobody reads any more."""
        self.rows.pop(store, None)

    def retire(self, store: str, now: float) -> bool:
        """Let nobody wait for a store, unless it may still trust what it holds; returns whether it is retired.

        Args:
            store: The name under which it reported.
            now: The time.
        """
        row = self.rows.get(store)
        if row is not None and row.reported_at + row.trusted_s < now:
            row.is_retired = True
        return row is not None and row.is_retired

    def note_run(self, now: float) -> float:
        """Note the present run if it is new; returns since when it is known."""
        if self.noted_run != self.run:
            self.noted_run = self.run
            self.noted_at = now
        return self.noted_at

    def wait(self, transaction: int, now: float) -> Answer:
        """Whether every store that may trust what it holds has applied a transaction; see ``parbake_wait``.

        Args:
            transaction: The transaction's id.
            now: The time.
        """
        if self.note_run(now) + MAX_SILENCE_S >= now:
            return False
        rows = [row for row in self.rows.values() if not row.is_retired]
        own = [row for row in rows if row.run == self.run and row.is_own]
        if not own:
            return None
        return all(
            row.reported_at + row.trusted_s <= now
            or (row.run == self.run and row.is_own and shows(row.seen, transaction))
            for row in rows
        )


def shows(seen: str, transaction: int) -> bool:
    """Whether a transaction is visible in a snapshot in PostgreSQL's text form."""
    _, upper, running = seen.split(":")
    return transaction < int(upper) and str(transaction) not in running.split(",")
