"""What every source must do.

A new adapter passes with a subclass that names its backend::

    class TestMySource(SourceSuite):
        def backend(self, tmp_path):
            return MyBackend(tmp_path)

The backend has a table ``fact(name, value)`` and an outbox; :class:`Backend` says what it must be able to do.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from parbake.errors import BadInput, SourceError
from parbake.ports.sources import Source, SourceEvent, UnorderedLog
from parbake.ports.views import View


class Backend(Protocol):
    """A database of the kind that the source reads, empty at first."""

    def source(self, *, families: Collection[str], views: Collection[type[View]]) -> Source:
        """A source for this database."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """A connection with a transaction, which is committed at the end and rolled back after an error."""
        ...

    def execute(self, connection: Any, statement: str) -> None:
        """Execute a statement inside a transaction."""
        ...

    def emit(self, connection: Any, subject: str, event_type: str) -> object:
        """Write an outbox row inside a transaction.

        Args:
            connection: The connection with the transaction.
            subject: The tag, such as ``policy/returns``.
            event_type: The type; it ends in .changed, .created, .deleted or .bulk.
        """
        ...

    def broken(self, *, families: Collection[str], views: Collection[type[View]]) -> Source:
        """Create a source for these families and views whose database cannot be reached."""
        ...


class Facts(View):
    """Reads the suite's table."""

    families = ("fact",)

    def value(self, name: str) -> str | None:
        """One value by name."""
        self.entity(f"fact/{name}")
        found = self.rows("SELECT value FROM fact WHERE name = :name", name=name)
        return str(found[0][0]) if found else None

    def count(self) -> int:
        """The number of facts."""
        self.whole_set("fact")
        return int(self.rows("SELECT COUNT(*) FROM fact")[0][0])


class UnknownView(View):
    """A view that no source of the suite provides."""

    families = ()


class Seen:
    """A tracker that records what is read."""

    def __init__(self) -> None:
        self.tags: list[str] = []

    def entity(self, tag: str) -> None:
        """Record an entity."""
        self.tags.append(tag)

    def whole_set(self, name: str) -> None:
        """Record a set."""
        self.tags.append(f"{name}/*")

    def query(self, view: object, statement: str, parameters: object, rows: object) -> None:
        """Do nothing.

        Args:
            view: The view.
            statement: The statement.
            parameters: Its parameters, by name.
            rows: The rows that it returned.
        """

    def unnamed(self, view: object, method: str) -> None:
        """Do nothing, because nothing is bound here."""


class SourceSuite(ABC):
    """The conformance suite of :class:`parbake.ports.sources.Source`; a subclass names its backend."""

    @abstractmethod
    def backend(self, tmp_path: Path) -> Backend:
        """A database with an empty table ``fact(name, value)`` and an outbox."""

    def test_views_read_and_record(self, tmp_path: Path) -> None:
        """A view reads with named parameters. Its statement, its parameters and its rows are recorded."""
        backend, seen = self.backend(tmp_path), Seen()
        self.put(backend, "a", "it''s: 100%")
        source = backend.source(families=["fact"], views=[Facts])
        with source.open(Facts, seen) as facts:
            assert facts.value("a") == "it's: 100%"
            assert facts.value("b") is None
            assert facts.count() == 1
        assert seen.tags == ["fact/a", "fact/b", "fact/*"]
        source.close()

    def test_only_its_own_views_are_provided(self, tmp_path: Path) -> None:
        """A source says which views it provides and which families its outbox reports."""
        source = self.backend(tmp_path).source(families=["fact"], views=[Facts])
        assert source.provides(Facts)
        assert not source.provides(UnknownView)
        assert list(source.families) == ["fact"]
        source.close()

    def test_a_view_is_one_snapshot_begun_at_open(self, tmp_path: Path) -> None:
        """What is committed while a view is open is not mixed into what it reads; the next view sees it."""
        backend = self.backend(tmp_path)
        self.put(backend, "a", "old")
        source = backend.source(families=["fact"], views=[Facts])
        with source.open(Facts, Seen()) as facts:
            assert facts.value("a") == "old"
            self.put(backend, "b", "new")
            assert facts.count() == 1
        with source.open(Facts, Seen()) as facts:
            assert facts.count() == 2
        source.close()

    def test_the_outbox_tells_what_was_emitted(self, tmp_path: Path) -> None:
        """Rows come in pages, each row once and in the order of the commits here, with what was emitted."""
        backend = self.backend(tmp_path)
        source = backend.source(families=["fact"], views=[Facts])
        assert told_by(source)[0] == []
        for name in "abc":
            self.put(backend, name, "x")
        rows, cursor = told_by(source, limit=2)
        assert [(row.subject, row.type) for row in rows] == [(f"fact/{n}", "fact.changed") for n in "abc"]
        assert len({row.id for row in rows}) == len(rows)
        assert len({row.position for row in rows}) == len(rows)
        assert told_by(source, cursor)[0] == []
        self.put(backend, "d", "x")
        assert [row.subject for row in told_by(source, cursor)[0]] == ["fact/d"]
        source.close()

    def test_a_row_lives_and_dies_with_its_transaction(self, tmp_path: Path) -> None:
        """A rolled-back row is never delivered."""
        backend = self.backend(tmp_path)
        source = backend.source(families=["fact"], views=[Facts])
        with contextlib.suppress(SourceError), backend.transaction() as connection:
            backend.emit(connection, "fact/a", "fact.changed")
            self.fail()
        assert told_by(source)[0] == []
        self.put(backend, "b", "x")
        assert [row.subject for row in told_by(source)[0]] == ["fact/b"]
        source.close()

    def test_a_malformed_event_is_refused_before_it_is_written(self, tmp_path: Path) -> None:
        """A subject that is not a tag, or an unknown type, is an error of the caller."""
        backend = self.backend(tmp_path)
        for subject, event_type, field in (("No Tag", "fact.changed", "subject"), ("fact/a", "fact.seen", "type")):
            try:
                with backend.transaction() as connection:
                    backend.emit(connection, subject, event_type)
            except BadInput as error:
                assert error.field == field
            else:
                raise AssertionError(f"{subject} {event_type} was accepted")

    def test_a_family_that_the_source_does_not_report_is_refused(self, tmp_path: Path) -> None:
        """The source's own ``emit`` refuses a misspelt family with its name, and writes what it reports."""
        backend = self.backend(tmp_path)
        source: Any = backend.source(families=["fact"], views=[Facts])
        if not hasattr(source, "emit"):
            return
        for subject, event_type in (("fcat/a", "fact.changed"), ("fcat", "fact.bulk")):
            try:
                with backend.transaction() as connection:
                    source.emit(connection, subject, event_type)
            except BadInput as error:
                assert error.field == "subject"
                assert "'fcat'" in str(error)
            else:
                raise AssertionError(f"{subject} was accepted")
        with backend.transaction() as connection:
            source.emit(connection, "fact/a", "fact.changed")
        assert [row.subject for row in told_by(source)[0]] == ["fact/a"]
        source.close()

    def test_a_database_out_of_reach_is_a_source_error(self, tmp_path: Path) -> None:
        """The error names the source, whichever way it is used."""
        self.backend(tmp_path)
        source = self.backend(tmp_path).broken(families=["fact"], views=[Facts])
        for use in (lambda: told_by(source), lambda: source.open(Facts, Seen()).__enter__()):
            try:
                use()
            except SourceError as error:
                assert error.field == source.name
            else:
                raise AssertionError("a database out of reach was read")
        source.close()

    def test_an_error_in_a_view_does_not_spoil_the_next(self, tmp_path: Path) -> None:
        """A bad statement is a source error; the connection behind it is not handed on broken."""
        backend = self.backend(tmp_path)
        source = backend.source(families=["fact"], views=[Facts])
        try:
            with source.open(Facts, Seen()) as facts:
                facts.rows("SELECT nothing FROM nowhere")
        except SourceError:
            pass
        else:
            raise AssertionError("a bad statement was accepted")
        with source.open(Facts, Seen()) as facts:
            assert facts.count() == 0
        source.close()

    def fail(self) -> None:
        """End a transaction with an error."""
        raise SourceError("rolled back")

    def put(self, backend: Backend, name: str, value: str) -> None:
        """Write a fact in one transaction with its outbox row.

        Args:
            backend: The database.
            name: The fact's name.
            value: Its value.
        """
        with backend.transaction() as connection:
            backend.execute(connection, f"INSERT INTO fact(name, value) VALUES ('{name}', '{value}')")  # noqa: S608 - the suite's own words
            backend.emit(connection, f"fact/{name}", "fact.changed")


def told_by(source: Source, after: Any = None, limit: int = 10) -> tuple[list[SourceEvent], Any]:
    """All events of a source's outbox after a position or a cursor, read page by page, and where that ends.

    Args:
        source: The source.
        after: What an earlier call returned; ``None`` for the beginning.
        limit: The greatest number of events in a page.
    """
    events: list[SourceEvent] = []
    if isinstance(source, UnorderedLog):
        cursor, is_end = after or b"", False
        while not is_end:
            reading = source.read(cursor, limit)
            events, cursor, is_end = events + reading.events, reading.cursor, reading.is_end
        return events, cursor
    position = after or 0
    while page := source.poll(position, limit):
        events, position = events + page, page[-1].position
    return events, position
