"""The ports of systems of record and of topics: logs of events, and versioned views."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from parbake.protocol.recording import Tracker

ViewT = TypeVar("ViewT")


class SourceEvent(msgspec.Struct, frozen=True):
    """One event of an ordered log, such as a row of an outbox.

    ``source``, ``at`` (epoch seconds, 0 if unknown) and ``trace`` (its ``traceparent``) are the event's own attributes,
    if it has them. If an event could not be read, ``problem`` says why, and ``raw`` holds its bytes for a later retry.
    """

    position: int
    id: str
    subject: str
    type: str
    source: str = ""
    at: float = 0.0
    problem: str = ""
    raw: bytes = b""
    trace: str = ""


class Extent(msgspec.Struct, frozen=True):
    """The extent of an ordered log.

    Attributes:
        gone: The last position that was removed.
        last: The last position that was ever assigned.
        schema: Differs from what it was before if a state may differ; empty if the database fills no log by itself.
        states: The state of each table of whose changes the database tells by itself. When it differs from the one that
            a store has seen, its families are raised, because changes may not have been told in between.
        families_by_relation: The families of each such table.
        untold: Families that may change without being told at the moment.
        trouble: Why; empty if every change is told.
        advice: What an operator should do although every change is told; empty if that is nothing.
    """

    gone: int
    last: int
    schema: str = ""
    states: Mapping[str, str] = {}
    families_by_relation: Mapping[str, tuple[str, ...]] = {}
    untold: tuple[str, ...] = ()
    trouble: str = ""
    advice: str = ""


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


class LogPage(msgspec.Struct, frozen=True):
    """What a log without an order has to tell since a cursor.

    Attributes:
        events: The events, each of which was told at least once when all pages were applied.
        cursor: The cursor behind them. After the first one, it need not be kept if there are no events and nothing is
            ``lost``.
        is_end: Whether everything is told that had taken effect when this page was begun.
        lost: Why events may be missing, so that all families of the source must be raised; empty if none are.
        trouble: What keeps the log from telling every change, for the people on call; empty if nothing does.
        is_report_due: Whether the cursor must be kept although there are no events, because it has to be reported.
    """

    events: list[SourceEvent]
    cursor: bytes
    is_end: bool
    lost: str = ""
    trouble: str = ""
    is_report_due: bool = False


@runtime_checkable
class UnorderedLog(Protocol):
    """A log of events that take effect in no particular order, such as those of transactions that run side by side.

    Raising tags needs no order. A cursor therefore says exactly which events were told, and not up to where.
    """

    name: str

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it reports."""
        ...

    def read(self, cursor: bytes, limit: int) -> LogPage:
        """At most ``limit`` events that took effect and that a cursor does not cover; blocking.

        Args:
            cursor: The cursor of an earlier page; empty to begin.
            limit: The greatest number of events.

        Raises:
            ForeignSource: The cursor was made by another log, or by a later state of this one.
            StoreWentBack: The store has reported a later cursor than this one.
            SourceError: The log cannot be read.
        """
        ...

    def covers(self, cursor: bytes, ticket: int) -> bool:
        """Whether everything that a transaction told lies before a cursor; blocking.

        Asks the log's database whether the cursor still means the same there, because a crash may have changed that.

        Args:
            cursor: The cursor.
            ticket: The transaction's id.

        Raises:
            SourceError: The log cannot be read.
        """
        ...

    def told(self, ticket: int) -> list[SourceEvent]:
        """The events of one transaction, which has ended; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def report(self, cursor: bytes, silence_s: float, *, has_news: bool) -> None:
        """Tell the log's database that a store has applied everything before a cursor; blocking.

        A heartbeat of the log may be written only for a poll that began when :meth:`may_beat` was true. A store that
        cannot report thus stops trusting what it holds, because writers cannot wait for it.

        Args:
            cursor: A cursor that the store keeps durably.
            silence_s: For how many seconds after a heartbeat the store trusts what it holds.
            has_news: Whether events were applied since the last report; otherwise a report may be left out.

        Raises:
            StoreWentBack: The store has reported a later cursor than this one.
            SourceError: The database cannot be reached, or refuses the report.
        """
        ...

    def may_beat(self, cursor: bytes) -> bool:
        """Whether this process has reported under the cursor's name so lately that a poll which begins now may beat.

        Args:
            cursor: The cursor that the store keeps.
        """
        ...

    def renewed(self, cursor: bytes) -> bytes:
        """A cursor at the same place under another name, for a store that has gone back to an earlier state.

        Args:
            cursor: The cursor that the store keeps.
        """
        ...

    def leave(self, cursor: bytes) -> None:
        """Tell the log's database that nobody will read under the cursor's name again; blocking.

        Args:
            cursor: The last cursor that was reported.

        Raises:
            SourceError: The database cannot be reached.
        """
        ...

    def close(self) -> None:
        """Release the log."""
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


Log = EventSource | UnorderedLog
"""One log of events."""


class Views(Protocol):
    """The views of a system of record, which record what is read through them."""

    def provides(self, view: type[Any]) -> bool:
        """Whether this source opens that view."""
        ...

    def open(self, view: type[ViewT], tracker: Tracker) -> AbstractContextManager[ViewT]:
        """Open a view on a transaction of the primary that begins now; blocking."""
        ...


class OrderedSource(EventSource, Views, Protocol):
    """A system of record with an ordered outbox."""


class UnorderedSource(UnorderedLog, Views, Protocol):
    """A system of record whose outbox has no order."""


Source = OrderedSource | UnorderedSource
"""A system of record: versioned views that record their reads, and an outbox."""
