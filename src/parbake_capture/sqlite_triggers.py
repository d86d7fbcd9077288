"""Capture on SQLite: row triggers on a table, which fill the outbox.

SQLite has no statement triggers, so that a statement over many rows writes many events. ``INSERT OR REPLACE`` and
``UPDATE OR REPLACE`` delete rows without firing a delete trigger (https://www.sqlite.org/lang_conflict.html), unless
the connection sets ``recursive_triggers``. The rows that a statement is about to replace are therefore looked up
before.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from parbake.adapters.sqlite import CAPTURE_DDL, OUTBOX_DDL, captured_problem
from parbake.errors import BadInput, SourceError
from parbake.protocol.tag_parts import is_spelled_by_sqlite, sqlite_part
from parbake.protocol.tags import family
from parbake_capture.tables import Captured, CaptureState, Reader, Repair, pieces, sql_text
from parbake_capture.wanted import Known, ambiguous, by_table, completed, gathered, left_by, repaired

_OURS = "type = 'trigger' AND tbl_name = ? AND name LIKE 'parbake\\_capture\\_%' ESCAPE '\\'"
_KINDS = ("insert", "update", "delete", "replace", "replace_by_update")
_TOLD = (
    "INSERT INTO parbake_outbox(id, subject, type, time) SELECT lower(hex(randomblob(16))), tag, '{kind}', "
    "(julianday('now') - 2440587.5) * 86400.0 FROM ({tags});"
)


class SqliteCapture:
    """The triggers of one SQLite file (see :class:`parbake_capture.tables.Capture`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection in autocommit mode (``isolation_level=None``)."""
        self._connection = connection

    @classmethod
    def from_url(cls, url: str) -> SqliteCapture:
        """Open a file; raises :class:`SourceError` if there is none, or if it is not a database."""
        path = Path(unquote(urlsplit(url).path.removeprefix("/")))
        if not path.is_file():
            raise SourceError(
                f"{path} is not a file; a relative path has three slashes: sqlite:///shop.db", field="DATABASE"
            )
        with _failures():
            connection = sqlite3.connect(path, timeout=10, isolation_level=None)
            connection.execute("PRAGMA schema_version")
        return cls(connection)

    def install(self, tables: Sequence[Captured], *, app: str, replaces: bool = False) -> list[str]:
        with _failures():
            wanted = [(self._resolved(table.relation), table) for table in tables]
            found = [OUTBOX_DDL, *CAPTURE_DDL.strip().split(";\n")]
            for name, apps in gathered(wanted, self._known(), app, self._completed, replaces=replaces).items():
                found += self._installed(name, apps)
        return found

    def repair(self, *, app: str) -> Repair:
        return repaired(self, app=app)

    def remove(self, relations: Sequence[str], *, app: str) -> list[str]:
        with _failures():
            found: list[str] = []
            for relation, left in left_by(app, relations, self._known()).items():
                found += self._installed(relation, left) if left else self._cleared(relation)
        return found

    def states(self) -> list[CaptureState]:
        with _failures():
            if not self._has("parbake_capture"):
                return []
            rows = self._connection.execute("SELECT relation, app, tags FROM parbake_capture ORDER BY relation, app")
            return [
                CaptureState(
                    Captured(relation, tuple(msgspec.json.decode(tags))),
                    app,
                    captured_problem(self._connection, relation),
                )
                for relation, app, tags in rows.fetchall()
            ]

    def grant(self, roles: Sequence[str]) -> list[str]:
        if roles:
            raise BadInput("--reader: SQLite has no roles", field="--reader")
        return []

    def allow_silence(self, limit_s: float) -> list[str]:
        raise BadInput(f"--max-silence {limit_s:g} s: no store reports to SQLite", field="--max-silence")

    def readers(self) -> list[Reader]:
        return []

    def retire(self, store: str) -> list[str]:
        raise BadInput(f"{store!r}: no store reports to SQLite", field="STORE")

    def run(self, statements: Sequence[str]) -> None:
        with _failures():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in statements:
                    self._connection.execute(statement)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def _has(self, table: str) -> bool:
        found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self._connection.execute(found, (table,)).fetchone() is not None

    def _known(self) -> Known:
        if not self._has("parbake_capture"):
            return {}
        rows = self._connection.execute("SELECT relation, app, tags FROM parbake_capture")
        return by_table((relation, app, msgspec.json.decode(tags)) for relation, app, tags in rows)

    def _resolved(self, relation: str) -> str:
        """The name of a table that can be captured."""
        found = self._connection.execute(
            "SELECT name, type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')",
            (relation,),
        ).fetchone()
        if found is None:
            raise BadInput(f"--table {relation}: there is no such table", field="--table")
        name, kind, made = found
        if kind == "view" or made.upper().startswith("CREATE VIRTUAL"):
            what = "a view" if kind == "view" else "a virtual table"
            raise BadInput(
                f"--table {name}: {what} can have no such trigger; capture the tables from which it is made",
                field="--table",
            )
        return str(name)

    def _completed(self, name: str, table: Captured, before: Sequence[str]) -> Captured:
        """A table whose templates are checked against its columns, or made from its primary key."""
        columns = self._connection.execute("SELECT name, pk FROM pragma_table_xinfo(?)", (name,)).fetchall()
        keys = [column for column, place in sorted(columns, key=lambda row: row[1]) if place]
        own = completed(table, name, columns=[column for column, _ in columns], keys=keys, before=before)
        for column in self._loose(name).intersection(own.columns):
            raise ambiguous(name, column, "compares texts that differ as equal")
        return own

    def _loose(self, name: str) -> set[str]:
        """The columns of a table with an index by another collation than the bytes."""
        rows = self._connection.execute(
            "SELECT x.name FROM pragma_index_list(?) i, pragma_index_xinfo(i.name) x "
            "WHERE x.key AND x.coll <> 'BINARY' AND x.name IS NOT NULL",
            (name,),
        )
        return {row[0] for row in rows}

    def _keys(self, name: str) -> list[list[str]]:
        """The unique keys of a table, each a list of columns; indexes on expressions are left out."""
        pk = self._connection.execute(
            "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (name,)
        ).fetchall()
        found = [[row[0] for row in pk]] if pk else []
        listed = self._connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique"', (name,)).fetchall()
        for (index,) in listed:
            columns = [row[0] for row in self._connection.execute("SELECT name FROM pragma_index_info(?)", (index,))]
            if all(columns) and columns not in found:
                found.append(columns)
        return found

    def _installed(self, relation: str, apps: Mapping[str, tuple[str, ...]]) -> list[str]:
        table = Captured(relation, tuple(dict.fromkeys(tag for tags in apps.values() for tag in tags)))
        conflicts = " OR ".join(
            "(" + " AND ".join(f"r.{_quoted(column)} = NEW.{_quoted(column)}" for column in key) + ")"
            for key in self._keys(relation)
        )
        triggers = {
            "insert": ("AFTER INSERT", [_told(tag, _of(tag, "NEW")) for tag in table.tags]),
            "update": (
                "AFTER UPDATE",
                [_told(tag, f"{_of(tag, 'OLD')} UNION {_of(tag, 'NEW')}") for tag in table.tags],
            ),
            "delete": ("AFTER DELETE", [_told(tag, _of(tag, "OLD")) for tag in table.tags]),
        }
        if conflicts:
            rows = f"FROM {_quoted(relation)} AS r WHERE {conflicts}"
            replaced = [
                _told(tag, f"{_of(tag, 'r')} {rows} EXCEPT {_of(tag, 'NEW')}") for tag in table.tags if "{" in tag
            ]
            triggers |= {"replace": ("BEFORE INSERT", replaced), "replace_by_update": ("BEFORE UPDATE", replaced)}
        made = [
            f"CREATE TRIGGER {_quoted(name)} {when} ON {_quoted(relation)} BEGIN {' '.join(told)} END"
            for name, (when, told) in ((_name(relation, kind), both) for kind, both in triggers.items())
            if told
        ]
        found = [*self._cleared(relation), *made]
        found += [
            f"INSERT INTO parbake_capture SELECT {sql_text(relation)}, {sql_text(app)}, "
            f"{sql_text(msgspec.json.encode(tags).decode())}, json_group_object(name, sql) FROM sqlite_master "
            f"WHERE {_OURS.replace('?', sql_text(relation))}"
            for app, tags in apps.items()
        ]
        if self._has("parbake_outbox"):  # what happened before is unknown to who has read it
            found += [_told(name, f"SELECT {sql_text(name)} AS tag") for name in table.families]
        return found

    def _cleared(self, relation: str) -> list[str]:
        """The statements that drop the triggers of a table, also of one that had its name before."""
        former = tuple(_name(relation, kind) for kind in _KINDS)
        names = self._connection.execute(
            f"SELECT name FROM sqlite_master WHERE {_OURS} OR (type = 'trigger' AND name IN (?, ?, ?, ?, ?))",
            (relation, *former),
        )
        dropped = [f"DROP TRIGGER {_quoted(name)}" for (name,) in names.fetchall()]
        return [*dropped, f"DELETE FROM parbake_capture WHERE relation = {sql_text(relation)}"]


def _name(relation: str, kind: str) -> str:
    return f"parbake_capture_{relation}_{kind}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _told(template: str, tags: str) -> str:
    """The statement that writes an event for each of the tags that a query finds."""
    return _TOLD.format(kind="capture.changed" if "/" in template else "capture.bulk", tags=tags)


def _of(template: str, row: str) -> str:
    """The query for the tag of a row. It finds the family if a value is neither a whole number nor a text."""
    name = sql_text(family(template))
    if "/" not in template:
        return f"SELECT {name} AS tag"
    columns = [f"{row}.{_quoted(part)}" for kind, part in pieces(template) if kind == "column"]
    parts = [
        sql_text(part) if kind == "text" else sqlite_part(f"{row}.{_quoted(part)}") for kind, part in pieces(template)
    ]
    plain = " AND ".join(map(is_spelled_by_sqlite, columns)) or "1"
    entity = " || ".join(parts)
    return f"SELECT CASE WHEN {plain} AND {entity} <> {name} || '/' THEN {entity} ELSE {name} END AS tag"


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(f"the database refuses: {error}", field="DATABASE") from error
