"""The entries of a cache in its app's store: records that are judged by the fence with each read, in one snapshot.

Each entry is fenced by what its answer was made from, by a tag of its group, and by one of its cache. A complaint
raises the tag of a group: from then on no process serves its answers, by the same check that finds a changed policy.
What the cache adds stands in a log as well, which other processes follow.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from hashlib import blake2b
from math import inf
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from parbake.ports.event_log import Change
from parbake.ports.named_values import NamedValue
from parbake.ports.records import Lookup, RecordSnapshots
from parbake.protocol.cause import UNTRUSTED, Cause
from parbake.protocol.record import Meta, Record, Stamp, Tags, bond
from parbake_semantic.cache.bonding import AppBonds
from parbake_semantic.cache.entry import WITHDRAWN, Entry, Found, facts_of
from parbake_semantic.cache.values import Values
from parbake_semantic.policies.learnt import Learnt

T = TypeVar("T")
_FAMILY = "cached"
"""The family of the tags of caches, which no source reports."""
_ADDED, _JOINED, _LEARNT = b"+", b".", b"p"
_WRITER = 8
_PAGE = 500
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode
_DELETED_AT_ONCE = 1_000


class News(msgspec.Struct, frozen=True):
    """What other processes have done since a place in the log.

    Attributes:
        keys: The keys of the entries that they have added.
        has_learnt: Whether they have learnt something.
        place: The place to read on from.
        is_whole: Whether nothing is missing before it.
    """

    keys: tuple[bytes, ...]
    has_learnt: bool
    place: Stamp
    is_whole: bool


class Stored(msgspec.Struct, frozen=True):
    """An entry without its value.

    Attributes:
        key: Its key.
        entry: Its question.
        size: Its bytes in the store.
        cost_s: How long its answer took to compute, in seconds.
    """

    key: bytes
    entry: Entry
    size: int
    cost_s: float


class Entries(Generic[T]):
    """Reads and writes the entries of one cache, for vectors of one model and values of one type."""

    def __init__(self, bonds: AppBonds, name: str, made_by: Sequence[str], values: Values, sla_s: float) -> None:
        """Read and write in the store that ``bonds`` knows.

        Args:
            bonds: Binds answers by the fence of an app.
            name: The cache's name in the store.
            made_by: The model and the type of the values. Entries of others are never seen.
            values: Encodes and decodes answers.
            sla_s: The greatest age of an answer, in seconds.
        """
        kind = blake2b(_encode(made_by), digest_size=6).hexdigest()
        self.place = f"cache:{name}@{kind}"
        self._tag = f"{_FAMILY}/{name}@{kind}"
        self._bonds, self._store, self._values, self._sla_s = bonds, bonds.store, values, sla_s
        self._glimpse = self._store.glimpse if isinstance(self._store, RecordSnapshots) else None
        self._writer = secrets.token_bytes(_WRITER)

    def learnt(self) -> NamedValue[Learnt]:
        """What the processes have learnt together, as a named value of the store."""
        return NamedValue(self._store, f"{self.place}/learnt", Learnt, Learnt())

    @property
    def is_immediate(self) -> bool:
        """Whether reads return at once."""
        return self._bonds.is_immediate

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._bonds.now()

    async def read(self, key: bytes) -> Found[T] | None:
        """Read an entry, and judge it in the same snapshot; ``None`` if there is none that can be read."""
        found = None if self._glimpse is None else self._glimpse(self.place, key)
        if found is not None:
            head, lookup = found.header, Lookup(found.control, (), found.marks, found.heartbeats)
            stamp, at, until = head.stamp, head.computed_at, head.valid_until
            record = Record(stamp, at, until, head.lane, head.absent, head.meta, found.payload)
        else:
            lookup = await self._store.read(self.place, key)
            if not lookup.records:
                return None
            record = lookup.records[0]
        try:
            entry = _decode(record.payload)
            value: T = self._values.decode(entry.value)
        except (msgspec.DecodeError, ValueError, TypeError):
            return None
        return Found(key, entry, value, record, self._reason(record, lookup, entry.group))

    def _reason(self, record: Record, lookup: Lookup, group: str) -> str:
        reason = self._bonds.judged(record, lookup, self._sla_s)
        if reason is None:
            return ""
        is_withdrawn = reason.cause is Cause.TAG_CHANGED and reason.about == self._group_tag(group)
        return WITHDRAWN if is_withdrawn else reason.cause.value

    async def write(self, key: bytes, entry: Entry, made: Record, cost_s: float) -> Stored | None:
        """Store an entry, unless one from newer facts is stored.

        Args:
            key: Its key.
            entry: The question and the answer.
            made: What the answer was made from, as a record without a value.
            cost_s: How long it took to compute, in seconds.

        Returns:
            What was stored; ``None`` if nothing was.
        """
        fences = (*made.meta.tags.fences, self._group_tag(entry.group), self._tag)
        meta = replace(made.meta, tags=replace(made.meta.tags, fences=fences), cost_s=cost_s)
        record = replace(made, meta=meta, payload=_encode(entry))
        if not await self._store.write(self.place, key, record, now=self._bonds.now()):
            return None
        await self._store.note(self.place, self._writer + _ADDED + key)
        return Stored(key, entry, len(record.payload), cost_s)

    async def withdraw(self, group: str, made: Record) -> None:
        """Withdraw the answers of a group, everywhere and at once.

        A record keeps the same answer from being stored again, as long as the facts that it was made from hold. It is
        written first: an answer that was computed before the tag is raised is outdated by it, and one that is computed
        later finds the record.

        Args:
            group: The group.
            made: What the answer of the complaint was made from.
        """
        facts = bond(made.stamp, self._bonds.now(), Meta(Tags(facts_of(made, group))))
        stamp, _ = await self._store.stamp()  # before the facts are looked at
        held = await self._bonds.reason(facts, inf) is None
        record = replace(facts, stamp=stamp.pack()) if held else facts
        await self._store.write(self._withdrawn, group.encode(), record, now=self._bonds.now())
        await self._outdate(self._group_tag(group))

    async def is_withdrawn(self, group: str) -> bool:
        """Whether the answers of a group were withdrawn, and the facts have not changed since."""
        lookup = await self._store.read(self._withdrawn, group.encode())
        reasons = [self._bonds.judged(record, lookup, inf) for record in lookup.records]
        return any(reason is None or reason.cause in UNTRUSTED for reason in reasons)

    async def clear(self) -> None:
        """Outdate all entries, everywhere and at once."""
        await self._outdate(self._tag)

    async def _outdate(self, tag: str) -> None:
        now = self._bonds.now()
        await self._bonds.acknowledged(lambda: self._store.apply((Change((tag,)),), now=now))

    async def erase(self) -> None:
        """Outdate all entries, everywhere and at once, and delete them."""
        await self.clear()
        keys = [key async for key, _ in self._store.scan(self.place)]
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            await self.forget(keys[start : start + _DELETED_AT_ONCE])

    async def forget(self, keys: Collection[bytes]) -> None:
        """Delete entries."""
        await self._store.forget(self.place, keys)

    async def all(self) -> AsyncIterator[Stored]:
        """Iterate over the entries, outdated ones included."""
        async for key, lookup in self._store.scan(self.place):
            if lookup.records and (found := _stored(key, lookup.records[0])) is not None:
                yield found

    async def several(self, keys: Sequence[bytes]) -> list[Stored]:
        """Read entries without judging them; those that are gone are left out."""
        found = [(key, await self._store.read(self.place, key)) for key in keys]
        read = [_stored(key, lookup.records[0]) for key, lookup in found if lookup.records]
        return [one for one in read if one is not None]

    async def join(self) -> Stamp:
        """Return the place in the log from which a process that reads all entries next must follow it."""
        return await self._store.note(self.place, self._writer + _JOINED)

    async def tell_learnt(self) -> None:
        """Tell the other processes that something was learnt."""
        await self._store.note(self.place, self._writer + _LEARNT)

    async def news(self, after: Stamp) -> News:
        """Read what other processes have done since a place in the log."""
        keys: dict[bytes, None] = {}
        has_learnt, is_whole = False, True
        while page := await self._store.noted(self.place, after, _PAGE):
            for place, raw in page:
                is_whole = is_whole and place == Stamp(after.incarnation, after.sequence + 1)
                after = place
                if raw[:_WRITER] == self._writer:
                    continue
                kind, key = raw[_WRITER : _WRITER + 1], raw[_WRITER + 1 :]
                has_learnt = has_learnt or kind == _LEARNT
                if kind == _ADDED:
                    keys[key] = None
            if len(page) < _PAGE:
                break
        return News(tuple(keys), has_learnt, after, is_whole)

    @property
    def _withdrawn(self) -> str:
        return f"{self.place}/withdrawn"

    def _group_tag(self, group: str) -> str:
        return f"{self._tag}/{group}"


def _stored(key: bytes, record: Record) -> Stored | None:
    try:
        return Stored(key, _decode(record.payload), len(record.payload), record.meta.cost_s)
    except (msgspec.DecodeError, ValueError):
        return None
