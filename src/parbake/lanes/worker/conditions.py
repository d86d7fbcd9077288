"""What degrades all servers of a store alike: each condition is named, with the tasks that it affects.

A condition never makes a server unready. A load balancer would otherwise take every server out of service at once,
although most tasks can still be served.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import isinf
from typing import Literal

import msgspec

from parbake.errors import DamagedStore, ForeignSource, OutdatedStore, StoreError
from parbake.lanes.event.unknown_families import UnknownFamilies
from parbake.lanes.worker.worker_watch import WorkerState, WorkerWatch
from parbake.ports.clock import Clock
from parbake.ports.records import Lookup
from parbake.ports.sources import Log, Topic
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.protocol.control import Control
from parbake.protocol.record import Meta, Tags, bond
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.values.duration import humanize
from parbake.values.redaction import one_line

Kind = Literal[
    "store_silent", "store_damaged", "store_outdated", "store_recovering", "source_silent", "disk_full",
    "not_built", "quarantined", "worker_silent",
    "unknown_family", "changes_untold",
]  # fmt: skip
UNUSABLE: frozenset[Kind] = frozenset({"store_silent", "store_damaged", "store_outdated"})
"""Conditions that hide all others."""
_SETTLES_S = 3.0
"""A store that has just begun to answer, or was replaced, holds old heartbeats until the sources were polled again."""
NOTHING = bond(b"", 0.0, Meta(Tags(())))
"""A record without tags: it is only read to see the control record and the heartbeats."""


class Condition(msgspec.Struct, frozen=True):
    """One thing that is not as it should be: its kind, what it is about, a sentence, and the tasks that it affects."""

    kind: Kind
    about: str
    message: str
    tasks: tuple[str, ...]

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from other conditions."""
        return self.kind, self.about


class Sighting(msgspec.Struct, frozen=True):
    """One look: the conditions; unless the store is silent, also its control record and the state of the workers."""

    conditions: tuple[Condition, ...]
    control: Control | None = None
    workers: WorkerState | None = None


def _unusable(error: StoreError) -> tuple[Kind, str, str]:
    if isinstance(error, OutdatedStore):
        return "store_outdated", "store", f"an earlier store has come back: {one_line(error)}"
    if isinstance(error, DamagedStore):
        return "store_damaged", "store", f"the store is damaged: {one_line(error)}"
    return "store_silent", "store", f"the store does not answer: {one_line(error)}"


class Conditions:
    """Looks at the store, the sources and the workers."""

    def __init__(
        self,
        store: Store,
        bound_tasks: Iterable[BoundTask],
        *,
        clock: Clock,
        counters: Counters,
        workers: WorkerWatch,
        unknown: UnknownFamilies,
        silences: Callable[[Mapping[str, float], float], Iterable[tuple[Log | Topic, float]]],
    ) -> None:
        """Look at nothing yet; see :meth:`parbake.serving.read.Resolver.silences` for ``silences``."""
        self._store = store
        self._bound_tasks = [bound for bound in bound_tasks if not bound.off]
        self._clock = clock
        self._counters = counters
        self._workers = workers
        self._unknown = unknown
        self._silences = silences
        self._late: Collection[str] = ()
        self._incarnation, self._answers_since = 0, 0.0

    async def look(self) -> Sighting:
        """Return all conditions as they are now."""
        try:
            lookup = await self._store.look_again(NOTHING)
            workers = None if self._workers.setting == "none" else await self._workers.look()
            unknown = await self._unknown.names()
        except StoreError as error:
            self._incarnation = 0
            self._workers.forget()
            return Sighting((self._of_all(*_unusable(error)),))
        found = [*map(self._misspelt, unknown), *self._in_store(lookup), *self._silent(lookup)]
        if workers is not None and workers.trouble:
            found.append(self._worker(workers.trouble))
        return Sighting(tuple(found), lookup.control, workers)

    def _in_store(self, lookup: Lookup) -> Iterator[Condition]:
        control = lookup.control
        if not control.is_trusted:
            message = "the store is being recovered after a loss: values are computed on request"
            yield self._of_all("store_recovering", "store", message)
        if self._counters.store_full:
            yield self._of_all("disk_full", "store", f"the store has no room: {self._counters.store_full}")
        for bound in self._bound_tasks:
            entry = control.quarantined.get(bound.name)
            if entry is not None and not entry.cleared:
                message = f"{bound.name} is in quarantine: {entry.reason}"
                yield Condition("quarantined", bound.name, message, (bound.name,))
            if bound.task.schedule and not bound.chooses_keys and not control.pointer(bound.ref):
                yield self._not_built(bound)

    def _misspelt(self, family: str) -> Condition:
        message = f"events of {family!r} outdate nothing, because no task or source declares it: correct their tags"
        return self._of_all("unknown_family", family, message)

    def _not_built(self, bound: BoundTask) -> Condition:
        if not isinstance(bound.task, ModelTask):
            message = f"{bound.name} has no generation yet: requests compute it"
            return Condition("not_built", bound.name, message, (bound.name,))
        readers = [other.name for other in self._bound_tasks if bound.task in other.task.may_read]
        message = f"{bound.name} has no generation yet: what needs it cannot be computed"
        return Condition("not_built", bound.name, message, (bound.name, *readers))

    def _silent(self, lookup: Lookup) -> Iterator[Condition]:
        now, control = self._clock.now(), lookup.control
        if control.incarnation != self._incarnation:
            self._incarnation, self._answers_since = control.incarnation, now
        has_settled = now - self._answers_since >= _SETTLES_S
        sources = [source for source, _ in self._silences({}, now)]
        # A new store has no heartbeat until the sources were read to their ends, which takes a moment.
        heard = {**dict.fromkeys((s.name for s in sources), self._answers_since), **lookup.heartbeats}
        late = {source.name: s for source, s in self._silences(heard, now) if has_settled or source.name in self._late}
        self._late = late.keys()
        for source in sources:
            trouble = self._counters.source_troubles.get(source.name)
            why = f": {one_line(trouble)}" if trouble else ""
            if self._counters.untold.get(source.name) or self._counters.advice.get(source.name):
                yield self._untold(source)
            if source.name in late:
                since = self._since(late[source.name], is_heard=source.name in lookup.heartbeats)
                families = ", ".join(sorted(source.families))
                unknown = f"source {source.name} {since}: whether values that depend on {families} hold is unknown"
                message = f"{unknown}; its polls fail{why}" if why else unknown
            elif isinstance(trouble, ForeignSource):  # it will not be heard again by itself
                message = f"source {source.name} is not read any more{why}"
            else:
                continue
            yield Condition("source_silent", source.name, message, self._fenced_by(source.families))

    def _untold(self, source: Log | Topic) -> Condition:
        trouble = self._counters.untold.get(source.name)
        said = [f"{trouble}; its families are raised with every poll"] if trouble else []
        advice = self._counters.advice.get(source.name)
        message = f"source {source.name}: {'; '.join([*said, advice] if advice else said)}"
        return Condition("changes_untold", source.name, message, self._fenced_by(source.families))

    def _since(self, silence_s: float, *, is_heard: bool) -> str:
        if not is_heard:
            return "was never read to its end"
        return "has a heartbeat from the future" if isinf(silence_s) else f"was last heard {humanize(silence_s)} ago"

    def _fenced_by(self, families: Collection[str]) -> tuple[str, ...]:
        return tuple(b.name for b in self._bound_tasks if not b.fenced_throughout.isdisjoint(families))

    def _worker(self, trouble: str) -> Condition:
        refreshed = [b.name for b in self._bound_tasks if b.task.schedule or b.contract.binding]
        return Condition("worker_silent", "worker", trouble, tuple(refreshed))

    def _of_all(self, kind: Kind, about: str, message: str) -> Condition:
        return Condition(kind, about, message, tuple(bound.name for bound in self._bound_tasks))
