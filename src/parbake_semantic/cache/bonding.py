"""What invalidates a cached answer: its age and, if the cache has an app, changes of the data it was computed from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from parbake.app.application import App
from parbake.errors import BadInput, StoreError
from parbake.ports.event_log import Ack
from parbake.ports.records import Lookup
from parbake.ports.store import Store
from parbake.process.trouble import Trouble
from parbake.protocol.cause import Reason
from parbake.protocol.record import Header, Record, Tags
from parbake.protocol.recording import Recording
from parbake.tasks.registry import Registry
from parbake.values.duration import Duration, seconds
from parbake.values.redaction import one_line
from parbake_semantic.cache.driving import Driver

_log = logging.getLogger(__name__)
T = TypeVar("T")


class AppBonds(Protocol):
    """The part of an app that binds values outside its store."""

    @property
    def store(self) -> Store:
        """The app's store."""
        ...

    async def begin(self) -> Recording:
        """Read the stamp before anything else is read."""
        ...

    def listening(self, recording: Recording) -> AbstractContextManager[None]:
        """Record all reads through the app within the context."""
        ...

    def check(self, tags: Sequence[str]) -> None:
        """Reject tags that are never raised."""
        ...

    def seal(self, recording: Recording, tags: Sequence[str], started: float) -> Record | None:
        """Make a record without a value from the recorded reads.

        Args:
            recording: What was read.
            tags: Further tags that the value depends on.
            started: When the computation started, in epoch seconds.
        """
        ...

    def tell(self, record: Record | None) -> None:
        """Bind the running task, if any, by an answer that it received."""
        ...

    def now(self) -> float:
        """The current time, in epoch seconds."""
        ...

    @property
    def acknowledged(self) -> Callable[[Callable[[], Awaitable[Ack]]], Awaitable[Ack]]:
        """Applies a change that no outbox holds, so that its acknowledgement outlives a loss of the store."""
        ...

    @property
    def is_immediate(self) -> bool:
        """Whether reads of the store return at once."""
        ...

    async def reason(self, record: Record, sla_s: float) -> Reason | None:
        """Judge a record by a new snapshot.

        Args:
            record: The record.
            sla_s: The greatest age in seconds.
        """
        ...

    def judged(self, record: Header, lookup: Lookup, sla_s: float) -> Reason | None:
        """Judge a record by what was read in one snapshot with it.

        Args:
            record: The record, or its header.
            lookup: What it is judged by.
            sla_s: The greatest age in seconds.
        """
        ...


class Runner(Protocol):
    """Runs an app's coroutines for synchronous code."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it."""
        ...


class Fenced(Protocol):
    """The part of an app that a cache needs."""

    @property
    def bonds(self) -> AppBonds:
        """See :class:`AppBonds`."""
        ...

    @property
    def sync(self) -> Runner:
        """See :class:`Runner`."""
        ...


class Begun(NamedTuple):
    """An answer that is being computed: what it reads, and when it began, in epoch seconds."""

    recording: Recording
    at: float


class Bonding:
    """Binds answers by an app's fence and by age."""

    def __init__(self, app: Fenced | None, freshness_sla: Duration | None) -> None:
        """Create the binding. Raises :class:`BadInput` if neither an app nor an age would ever invalidate an answer."""
        if app is None and freshness_sla is None:
            raise BadInput(
                "a cache without app= does not notice changes: give it your app, or the "
                "greatest age of an answer, such as freshness_sla='1h'",
                field="freshness_sla",
            )
        if app is not None and (isinstance(app, type) or not hasattr(type(app), "bonds")):
            raise BadInput(f"app={app!r} is not an app: give the cache pb.App(...) itself, not its .sync", field="app")
        self.sla_s = float("inf") if freshness_sla is None else seconds(freshness_sla, field="freshness_sla")
        self.app: Fenced = App(Registry(), worker="none") if app is None else app
        self._hears_changes = app is not None
        self._has_warned = False
        self.trouble = Trouble("the use of a semantic cache's store", _log)
        """Answers are computed and not kept while it lasts."""

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`BadInput` for tags that would have no effect."""
        if not tags:
            return
        if not self._hears_changes:
            raise BadInput("tags= needs app=, which is notified of their changes", field="tags")
        self.app.bonds.check(tags)

    async def begin(self, driver: Driver) -> Begun | None:
        """Begin an answer. ``None`` if the store does not respond: the answer cannot be bound then.

        Args:
            driver: How to wait.
        """
        recording = await driver.write(self._begun())
        return None if recording is None else Begun(recording, self.now())

    async def _begun(self) -> Recording | None:
        try:
            recording = await self.app.bonds.begin()
        except StoreError as error:
            self.trouble.met(one_line(error))
            return None
        if recording.origin is None:
            self.trouble.met("it does not answer")
            return None
        self.trouble.is_over()
        return recording

    def listening(self, begun: Begun) -> AbstractContextManager[None]:
        """Record the reads through the app within the context, in which the answer is computed."""
        return self.app.bonds.listening(begun.recording) if self._hears_changes else contextlib.nullcontext()

    def seal(self, begun: Begun, tags: Sequence[str]) -> Record | None:
        """Bind an answer, and the task that asked for it.

        Args:
            begun: Its computation.
            tags: What it depends on besides what was recorded.

        Returns:
            Its record, without a value; ``None`` if nothing could invalidate it, and it is then not stored.
        """
        bonds = self.app.bonds
        record = bonds.seal(begun.recording, tags, begun.at)
        if self._hears_changes:
            bonds.tell(record)
        if record is None or self.sla_s != float("inf") or record.meta.tags != Tags():
            return record
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "an answer read nothing through the app and has no tags=, so no change could invalidate it: it is not "
                "stored; name what it depends on, or give the cache a freshness_sla="
            )
        return None

    def tell(self, record: Record) -> None:
        """Bind the task that asks the cache, if any, by the answer that it receives."""
        if self._hears_changes:
            self.app.bonds.tell(record)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.app.bonds.now()
