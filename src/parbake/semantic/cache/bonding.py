"""What binds a cached answer: the changes of what it was made of, where the cache knows an app, and its age."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from parbake.errors import BadInput, StoreError
from parbake.fence.cause import Cause, Reason
from parbake.fence.record import Meta, Record, Stamp, Tags, bond
from parbake.fence.recording import Recording
from parbake.ports.clock import Clock
from parbake.process.system_clock import SystemClock
from parbake.values.duration import Duration, humanize, seconds

_log = logging.getLogger(__name__)
T = TypeVar("T")
Judge = Callable[[Record], Reason | None]
"""Says why an answer holds no more; ``None`` while it does. Called from a thread that may wait."""


class AppBonds(Protocol):
    """What an app offers for values that are kept outside its store."""

    async def begin(self) -> Recording:
        """Read the stamp before anything else is read."""
        ...

    def listening(self, recording: Recording) -> AbstractContextManager[None]:
        """Note what is read through the app inside."""
        ...

    def check(self, tags: Sequence[str]) -> None:
        """Refuse tags that are never raised."""
        ...

    def seal(self, recording: Recording, tags: Sequence[str], started: float) -> Record | None:
        """Make a record of what was noted."""
        ...

    def tell(self, record: Record | None) -> None:
        """Have a task that asks bound by an answer."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def is_immediate(self) -> bool:
        """Whether records can be judged at once."""
        ...

    def reason_at_once(self, record: Record, sla_s: float) -> Reason | None:
        """Judge a record at once."""
        ...

    async def reason(self, record: Record, sla_s: float) -> Reason | None:
        """Judge a record."""
        ...


class Runner(Protocol):
    """Runs an app's coroutines for synchronous code."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for one."""
        ...


class Fenced(Protocol):
    """An app, as far as a cache needs it."""

    @property
    def bonds(self) -> AppBonds:
        """See :class:`AppBonds`."""
        ...

    @property
    def sync(self) -> Runner:
        """See :class:`Runner`."""
        ...


class NewAnswer:
    """What became of one answer: ``bond`` is ``None`` where nothing can bind it, so that it is not kept."""

    def __init__(self) -> None:
        """Nothing is known before the answer is there."""
        self.bond: Record | None = None


class Bonding:
    """Binds answers by an app's fence and by age, or by age alone where there is no app."""

    def __init__(self, app: Fenced | None, freshness_sla: Duration | None, clock: Clock | None = None) -> None:
        """Raises :class:`BadInput` where neither an app nor an age would ever end an answer."""
        if app is None and freshness_sla is None:
            raise BadInput(
                "a cache without app= serves an answer whatever has changed since: give it your app, or "
                "freshness_sla='1h' with the age at which an answer is asked for again",
                field="freshness_sla",
            )
        if app is not None and (isinstance(app, type) or not hasattr(type(app), "bonds")):
            raise BadInput(f"app={app!r} is not an app: give the cache pb.App(...) itself, not its .sync", field="app")
        self.sla_s = float("inf") if freshness_sla is None else seconds(freshness_sla, field="freshness_sla")
        self._app, self._clock = app, clock or SystemClock()
        self._has_warned = False

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`BadInput` for tags that would protect nothing."""
        if not tags:
            return
        if self._app is None:
            raise BadInput("tags= needs app=, which hears of their changes", field="tags")
        self._app.bonds.check(tags)

    @contextlib.contextmanager
    def recorded(self, tags: Sequence[str]) -> Iterator[NewAnswer]:
        """Note what is read through the app while an answer is made inside."""
        app = self._app
        recording = None if app is None else app.sync.run(_or_none(app.bonds.begin()))
        with self._noted(recording, tags) as made:
            yield made

    @contextlib.asynccontextmanager
    async def recorded_async(self, tags: Sequence[str]) -> AsyncIterator[NewAnswer]:
        """The same on the app's event loop."""
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
        """What judges answers from a thread; ``loop`` is the app's where it runs on one."""
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
        """A task that asks the cache is bound by the answer that it gets."""
        if self._app is not None:
            self._app.bonds.tell(record)

    def _bind(
        self, made: NewAnswer, bonds: AppBonds, recording: Recording | None, with_what: tuple[Sequence[str], float]
    ) -> None:
        """Bind a fresh answer, and whoever asked for it; nothing is kept that nothing could ever end."""
        tags, started = with_what
        record = None if recording is None else bonds.seal(recording, tags, started)
        bonds.tell(record)
        if record is None or self.sla_s != float("inf") or record.meta.tags != Tags():
            made.bond = record
        elif not self._has_warned:
            self._has_warned = True
            _log.warning(
                "an answer read nothing through the app and has no tags=, so no change could ever end it: it is not "
                "kept; name what it depends on, or give the cache a freshness_sla="
            )


async def _or_none(begin: Coroutine[Any, Any, Recording]) -> Recording | None:
    try:
        return await begin
    except StoreError:
        _log.exception("the store does not answer; this answer is given and not kept")
        return None
