"""The entries of one cache in the app's store: records that are judged by the fence with each read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from msgspec.structs import replace

from parbake.app.application import App
from parbake.app.plugin import Parts
from parbake.contrib.django import project, runtime
from parbake.errors import SourceError, StoreError
from parbake.ports.records import Lookup, RecordSnapshots
from parbake.ports.store import Store
from parbake.protocol.control import Control
from parbake.protocol.record import Meta, Record, Stamp, Tags, bond
from parbake.protocol.recording import Recording
from parbake.protocol.tags import spelled

UNAVAILABLE = (StoreError, SourceError)
"""What keeps a cache from being used for a while, so that values are computed."""
_TRIES = 20
_PATIENCE_S = 2.0
T = TypeVar("T")


class Entries:
    """Reads and writes the entries of a cache, for synchronous code.

    Every entry is fenced by a tag of its cache, so that raising that tag clears the cache.
    """

    def __init__(self, location: str) -> None:
        """Caches of different locations share nothing, and neither do projects on different databases."""
        self.tag = spelled(f"{runtime.FAMILY}/{location}@{project.identity()}")

    @property
    def _app(self) -> App:
        return runtime.app()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the app; raises :class:`StoreError` if it takes too long."""
        try:
            return self._app.sync.run(asyncio.wait_for(work, _PATIENCE_S))
        except TimeoutError as error:
            raise StoreError(f"the store does not answer within {_PATIENCE_S:.0f} s", field="store") from error

    @property
    def _parts(self) -> Parts:
        found: Parts = self._app.plugins[runtime.Keeper]
        return found

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._parts.clock.now()

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`BadInput` for tags that nothing raises."""
        self._app.bonds.check(tags)

    def stamp(self) -> Stamp:
        """Return the store's counter, to be read before a value is computed."""
        return self._run(self._parts.store.stamp())[0]

    def recording(self, stamp: Stamp) -> Recording:
        """Return what collects the reads of a computation that begins after a stamp was read."""
        found = Recording(stamp, origin=self._parts.store)
        found.inherited[self.tag] = None
        return found

    def listening(self, recording: Recording | None) -> AbstractContextManager[None]:
        """Add what is read through the cache in the block to a recording."""
        return self._app.bonds.listening(recording or Recording(Stamp(0, 0)))

    def tell(self, record: Record | None) -> None:
        """Bind the entry that is being computed, if any, by one that it uses; ``None`` stands for an unbound value."""
        self._app.bonds.tell(record)

    def is_fenced(self, record: Record) -> bool:
        """Whether an entry has tags, beside the one of its cache."""
        return record.meta.tags.fences != (self.tag,)

    def made(self, recording: Recording, tags: Sequence[str], payload: bytes, timeout_s: float) -> Record | None:
        """Return an entry; ``None`` if what it was computed from cannot be bound.

        Args:
            recording: The reads of its computation.
            tags: What else fences it.
            payload: Its value, encoded.
            timeout_s: For how many seconds it is valid.
        """
        now = self.now()
        found = self._app.bonds.seal(recording, tags, now)
        if found is None:
            return None
        return replace(found, payload=payload, valid_until=min(found.valid_until, now + timeout_s))

    def read(self, keys: Collection[bytes]) -> dict[bytes, Record]:
        """Return the entries that may be served now, by key."""
        store = self._parts.store
        if isinstance(store, RecordSnapshots):
            found = {key: self._glimpsed(store, key) for key in keys}
        else:
            found = self._run(self._looked_up(store, keys))
        return {key: record for key, record in found.items() if record is not None}

    def _glimpsed(self, store: RecordSnapshots, key: bytes) -> Record | None:
        """Read from an embedded store, at once and on this thread."""
        seen = store.glimpse(self.tag, key)
        if seen is None or seen.header.absent:
            return None
        lookup = Lookup(seen.control, (), seen.marks, seen.heartbeats)
        if self._app.bonds.judged(seen.header, lookup, math.inf):
            return None
        head = seen.header
        return Record(head.stamp, head.computed_at, head.valid_until, head.lane, head.absent, head.meta, seen.payload)

    async def _looked_up(self, store: Store, keys: Collection[bytes]) -> dict[bytes, Record | None]:
        found = await asyncio.gather(*(store.read(self.tag, key) for key in keys))
        return dict(zip(keys, map(self._servable, found), strict=True))

    def _servable(self, lookup: Lookup) -> Record | None:
        record = next(iter(lookup.records), None)
        is_dead = record is None or record.absent or self._app.bonds.judged(record, lookup, math.inf)
        return None if is_dead else record

    def put(self, key: bytes, record: Record) -> bool:
        """Store an entry, unless one with a later stamp is stored; returns whether it was stored."""
        return self._run(self._put(key, record))

    def put_several(self, records: Mapping[bytes, Record]) -> None:
        """Store entries; each as :meth:`put` does."""
        self._run(self._put_several(records))

    async def _put_several(self, records: Mapping[bytes, Record]) -> None:
        await asyncio.gather(*(self._put(key, record) for key, record in records.items()))

    async def _put(self, key: bytes, record: Record) -> bool:
        store = self._parts.store
        for _ in range(_TRIES):
            if await store.write(self.tag, key, record, now=self.now()):
                return True
            stored = next(iter((await store.read(self.tag, key)).records), None)
            if stored is None or stored.stamp > record.stamp:
                break
            record = replace(record, computed_at=math.nextafter(max(stored.computed_at, record.computed_at), math.inf))
        return False

    def swap(self, key: bytes, stored: Record, new: Record) -> bool:
        """Replace an entry that was read before, unless another one has taken its place; returns whether it was.

        The new entry is the least that is newer than the old one, so that a store refuses all but one of those that
        replace the same.

        Args:
            key: The key.
            stored: The entry that was read.
            new: What replaces it.
        """
        least = replace(new, stamp=stored.stamp, computed_at=math.nextafter(stored.computed_at, math.inf))
        return self._run(self._parts.store.write(self.tag, key, least, now=self.now()))

    def add(self, key: bytes, record: Record) -> bool:
        """Store an entry if none is stored that may be served; of several at once, one succeeds."""
        return self._run(self._add(key, record))

    async def _add(self, key: bytes, record: Record) -> bool:
        store = self._parts.store
        if self._servable(await store.read(self.tag, key)):
            return False
        # The oldest entry that may be served replaces only what may not, and no other of its kind.
        seen = await store.look_again(bond(record.stamp, 0.0, Meta(Tags(record.meta.tags.fences))))
        least = max(_first(seen.control), seen.control.floor, *seen.marks.values())
        claim = replace(record, stamp=min(least, record.stamp), computed_at=0.0)
        if not await store.write(self.tag, key, claim, now=self.now()):
            return False
        await store.write(self.tag, key, record, now=self.now())  # so that the sweep leaves it alone
        return True

    def delete(self, key: bytes) -> bool:
        """Delete an entry; returns whether it could have been served."""
        if not (found := self.read([key])):
            return False
        now = max(self.now(), math.nextafter(found[key].computed_at, math.inf))
        stamp = max(self.stamp().pack(), found[key].stamp)
        gone = Record(stamp, now, 0.0, "realtime", absent=True, meta=Meta(Tags((self.tag,))), payload=b"")
        return self.put(key, gone)

    def clear(self) -> None:
        """Delete all entries."""
        self._run(self._app.touch(self.tag))


def _first(control: Control) -> bytes:
    """The lowest stamp of the current incarnation."""
    return Stamp(control.incarnation, 0).pack()
