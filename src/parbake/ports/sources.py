"""What is asked of systems of record and of topics: an ordered log of events, and versioned views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

from parbake.fence.recording import Tracker

ViewT = TypeVar("ViewT")


class SourceEvent(msgspec.Struct, frozen=True):
    """One event of an ordered log, such as a row of an outbox.

    ``source`` and ``at`` (epoch seconds, 0 when unknown) are the event's own, where it has them. An event that could
    not be read at all says why in ``problem``; ``raw`` is what was there, kept so that it can be tried again.
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
    """How far an ordered log reaches: the last position that is gone from it, and the last that was ever given."""

    gone: int
    last: int


class EventSource(Protocol):
    """An ordered log of events: an outbox, or one partition of a topic.

    Positions begin at 1 and rise in the order in which the events took effect: once one was seen, none below it ever
    appears. ``is_gapless`` says that each position is used, so that a missing one is a lost event.
    """

    name: str
    is_gapless: bool

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it tells."""
        ...

    def extent(self) -> Extent:
        """How far it reaches now; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Events after a position in order, none when it is the end; blocking.

        An event that cannot be read is returned with its problem. Raises :class:`parbake.errors.SourceError`.
        """
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class Topic(Protocol):
    """Several event sources that are told of by one name: its families are heard once all of them were."""

    name: str

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it tells."""
        ...

    def parts(self) -> Sequence[EventSource]:
        """Its event sources as of now; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def close(self) -> None:
        """Release it and its parts."""
        ...


class Source(EventSource, Protocol):
    """A system of record: versioned views that record what they are read through, and an ordered outbox."""

    def provides(self, view: type[Any]) -> bool:
        """Whether this source opens that view."""
        ...

    def open(self, view: type[ViewT], tracker: Tracker) -> AbstractContextManager[ViewT]:
        """Open a view on a transaction of the primary begun now; blocking."""
        ...
