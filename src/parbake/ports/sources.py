"""The ports of systems of record and of topics: an ordered log of events, and versioned views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

from parbake.protocol.recording import Tracker

ViewT = TypeVar("ViewT")


class SourceEvent(msgspec.Struct, frozen=True):
    """One event of an ordered log, such as a row of an outbox.

    ``source`` and ``at`` (epoch seconds, 0 if unknown) are the event's own attributes, if it has them. If an event
    could not be read, ``problem`` says why, and ``raw`` holds its bytes for a later retry.
    """

    position: int
    id: str
    subject: str
    type: str
    source: str = ""
    at: float = 0.0
    problem: str = ""
    raw: bytes = b""


class Extent(msgspec.Struct, frozen=True):
    """The extent of an ordered log: the last position that was removed, and the last one that was ever assigned."""

    gone: int
    last: int


class EventSource(Protocol):
    """An ordered log of events: an outbox, or one partition of a topic.

    Positions begin at 1 and rise in the order in which the events took effect: once a position was seen, no lower one
    appears later. With ``is_gapless`` every position is used, so that a missing one means a lost event.
    """

    name: str
    is_gapless: bool

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it reports."""
        ...

    def extent(self) -> Extent:
        """Its present extent; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """The first ``limit`` events after a position, in order; empty at the end of the log; blocking.

        An event that cannot be read is returned with its problem. Raises :class:`parbake.errors.SourceError`.
        """
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class Topic(Protocol):
    """Several event sources under one name. Its families have a heartbeat only if all its sources were polled."""

    name: str

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it reports."""
        ...

    def parts(self) -> Sequence[EventSource]:
        """Its event sources as of now; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def close(self) -> None:
        """Release it and its parts."""
        ...


class Source(EventSource, Protocol):
    """A system of record: versioned views that record their reads, and an ordered outbox."""

    def provides(self, view: type[Any]) -> bool:
        """Whether this source opens that view."""
        ...

    def open(self, view: type[ViewT], tracker: Tracker) -> AbstractContextManager[ViewT]:
        """Open a view on a transaction of the primary that begins now; blocking."""
        ...
