"""Capture on SQLite: row triggers on a table, which fill the outbox.

SQLite has no statement triggers, so that a statement over many rows writes many events. ``INSERT OR REPLACE`` and
``UPDATE OR REPLACE`` delete rows without firing a delete trigger (https://www.sqlite.org/lang_conflict.html), unless
the connection sets ``recursive_triggers``. The rows that a statement is about to replace are therefore looked up
before, by the unique keys that the table has when the triggers are made.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from parbake.adapters._sqlite_captured import captured_tables, guards, new_guard
from parbake.adapters._sqlite_columns import quoted
from parbake.adapters._sqlite_unique import unique_keys
from parbake.adapters.sqlite import CAPTURE_DDL, OUTBOX_DDL
from parbake.errors import BadInput, SourceError
from parbake.protocol.tag_parts import is_spelled_by_sqlite, sqlite_part
from parbake.protocol.tags import family
from parbake.values.schemes import split_url
from parbake_capture.sqlite_conflicts import PIECES, Conflicts, conflicts_of
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
        path = Path(unquote(split_url(url, setting="DATABASE", error=BadInput).path.removeprefix("/")))
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
            if tables:
                self._check_encoding()
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
            said = {table.relation: table.problem or table.advice for table in captured_tables(self._connection)}
            return [
                CaptureState(Captured(relation, tags), app, said[relation])
                for relation, apps in sorted(self._known().items())
                for app, tags in sorted(apps.items())
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

    def _check_encoding(self) -> None:
        """Raise :class:`BadInput` unless texts have the bytes that tags are made of."""
        (encoding,) = self._connection.execute("PRAGMA encoding").fetchone()
        if encoding != "UTF-8":
            raise BadInput(
                f"DATABASE: its texts are in {encoding}, and tags are in UTF-8; load its dump into a new file, "
                "which is in UTF-8 unless it says otherwise",
                field="DATABASE",
            )

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
        for column in (self._loose(name) | self._collated(name)).intersection(own.columns):
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

    def _collated(self, name: str) -> set[str]:
        """The columns of a table that are declared with another collation than the bytes."""
        (made,) = self._connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)
        ).fetchone()
        columns = self._connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,)).fetchall()
        loose = _collated_columns(made)
        return {column for (column,) in columns if column.lower() in loose}

    def _installed(self, relation: str, apps: Mapping[str, tuple[str, ...]]) -> list[str]:
        """The statements that capture a table for some apps; none if it is captured for them already.

        A trigger that is there is not made again. The guard is made behind all of them, and only with the families
        raised: who knows the guard of before, and who reads the outbox, knows that changes may have gone untold.
        """
        table = Captured(relation, tuple(dict.fromkeys(tag for tags in apps.values() for tag in tags)))
        wanted = self._triggers(table)
        present = self._present(relation)
        if self._is_installed(relation, apps) and present == wanted:
            return []
        found = [f"DROP TRIGGER {quoted(name)}" for name, made in present.items() if wanted.get(name) != made]
        found += [made for name, made in wanted.items() if present.get(name) != made]
        found += self._forgotten(relation)
        name = sql_text(relation)
        found += [
            f"INSERT INTO parbake_capture VALUES ({name}, {sql_text(app)}, {_json(tags)}, {_json(wanted)})"
            for app, tags in apps.items()
        ]
        if self._has("parbake_outbox"):  # what happened before is unknown to who has read it
            found += [_told(name, f"SELECT {sql_text(name)} AS tag") for name in table.families]
        keys = unique_keys(self._connection, relation).fingerprint
        return [*found, f"CREATE VIEW {quoted(new_guard(relation))} AS SELECT '{keys}'"]

    def _is_installed(self, relation: str, apps: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether a table is captured for exactly these apps, and its triggers are known never to have been away."""
        known = {table.relation: table for table in captured_tables(self._connection)}.get(relation)
        is_whole = known is not None and not (known.problem or known.advice)
        return is_whole and self._known().get(relation) == apps

    def _triggers(self, table: Captured) -> dict[str, str]:
        """The statements of the triggers that capture a table, by name."""
        relation = table.relation
        triggers = {
            "insert": ("AFTER INSERT", "", [_told(tag, _of(tag, "NEW")) for tag in table.tags]),
            "update": (
                "AFTER UPDATE",
                "",
                [_told(tag, f"{_of(tag, 'OLD')} UNION {_of(tag, 'NEW')}") for tag in table.tags],
            ),
            "delete": ("AFTER DELETE", "", [_told(tag, _of(tag, "OLD")) for tag in table.tags]),
        } | _replace_triggers(table, conflicts_of(unique_keys(self._connection, relation)))
        named = {_name(relation, kind): parts for kind, parts in triggers.items()}
        return {
            name: f"CREATE TRIGGER {quoted(name)} {event} ON {quoted(relation)} {when}BEGIN {' '.join(told)} END"
            for name, (event, when, told) in named.items()
            if told
        }

    def _present(self, relation: str) -> dict[str, str]:
        """The statements of the triggers of a table, and of those with their names on one that had its name before."""
        former = tuple(_name(relation, kind) for kind in _KINDS)
        rows = self._connection.execute(
            f"SELECT name, sql FROM sqlite_master WHERE {_OURS} OR (type = 'trigger' AND name IN (?, ?, ?, ?, ?))",
            (relation, *former),
        )
        return dict(rows.fetchall())

    def _cleared(self, relation: str) -> list[str]:
        """The statements that end the capture of a table."""
        return [*(f"DROP TRIGGER {quoted(name)}" for name in self._present(relation)), *self._forgotten(relation)]

    def _forgotten(self, relation: str) -> list[str]:
        """The statements after which it is not known that a table is captured."""
        dropped = [f"DROP VIEW IF EXISTS {quoted(name)}" for name in guards(self._connection, relation)]
        return [*dropped, f"DELETE FROM parbake_capture WHERE relation = {sql_text(relation)}"]


def _collated_columns(statement: str) -> set[str]:
    """The columns, in lower case, that a CREATE TABLE declares with another collation than BINARY.

    Args:
        statement: The statement.
    """
    found: set[str] = set()
    depth, column, before = 0, "", ""
    for piece in PIECES.findall(statement):
        if piece.startswith(("--", "/*")):
            continue
        word = piece.strip("\"'`[]").lower()
        if piece in "()":
            depth += 1 if piece == "(" else -1
        elif depth == 1 and before in ("(", ","):
            column = word
        elif depth == 1 and before == "collate" and word != "binary":
            found.add(column)
        before = piece.lower()
    return found


def _name(relation: str, kind: str) -> str:
    """The name of a trigger, which those of no other table have: ``a_replace_by`` has another ``update`` than ``a``."""
    is_taken = f"{relation}_{kind}".lower().endswith(f"_{_KINDS[-1]}") and kind != _KINDS[-1]
    return f"parbake_capture_{relation}_{'at_' if is_taken else ''}{kind}"


def _json(value: object) -> str:
    return sql_text(msgspec.json.encode(value).decode())


def _told(template: str, tags: str) -> str:
    """The statement that writes an event for each of the tags that a query finds."""
    return _TOLD.format(kind="capture.changed" if "/" in template else "capture.bulk", tags=tags)


def _replace_triggers(table: Captured, conflicts: Conflicts) -> dict[str, tuple[str, str, list[str]]]:
    """The triggers for the rows that ``REPLACE`` deletes: by kind, the event, the condition and the statements.

    The condition spares an ordinary statement the queries for tags, which take longer.
    """
    relation = quoted(table.relation)
    tags = [tag for tag in table.tags if "{" in tag]
    families = dict.fromkeys(map(family, tags))
    rows = f"FROM {relation} AS r WHERE {conflicts.rows}"
    triggers = {}
    for kind, event, unknown, is_other in (
        ("replace", "BEFORE INSERT", conflicts.unknown_inserted, ""),
        ("replace_by_update", "BEFORE UPDATE", conflicts.unknown_updated, conflicts.is_other),
    ):
        statements = [_told(name, f"SELECT {sql_text(name)} AS tag WHERE {unknown}") for name in families if unknown]
        conditions = [unknown] if unknown else []
        if conflicts.rows and unknown != "1":
            statements += [_told(tag, f"{_of(tag, 'r')} {rows} EXCEPT {_of(tag, 'NEW')}") for tag in tags]
            among = f"({conflicts.rows}) AND {is_other}" if is_other else conflicts.rows
            conditions.append(f"EXISTS (SELECT 1 FROM {relation} AS r WHERE {among})")
        triggers[kind] = (event, f"WHEN {' OR '.join(conditions)} ", statements)
    return triggers


def _of(template: str, row: str) -> str:
    """The query for the tag of a row. It finds the family if a value is neither a whole number nor a text."""
    name = sql_text(family(template))
    if "/" not in template:
        return f"SELECT {name} AS tag"
    columns = [f"{row}.{quoted(part)}" for kind, part in pieces(template) if kind == "column"]
    parts = [
        sql_text(part) if kind == "text" else sqlite_part(f"{row}.{quoted(part)}") for kind, part in pieces(template)
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
