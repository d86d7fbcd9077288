"""The conformance suite for event sources.

A new adapter passes with a subclass that names its backend::

    class TestMyEvents(EventSourceSuite):
        def backend(self, tmp_path):
            return MyBackend(tmp_path)

:class:`EventBackend` says what the backend must be able to do. The suite also tests how a store applies the events,
because an event source is useless alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from parbake.app.application import App
from parbake.errors import SourceError
from parbake.ports.sources import EventSource, SourceEvent
from parbake.ports.store import Store
from parbake.stores.memory import MemoryStore
from parbake.tasks.registry import Registry

_FAMILY = "fact"


class EventBackend(Protocol):
    """A log of the kind that the source reads; empty at first."""

    def source(self) -> EventSource:
        """A new reader of the log, for the family ``fact``."""
        ...

    def tell(self, subject: str) -> None:
        """Append an event for a change of a tag; durable when it returns."""
        ...

    def poison(self) -> None:
        """Append an event that cannot be read."""
        ...

    def broken(self) -> EventSource:
        """A reader of a log that cannot be reached."""
        ...


class EventSourceSuite(ABC):
    """The conformance suite of :class:`parbake.ports.sources.EventSource`; a subclass names its backend."""

    @abstractmethod
    def backend(self, tmp_path: Path) -> EventBackend:
        """An empty log."""

    def test_events_come_in_order(self, tmp_path: Path) -> None:
        """Positions begin at 1 or later and rise; ids differ; the source reports the given families."""
        backend, source = self.opened(tmp_path)
        for name in "abc":
            backend.tell(f"fact/{name}")
        rows = source.poll(0, 10)
        assert subjects(rows) == ["fact/a", "fact/b", "fact/c"]
        assert all(row.type.endswith(".changed") and not row.problem for row in rows)
        positions = [row.position for row in rows]
        assert positions == sorted(set(positions))
        assert positions[0] >= 1
        assert len({row.id for row in rows} - {""}) == len(rows)
        assert list(source.families) == [_FAMILY]
        source.close()

    def test_reading_resumes_from_any_position(self, tmp_path: Path) -> None:
        """The events after a position are the same, whenever and however often they are read."""
        backend, source = self.opened(tmp_path)
        for name in "abc":
            backend.tell(f"fact/{name}")
        rows = source.poll(0, 10)
        assert source.poll(rows[0].position, 10) == rows[1:]
        assert source.poll(0, 10) == rows
        assert source.poll(rows[1].position, 10) == rows[2:]
        backend.tell("fact/d")
        assert subjects(source.poll(rows[2].position, 10)) == ["fact/d"]
        source.close()

    def test_pages_are_bounded(self, tmp_path: Path) -> None:
        """No page exceeds its limit, and the pages together contain every event."""
        backend, source = self.opened(tmp_path)
        for n in range(7):
            backend.tell(f"fact/{n}")
        seen: list[SourceEvent] = []
        while page := source.poll(seen[-1].position if seen else 0, 3):
            assert len(page) <= 3
            seen += page
        assert subjects(seen) == [f"fact/{n}" for n in range(7)]
        source.close()

    def test_the_end_is_an_empty_page(self, tmp_path: Path) -> None:
        """An empty log and a fully read one return an empty page; the extent says where the log ends."""
        backend, source = self.opened(tmp_path)
        assert source.poll(0, 10) == []
        assert (source.extent().gone, source.extent().last) == (0, 0)
        backend.tell("fact/a")
        last = source.poll(0, 10)[-1].position
        assert source.poll(last, 10) == []
        assert (source.extent().gone, source.extent().last) == (0, last)
        source.close()

    def test_two_readers_are_independent(self, tmp_path: Path) -> None:
        """No reader takes an event away from the other, or moves its position."""
        backend, one = self.opened(tmp_path)
        other = backend.source()
        for name in "ab":
            backend.tell(f"fact/{name}")
        rows = one.poll(0, 1)
        assert other.poll(0, 10)[:1] == rows
        assert subjects(one.poll(rows[0].position, 10)) == ["fact/b"]
        one.close()
        assert subjects(other.poll(0, 10)) == ["fact/a", "fact/b"]
        other.close()

    def test_poison_is_delivered_and_blocks_nothing(self, tmp_path: Path) -> None:
        """An event that cannot be read has a position like any other, and later events are delivered."""
        backend, source = self.opened(tmp_path)
        backend.tell("fact/a")
        backend.poison()
        backend.tell("fact/b")
        rows = source.poll(0, 10)
        assert [rows[0].subject, rows[2].subject] == ["fact/a", "fact/b"]
        assert source.poll(rows[1].position, 10) == rows[2:]
        source.close()

    def test_out_of_reach_is_a_source_error(self, tmp_path: Path) -> None:
        """The error comes within seconds and names the source."""
        self.backend(tmp_path)
        source = self.backend(tmp_path).broken()
        for use in (source.extent, lambda: source.poll(0, 1)):
            try:
                use()
            except SourceError as error:
                assert source.name.startswith(error.field)
                assert error.field
            else:
                raise AssertionError("a log out of reach was read")
        source.close()

    async def test_an_app_applies_each_event_once_and_parks_poison(self, tmp_path: Path) -> None:
        """From the log to the store: tags raised, poison kept with its reason, position and heartbeat moved."""
        backend, source = self.opened(tmp_path)
        app, store = over(source)
        backend.tell("fact/a")
        backend.poison()
        backend.tell("fact/b")
        ack = await app.drain()
        assert ack is not None
        last = source.poll(0, 10)[-1].position
        assert await app.ops.applied() == {source.name: last}
        raised = {tag for entry in await app.ops.raised_since(type(ack.stamp)(0, 0)) for tag in entry.tags}
        assert raised == {"fact/a", "fact/b", "fact", "fact/*"}
        (parked,) = await app.ops.parked()
        assert (parked.source, parked.reason != "") == (source.name, True)
        assert source.name in (await store.read("x", b"y")).heartbeats
        assert await app.drain() is None
        assert await app.stamp() == ack.stamp
        source.close()

    async def test_redelivery_is_harmless(self, tmp_path: Path) -> None:
        """A store that has lost its position receives all events again, and counts them as duplicates."""
        backend, source = self.opened(tmp_path)
        app, _ = over(source)
        backend.tell("fact/a")
        first = await app.drain()
        await app.ops.restart(source.name)
        again = await app.drain()
        assert first is not None
        assert again is not None
        assert (again.duplicates, set(again.raised)) == (1, set(first.raised))
        source.close()

    async def test_two_processes_raise_each_event_once(self, tmp_path: Path) -> None:
        """The second process finds the position moved, and continues from there."""
        backend, source = self.opened(tmp_path)
        app, store = over(source)
        other, _ = over(backend.source(), store)
        for name in "abc":
            backend.tell(f"fact/{name}")
        ack = await app.drain()
        assert await other.drain() is None
        backend.tell("fact/d")
        assert await other.drain() is not None
        assert await app.drain() is None
        assert ack is not None
        assert (await app.stamp()).sequence == 4
        source.close()
        await other.close()

    def opened(self, tmp_path: Path) -> tuple[EventBackend, EventSource]:
        """An empty log with one reader."""
        backend = self.backend(tmp_path)
        return backend, backend.source()


def subjects(rows: list[SourceEvent]) -> list[str]:
    """The subjects of some events."""
    return [row.subject for row in rows]


def over(source: EventSource, store: Store | None = None) -> tuple[App, Store]:
    """An app without tasks that reads a source."""
    kept = store or MemoryStore()
    return App(Registry(), store=kept, events=[source]), kept
