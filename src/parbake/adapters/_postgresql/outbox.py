"""How the outbox of a PostgreSQL source is read: by snapshots, without a lock and without waiting for anybody.

The position in the outbox is a snapshot (https://www.postgresql.org/docs/current/functions-info.html, table of snapshot
functions): a poll reads the rows of the transactions that are visible now and were not visible then. A transaction that
stays open, or prepared, for hours delays its own rows and no others.

A snapshot means something on one server only, so the cursor names the system and its timeline. After a crash, ids of
transactions whose end was not written to disk are given again. The cursor therefore also keeps the last snapshot whose
transactions are all on disk, and the next poll after a restart begins there.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parbake.errors import ForeignSource, StoreWentBack
from parbake.ports.sources import LogPage, SourceEvent
from parbake.ports.views import families_not_captured, said_of_not_captured

_CHANGED, _WHOLE = "capture.changed", "capture.bulk"
"""The types of the events that triggers and this module write. They are not of one app: other apps skip them."""
_ALL = "*"
"""In place of families: all of them, which depend on the state of the outbox."""
_NOTHING = "1:1:"
"""The snapshot in which no transaction is visible."""
IDENTITY = """
SELECT
  (SELECT system_identifier FROM pg_control_system()) || '.' ||
    (SELECT oid FROM pg_database WHERE datname = current_database()),
  left(pg_walfile_name(pg_current_wal_lsn()), 8),
  OWN.parbake_run()
"""
"""Which server this is. The third value changes with each start and each crash. Here and below, ``OWN`` stands for the
schema of the outbox (see :mod:`parbake.adapters._postgresql.search_path`)."""
READ = (Path(__file__).parent / "sql" / "postgresql_outbox_read.sql").read_text()
TOLD = """
SELECT position, coalesce(id, ''), subject, type FROM OWN.parbake_outbox WHERE xid = %s::TEXT::XID8 ORDER BY position
"""


class Primary(msgspec.Struct, frozen=True, array_like=True):
    """The server behind a connection; ``run`` changes with each start and each crash."""

    system: str
    timeline: str
    run: str


class _Scan(msgspec.Struct, frozen=True, array_like=True):
    """A scan of several pages: up to which snapshot it goes, and the last row that it has told."""

    upto: str
    lsn: int
    xid: int
    position: int


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """What was told of an outbox. Snapshots are in PostgreSQL's text form, positions in its log in bytes.

    Attributes:
        version: The version of this format.
        server: Where the snapshots are valid.
        seen: The snapshot up to which everything was told.
        lsn: The end of the server's log when ``seen`` was taken.
        lasting: A snapshot like ``seen`` whose transactions outlast a crash.
        lasting_lsn: The end of the server's log when ``lasting`` was taken.
        states: The state of each captured table.
        reader: The name under which this store reports to the database.
        serial: The number of a report that outlasts a crash.
        scan: A scan that has not told all of its rows yet.
        number: The number under which this cursor is reported. Each later cursor of the store has a higher one.
    """

    version: int
    server: Primary
    seen: str
    lsn: int
    lasting: str
    lasting_lsn: int
    states: dict[str, str]
    reader: str
    serial: int
    scan: _Scan | None = None
    number: int = 0


_VERSION, _WITHOUT_NUMBERS = 2, 1
"""The version of new cursors, and the one before, whose reports had numbers that the store did not keep."""
_decode = msgspec.msgpack.Decoder(Cursor).decode
_rows = msgspec.json.Decoder(list[tuple[int, int, str, str, str, float]]).decode
_states = msgspec.json.Decoder(list[tuple[str, list[str], str, str, list[str]]]).decode


def decode(raw: bytes, *, name: str) -> Cursor | None:
    """The cursor in a store; ``None`` at the start.

    Args:
        raw: Its bytes.
        name: The name of the source.

    Raises:
        ForeignSource: Another version of parbake has written it.
    """
    if not raw:
        return None
    try:
        cursor = _decode(raw)
    except msgspec.DecodeError:
        cursor = None
    if cursor is None or cursor.version not in (_VERSION, _WITHOUT_NUMBERS):
        raise foreign(name, "its cursor is of another version of parbake")
    return cursor


def is_restarted(cursor: Cursor | None, server: Primary) -> bool:
    """Whether a server, or a copy of it, was started since a cursor was made.

    Args:
        cursor: The cursor that the store has; ``None`` at the start.
        server: The server that is read.
    """
    return cursor is not None and cursor.server.timeline == server.timeline and cursor.server.run != server.run


def resumed(
    cursor: Cursor | None, server: Primary, reported: tuple[int, str] | None, *, name: str
) -> tuple[Cursor, str]:
    """Where to read on: the cursor on a server, and why events may be missing behind it, if they may.

    After a restart this may be an older copy of the database, which has grown again since. Ids of transactions are
    given again then. What the copy itself knows of the store is true of it: the snapshot of its last report is of
    transactions that the copy has, because it was written after they were. If the database lacks the last report that
    the store has made, it may lack what was applied before that report, too.

    Args:
        cursor: The cursor that the store has; ``None`` at the start.
        server: The server that is read.
        reported: The number and the snapshot of the last report of the store that the database has; ``None`` if it
            has none. It is looked at after a restart only.
        name: The name of the source.

    Raises:
        ForeignSource: The cursor is of another system.
    """
    if cursor is None:
        return _begun(server, uuid.uuid4().hex), ""
    if cursor.server.system != server.system:
        raise foreign(name, f"it is the system {server.system}, not {cursor.server.system}")
    if cursor.server.timeline != server.timeline:
        begun = msgspec.structs.replace(_begun(server, cursor.reader), version=cursor.version, number=cursor.number)
        return begun, "another server has taken over, which may lack the last transactions"
    if cursor.server.run != server.run:
        number, seen = reported or (0, cursor.lasting if cursor.version == _WITHOUT_NUMBERS else _NOTHING)
        lost = "" if number >= cursor.number else "it was started again, and lacks the last report of this store"
        return msgspec.structs.replace(cursor, server=server, seen=seen, lsn=cursor.lasting_lsn, scan=None), lost
    return cursor, ""


def _begun(server: Primary, reader: str) -> Cursor:
    """A cursor before everything on a server."""
    return Cursor(_VERSION, server, _NOTHING, 0, _NOTHING, 0, {}, reader, 0)


def renewed(cursor: Cursor) -> Cursor:
    """A cursor at the same place that is reported under another name."""
    return msgspec.structs.replace(cursor, version=_VERSION, reader=uuid.uuid4().hex, serial=0, number=0)


def went_back(name: str, why: str) -> StoreWentBack:
    """The error for a store that is in an earlier state than one that it has reported."""
    return StoreWentBack(f"source {name!r}: the store has gone back to an earlier state: {why}", field=name)


def foreign(name: str, why: str) -> ForeignSource:
    """The error for an outbox that is not the one a cursor was made by."""
    return ForeignSource(
        f"source {name!r} is not the one this store was built from: {why}. Delete the store so that it is rebuilt, "
        f"restore the source, or read it from its beginning with 'parbake events restart APP {name}'",
        field=name,
    )


def parameters(cursor: Cursor, limit: int) -> Mapping[str, Any]:
    """The parameters of :data:`READ`."""
    scan = cursor.scan or _Scan("", 0, 0, 0)
    return {
        "seen": cursor.seen, "reader": cursor.reader, "xid": str(scan.xid), "position": scan.position,
        "upto": scan.upto or None, "limit": limit,
    }  # fmt: skip


class Page:
    """One answer to :data:`READ`."""

    def __init__(self, row: Any, limit: int) -> None:
        """Decode an answer to a query for at most ``limit`` rows."""
        self.seen, self.lsn, self.flushed, self._is_gone, number, states, rows = row
        self._reported: int = number or 0
        self.states = _states(states) if states else []
        self.rows = _rows(rows) if rows else []
        self.is_full = len(self.rows) == limit

    def judged(self, cursor: Cursor, *, name: str) -> None:
        """Raise an error unless server and store both have everything that the other one knows them to have had.

        Args:
            cursor: The cursor that the page was read after.
            name: The name of the source.

        Raises:
            ForeignSource: The server lacks what the cursor knows to be on its disk.
            StoreWentBack: The store has reported more than it knows now. A report follows the commit of its cursor.
        """
        if _upper(self.seen) < _upper(cursor.lasting) or self.flushed < cursor.lasting_lsn:
            raise foreign(name, "it has lost transactions that were applied, as after the restore of an older copy")
        if self._reported < cursor.serial:
            raise foreign(name, "it has lost a report of this store, as after the restore of an older copy")
        if self._reported > cursor.number and cursor.version != _WITHOUT_NUMBERS:
            raise went_back(name, f"it reported number {self._reported}, and knows {cursor.number}")

    def _after(self, cursor: Cursor, serial: int) -> Cursor:
        scan = cursor.scan
        upto, lsn = (scan.upto, scan.lsn) if scan else (self.seen, self.lsn)
        states = {relation: f"{','.join(families)} {state}" for relation, families, _, state, _ in self.states}
        number = max(cursor.number, self._reported) + 1
        cursor = msgspec.structs.replace(cursor, version=_VERSION, states=states, number=number)
        if self.is_full:
            position, xid = self.rows[-1][:2]
            return msgspec.structs.replace(cursor, scan=_Scan(upto, lsn, xid, position))
        lasting, lasting_lsn = cursor.lasting, cursor.lasting_lsn
        if self.flushed >= lsn:
            lasting, lasting_lsn = upto, lsn
        elif self.flushed >= cursor.lsn:
            lasting, lasting_lsn = cursor.seen, cursor.lsn
        return msgspec.structs.replace(
            cursor,
            seen=upto,
            lsn=lsn,
            lasting=lasting,
            lasting_lsn=lasting_lsn,
            scan=None,
            serial=max(serial, cursor.serial),
        )

    def reading(
        self,
        before: Cursor,
        families: Collection[str],
        captured: Mapping[str, Collection[str]],
        *,
        lost: str,
        is_restarted: bool,
        serial: int,
        is_report_due: bool,
    ) -> LogPage:
        """What this page tells.

        Args:
            before: The cursor that it was read after.
            families: The families of the source. Captured events of others are for other apps.
            captured: The tables whose changes triggers must tell, with the tags.
            lost: Why events may be missing, if the caller knows.
            is_restarted: Whether the server was started since the store's cursor was made.
            serial: The number of the last report of this process that outlasts a crash.
            is_report_due: Whether this process has to report again although there may be no events.
        """
        cursor = self._after(before, serial)
        # Events that another app captures are left out. Their families would look misspelt here.
        events = [
            SourceEvent(position, told or f"{xid}.{position}", subject, kind, at=at)
            for position, xid, told, subject, kind, at in self.rows
            if kind not in (_CHANGED, _WHOLE) or subject.partition("/")[0] in families
        ]
        lacking = families_not_captured(captured, {relation: tags for relation, *_, tags in self.states})
        doubtful = self._doubtful(before, cursor, is_restarted=is_restarted).union(*lacking.values())
        doubtful = {*families} if _ALL in doubtful else doubtful & {*families}
        if self._is_gone and before.seen == _NOTHING:  # what was deleted may be newer than what the store holds
            doubtful = {*families}
        elif self._is_gone:
            lost = "rows of parbake_outbox were deleted before they were read"
        events += [SourceEvent(0, "", family, _WHOLE) for family in sorted(doubtful)]
        problems = [why for _, told, why, *_ in self.states if why and not {*families, _ALL}.isdisjoint(told)]
        problems += map(said_of_not_captured, lacking)
        return LogPage(
            events, msgspec.msgpack.encode(cursor), is_end=not self.is_full and before.scan is None, lost=lost,
            trouble="; ".join(problems), is_report_due=is_report_due,
        )  # fmt: skip

    def _doubtful(self, before: Cursor, after: Cursor, *, is_restarted: bool) -> set[str]:
        """The families whose captured tables may have changed untold: altered, uncovered, or emptied by a crash."""
        found = {family for _, families, problem, *_ in self.states if problem for family in families}
        for relation in {*before.states, *after.states}:
            old, new = before.states.get(relation, ""), after.states.get(relation, "")
            # A new store knows no states, and has read each event since the install.
            is_altered = old != new and (before.seen != _NOTHING or bool(before.states))
            is_emptied = is_restarted and " unlogged " in new
            if is_altered or is_emptied:
                found.update(family for state in (old, new) if state for family in state.split()[0].split(","))
        return found


def covers(cursor: Cursor, ticket: int, server: Primary) -> bool:
    """Whether a transaction is visible in a cursor's snapshot, which says nothing of a later run of the server.

    An older copy of the database, which was started since, may have given the id of a transaction again.

    Args:
        cursor: The cursor.
        ticket: The transaction's id.
        server: The server as it is now.
    """
    if cursor.server != server:
        return False
    _, upper, running = cursor.seen.split(":")
    return ticket < int(upper) and str(ticket) not in running.split(",")


def _upper(snapshot: str) -> int:
    """The id from which on no transaction is visible."""
    return int(snapshot.split(":")[1])
