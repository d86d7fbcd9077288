"""Where the newest changes came from, and how long it took until a value that depends on them was fresh again.

A worker refreshes what a server serves, so a server does not hear of it. The values are therefore read from the store:
a record says which tags it depends on, as of which change, and when it was computed, whoever has computed it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from parbake.lanes.event.queue import bound_by
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack, Change, Raised
from parbake.ports.records import Lookup
from parbake.ports.store import Store
from parbake.protocol.record import Record, Stamp
from parbake.protocol.tags import family, key_from_tag
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Artifact

_NEWEST = 100
"""How many changes are followed."""
_KEYS = 300
"""How many keys of a task are looked at, unless a tag names the key."""
_MOST_SOURCES = 2000


class FreshAgain(msgspec.Struct, frozen=True):
    """The first value that was computed after a change: of which task, in which lane, how many seconds after it."""

    task: str
    lane: str
    after_s: float


class NewestChanges:
    """The newest changes.

    Attributes:
        began: From when on changes are followed, in epoch seconds.
        sources: The sources of the changes that this process has applied, by their numbers; empty for a change that no
            source has told of.
        fresh: The first value that was computed after each change.
        waiting: The task of a value that still waits for a change.
    """

    def __init__(self, store: Store, clock: Clock, tasks: Iterable[BoundTask]) -> None:
        """Follow the changes in ``store`` from now on, as far as they outdate values of ``tasks``."""
        self._store = store
        self._items = {bound.name: (bound, bound_by(bound.task)) for bound in tasks if isinstance(bound.task, Artifact)}
        self.began = clock.now()
        self.sources: dict[int, str] = {}
        self.fresh: dict[Stamp, FreshAgain] = {}
        self.waiting: dict[Stamp, str] = {}

    def applying(self, changes: Sequence[Change]) -> Callable[[Ack | None], None]:
        """Note the sources of changes, once they are applied; see :class:`parbake.ports.observers.Observers`."""
        return partial(self._applied, [(change.source, change.tags) for change in changes])

    def _applied(self, told: Sequence[tuple[str, Sequence[str]]], ack: Ack | None) -> None:
        if ack is None:
            return
        for source, tags in told:
            self.sources.update(dict.fromkeys((ack.raised[tag] for tag in tags if tag in ack.raised), source))
        for number in list(self.sources)[: max(0, len(self.sources) - _MOST_SOURCES)]:
            del self.sources[number]

    async def newest(self) -> list[Raised]:
        """Read the newest changes, the oldest first."""
        stamp, _ = await self._store.stamp()
        return await self._store.log(Stamp(stamp.incarnation, max(0, stamp.sequence - _NEWEST)), _NEWEST)

    async def look(self) -> None:
        """Look once which changes have a value that was computed after them."""
        changes = await self.newest()
        self.fresh = {one.stamp: self.fresh[one.stamp] for one in changes if one.stamp in self.fresh}
        pending = [one for one in changes if one.at >= self.began and one.stamp not in self.fresh]
        self.waiting = {}
        by_tag: dict[str, list[Raised]] = {}
        for one in pending:
            for tag in one.tags:
                by_tag.setdefault(tag, []).append(one)
        found: dict[Stamp, FreshAgain] = {}
        for bound, items in self._items.values() if pending else ():
            watched = {item.family for item in items}
            if touched := {tag: raised for tag, raised in by_tag.items() if family(tag) in watched}:
                templates = {item.family: item.template if item.is_template else "" for item in items}
                async for lookup in self._lookups(bound, templates, touched):
                    self._compare(bound.name, lookup, touched, found)
        self.fresh |= found

    async def _lookups(
        self, bound: BoundTask, templates: Mapping[str, str], touched: Mapping[str, object]
    ) -> AsyncIterator[Lookup]:
        """The values that some tags may have outdated: of the keys that the tags name, or the first of the task.

        A change of a whole family raises the family's own name, and names no key.
        """
        if all(templates[family(tag)] and tag != family(tag) for tag in touched):
            words = [key_from_tag(templates[family(tag)], tag) for tag in touched]
            for key in [bound.keys.from_word(word) for word in words if word is not None]:
                if key is not None:
                    yield await self._store.read(bound.ref, bound.keys.encode(key))
            return
        looked_at = 0
        async for _, lookup in self._store.scan(bound.ref):
            yield lookup
            looked_at += 1
            if looked_at == _KEYS:
                return

    def _compare(
        self, task: str, lookup: Lookup, touched: Mapping[str, Sequence[Raised]], found: dict[Stamp, FreshAgain]
    ) -> None:
        """Note for which changes the newest record of a key was computed after them, and for which it was not."""
        if not lookup.records:
            return
        record = max(lookup.records, key=lambda one: one.stamp)
        for tag, as_of in _bound_as_of(record):
            for one in touched.get(tag, ()):
                if as_of < one.stamp.pack():
                    self.waiting.setdefault(one.stamp, task)
                elif record.computed_at >= one.at:  # otherwise it was kept, because its inputs are the same
                    after_s = record.computed_at + record.meta.cost_s - one.at
                    if one.stamp not in found or after_s < found[one.stamp].after_s:
                        found[one.stamp] = FreshAgain(task, record.lane, after_s)


def _bound_as_of(record: Record) -> Iterable[tuple[str, bytes]]:
    """Each tag that a record depends on, and as of which stamp."""
    return [*((tag, record.stamp) for tag in record.meta.tags.fences), *record.meta.tags.refreshes]
