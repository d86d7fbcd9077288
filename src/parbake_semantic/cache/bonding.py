"""What invalidates a cached answer: its age and, if the cache has an app, changes of the data it was computed from."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from parbake.errors import BadInput, StoreError
from parbake.ports.clock import Clock
from parbake.process.system_clock import SystemClock
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.record import Meta, Record, Stamp, Tags, bond
from parbake.protocol.recording import Recording
from parbake.values.duration import Duration, humanize, seconds

_log = logging.getLogger(__name__)
T = TypeVar("T")
Judge = Callable[[Record], Reason | None]
"""Return the reason why an answer is not valid any more, or ``None``. It is called in a thread that may block."""


class AppBonds(Protocol):
    """The part of an app that binds values outside its store."""

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
    def is_immediate(self) -> bool:
        """Whether records can be judged without waiting."""
        ...

    def reason_at_once(self, record: Record, sla_s: float) -> Reason | None:
        """Judge a record without waiting."""
        ...

    async def reason(self, record: Record, sla_s: float) -> Reason | None:
        """Judge a record."""
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


class NewAnswer:
    """A new answer and its bond; ``bond`` is ``None`` if nothing could invalidate it, and it is then not stored."""

    def __init__(self) -> None:
        self.bond: Record | None = None


class Bonding:
    """Binds answers by an app's fence and by age, or by age alone if there is no app."""

    def __init__(self, app: Fenced | None, freshness_sla: Duration | None, clock: Clock | None = None) -> None:
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
        self._app, self._clock = app, clock or SystemClock()
        self._has_warned = False

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`BadInput` for tags that would have no effect."""
        if not tags:
            return
        if self._app is None:
            raise BadInput("tags= needs app=, which is notified of their changes", field="tags")
        self._app.bonds.check(tags)

    @contextlib.contextmanager
    def recorded(self, tags: Sequence[str]) -> Iterator[NewAnswer]:
        """Record the reads through the app while an answer is computed within the context."""
        app = self._app
        recording = None if app is None else app.sync.run(_or_none(app.bonds.begin()))
        with self._noted(recording, tags) as made:
            yield made

    @contextlib.asynccontextmanager
    async def recorded_async(self, tags: Sequence[str]) -> AsyncIterator[NewAnswer]:
        """Like :meth:`recorded`, on the app's event loop."""
        recording = None if self._app is None else await _or_none(self._app.bonds.begin())
        with self._noted(recording, tags) as made:
            yield made

    @contextlib.contextmanager
    def _noted(self, recording: Recording | None, tags: Sequence[str]) -> Iterator[NewAnswer]:
        made, app = NewAnswer(), self._app
        if app is None:
            made.bond = self._by_age()
            yield made
            return
        with contextlib.nullcontext() if recording is None else app.bonds.listening(recording):
            started = app.bonds.now()
            yield made
        self._bind(made, app.bonds, recording, (tags, started))

    def judge(self, loop: asyncio.AbstractEventLoop | None = None) -> Judge:
        """A judge of answers for use in a thread; ``loop`` is the app's event loop, if it runs on one."""
        app = self._app
        if app is None:
            return self._too_old
        bonds, sla_s = app.bonds, self.sla_s
        if bonds.is_immediate:
            return lambda record: bonds.reason_at_once(record, sla_s)
        if loop is None:
            return lambda record: app.sync.run(bonds.reason(record, sla_s))
        return lambda record: asyncio.run_coroutine_threadsafe(bonds.reason(record, sla_s), loop).result()

    def _by_age(self) -> Record:
        return bond(Stamp(0, 0).pack(), self._clock.now(), Meta(Tags()))

    def _too_old(self, record: Record) -> Reason | None:
        is_late = self._clock.now() - record.computed_at > self.sla_s
        return Reason(Cause.PAST_SLA, humanize(self.sla_s)) if is_late else None

    def tell(self, record: Record) -> None:
        """Bind the task that asks the cache, if any, by the answer that it receives."""
        if self._app is not None:
            self._app.bonds.tell(record)

    def _bind(
        self, made: NewAnswer, bonds: AppBonds, recording: Recording | None, with_what: tuple[Sequence[str], float]
    ) -> None:
        """Bind a fresh answer and the task that asked for it. An answer that nothing could invalidate is not stored."""
        tags, started = with_what
        record = None if recording is None else bonds.seal(recording, tags, started)
        bonds.tell(record)
        if record is None or self.sla_s != float("inf") or record.meta.tags != Tags():
            made.bond = record
        elif not self._has_warned:
            self._has_warned = True
            _log.warning(
                "an answer read nothing through the app and has no tags=, so no change could invalidate it: it is not "
                "stored; name what it depends on, or give the cache a freshness_sla="
            )


async def _or_none(begin: Coroutine[Any, Any, Recording]) -> Recording | None:
    try:
        return await begin
    except StoreError:
        _log.exception("the store does not respond; this answer is returned but not stored")
        return None
