"""A copy of a source's database: its tables, and changes of single rows that are undone again."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from parbake.protocol.table_names import table_name
from parbake.protocol.tags import family, raised_by
from parbake_capture.opening import open_capture
from parbake_capture.tables import Captured
from parbake_lab.prove.drivers import Call

_MOST_ROWS = 500
"""How many rows of a table are looked at, at most, to pick from."""
Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table: its type, and what a new value has to respect."""

    name: str
    kind: str
    is_nullable: bool = True
    is_key: bool = False
    is_unique: bool = False
    parent: tuple[str, str] | None = None
    """The table and the column that its values refer to."""


@dataclass(frozen=True)
class Table:
    """A table of the copy.

    Attributes:
        name: Its name, without the schema.
        ref: How statements name it.
        columns: Its columns by name, without those that are computed.
        row_id: What identifies a row if there is no primary key.
        is_told: Whether it has triggers of others that write to the outbox.
    """

    name: str
    ref: str
    columns: Mapping[str, Column]
    row_id: str
    is_told: bool = False

    @property
    def key(self) -> list[str]:
        """What identifies a row."""
        return [column.name for column in self.columns.values() if column.is_key] or [self.row_id]

    @property
    def all(self) -> list[str]:
        """The names of everything that a row holds."""
        return list(dict.fromkeys((*self.key, *self.columns)))

    def listed(self, alias: str = "") -> str:
        """What a row holds, as a SELECT lists it."""
        before = f"{alias}." if alias else ""
        return ", ".join(before + (quoted(name) if name in self.columns else name) for name in self.all)


class Copy(ABC):
    """A copy of one source's database, on one connection, within one transaction that is never committed."""

    dialect: str
    functions: Sequence[str] = ()
    """The functions of the database's users, which may read any table."""
    refusals: tuple[type[Exception], ...]
    """What is raised if the database refuses a change."""
    overriding = ""
    """What lets an INSERT name a column that the database fills by itself."""

    def __init__(self, name: str, place: str, uncaptured: frozenset[str], tables: Sequence[Captured]) -> None:
        """Install triggers if some are named, and learn what the database holds; the transaction begins afterwards.

        Args:
            name: The source's name.
            place: The URL of the copy.
            uncaptured: The tables of which no trigger need tell.
            tables: Further tables to capture on the copy.
        """
        self.name, self.uncaptured = name, uncaptured
        self.tables = {table.name.lower(): table for table in self._tables()}
        self.views = self._views()
        self.templates: dict[str, tuple[str, ...]] = {}
        self._pools: dict[str, list[Row]] = {}
        self._capture(place, [table for table in tables if table_name(table.relation).lower() in self.tables])

    def _capture(self, place: str, tables: Sequence[Captured]) -> None:
        with contextlib.closing(open_capture(place)) as opened:
            if tables:
                opened.run(opened.install(tables, app="prove"))
            for state in (state for state in opened.states() if not state.problem):
                name = table_name(state.table.relation)
                self.templates[name] = (*self.templates.get(name, ()), *state.table.tags)

    @property
    def families(self) -> set[str]:
        """The families of which triggers tell."""
        return {family(tag) for tags in self.templates.values() for tag in tags}

    def tells_of(self, table: Table) -> bool:
        """Whether triggers tell of the changes of a table."""
        return table.name in self.templates or (table.is_told and table.name not in self.uncaptured)

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement of ours, with question marks for its values; returns its rows."""

    @abstractmethod
    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The rows of a statement as a view writes it."""

    @abstractmethod
    def undone(self) -> contextlib.AbstractContextManager[None]:
        """Undo at the end what is changed within."""

    def attempt(self) -> contextlib.AbstractContextManager[object]:
        """Undo what is changed within if that fails."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        """Keep what was changed, so that others see it, and begin another transaction at the end."""
        self.execute("COMMIT")
        try:
            yield
        finally:
            self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Begin the transaction."""

    @abstractmethod
    def led(self, call: Call) -> Call | None:
        """A connection to the original, led to the copy; ``None`` for one to another database."""

    @contextlib.contextmanager
    def closed_if_it_fails(self) -> Iterator[None]:
        """Leave nothing open behind an error."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def close(self) -> None:
        """Disconnect, and delete the copy if it was made here."""

    @abstractmethod
    def _tables(self) -> Iterable[Table]:
        """Its tables."""

    @abstractmethod
    def _views(self) -> dict[str, str]:
        """The queries behind its own views, by name."""

    @abstractmethod
    def told(self) -> list[tuple[str, str]]:
        """The subjects and types of the events that were written in this transaction."""

    def raised(self) -> frozenset[str]:
        """The tags that are raised by what was changed."""
        return frozenset(tag for subject, kind in self.told() for tag in raised_by(subject, kind))

    def pool(self, table: Table) -> list[Row]:
        """Rows of a table before any change, to pick from and to take values from."""
        if table.name not in self._pools:
            self._pools[table.name] = self.found(table, f"SELECT {table.listed()} FROM {table.ref} LIMIT {_MOST_ROWS}")
        return self._pools[table.name]

    def found(self, table: Table, statement: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a table that a statement lists by :meth:`Table.listed`; none if it fails."""
        try:
            rows = self.rows(statement, parameters or {})
        except self.refusals:
            return []
        return [dict(zip(table.all, row, strict=True)) for row in rows if row[0] is not None]

    def update(self, table: Table, row: Row, values: Mapping[str, Any]) -> None:
        """Set some columns of one row."""
        where, ids = self._where(table, row)
        setting = ", ".join(f"{quoted(column)} = ?" for column in values)
        self.execute(f"UPDATE {table.ref} SET {setting} WHERE {where}", (*values.values(), *ids))

    def rewrite(self, table: Table, row: Row, column: str) -> None:
        """Write one row as it is, which may move it."""
        where, values = self._where(table, row)
        self.execute(f"UPDATE {table.ref} SET {quoted(column)} = {quoted(column)} WHERE {where}", values)

    def delete(self, table: Table, row: Row) -> None:
        """Delete one row."""
        where, values = self._where(table, row)
        self.execute(f"DELETE FROM {table.ref} WHERE {where}", values)

    def insert(self, table: Table, row: Row | None, values: Mapping[str, Any]) -> None:
        """Insert a row: a copy of another one with some values of its own, or only these."""
        columns = list(table.columns) if row is not None else list(values)
        taken = ", ".join("?" if name in values else quoted(name) for name in columns)
        source, ids = f"VALUES ({taken})", list[Any]()
        if row is not None:
            where, ids = self._where(table, row)
            source = f"SELECT {taken} FROM {table.ref} WHERE {where}"
        given = [values[name] for name in columns if name in values]
        listed = ", ".join(map(quoted, columns))
        self.execute(f"INSERT INTO {table.ref} ({listed}) {self.overriding} {source}", (*given, *ids))

    def _where(self, table: Table, row: Row) -> tuple[str, list[Any]]:
        return " AND ".join(map(self._is, table.key)), [row[name] for name in table.key]

    def _is(self, name: str) -> str:
        return f"{quoted(name)} = ?"


def quoted(name: str) -> str:
    """A name as statements write it."""
    return '"' + name.replace('"', '""') + '"'
