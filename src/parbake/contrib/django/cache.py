"""The cache backend: Django's interface, with ``tags=`` that say which changes outdate an entry."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from msgspec.structs import replace

from parbake.contrib.django import asking, project, runtime, transactions
from parbake.contrib.django.entries import UNAVAILABLE, Entries
from parbake.contrib.django.packing import packed, unpacked
from parbake.errors import BadInput, StoreError
from parbake.process.trouble import Trouble
from parbake.protocol.record import Record, Stamp
from parbake.protocol.recording import Recording

_log = logging.getLogger("parbake.django")
_MAX_KEY_BYTES = 200
_TRIES = 100
_COUNTS = frozenset({"MAX_ENTRIES", "CULL_FREQUENCY"})
"""Settings of Django's own backends, which may also stand outside of ``OPTIONS``."""


class FencedCache(BaseCache):
    """A cache in the store of ``PARBAKE``. ``LOCATION`` names it there, so that several caches share one store.

    An entry with ``tags`` is not returned any more once a change of one of them is acknowledged. While the store cannot
    be used, nothing is found and nothing is stored; what must not be lost (``delete``, ``clear``, ``add``, ``incr``,
    ``touch``) raises :class:`parbake.errors.StoreError`.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        """Take the settings of ``CACHES``.

        Raises:
            ImproperlyConfigured: There are options, such as ``MAX_ENTRIES``, which would do nothing.
        """
        refused = sorted({*params.get("OPTIONS", {}), *(_COUNTS & params.keys())})
        if refused:
            raise ImproperlyConfigured(
                f"CACHES: FencedCache has no option {', '.join(refused)}: leave it out. Entries end with their "
                "timeout, and the store's own limit bounds them all, such as ?map_size= of lmdb://"
            )
        super().__init__(params)
        self._location = location or "default"
        self._trouble = Trouble(f"the cache {self._location}", _log)

    @property
    def _entries(self) -> Entries:
        return Entries(self._location)

    def _worked(self) -> None:
        """Note that the store could be used."""
        runtime.breaker.worked()
        self._trouble.is_over()

    def _failed(self, error: Exception) -> None:
        """Note that it could not be used, so that callers do without it for a moment."""
        runtime.breaker.failed()
        self._trouble.met(str(error))

    def _name(self, key: str, version: int | None) -> bytes:
        """Return the name of an entry in the store, which has a digest in place of a long key."""
        raw = str(self.make_and_validate_key(key, version=version)).encode()
        return raw if len(raw) <= _MAX_KEY_BYTES else b"%h" + blake2b(raw, digest_size=32).digest()

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a key, or ``default``.

        Args:
            key: The key.
            default: What to return without a value that may be used.
            version: The version of the key.
        """
        return self.get_many([key], version).get(key, default)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """Return the values of those keys that have one which may be used."""
        names = {key: self._name(key, version) for key in keys}
        entries = self._entries
        records = self._read(entries, list(dict.fromkeys(names.values())))
        found = {key: records[name] for key, name in names.items() if name in records}
        if any(map(entries.is_fenced, found.values())) and self._must_compute():
            found = {key: record for key, record in found.items() if not entries.is_fenced(record)}
        values = {}
        for key, record in found.items():
            try:
                values[key] = unpacked(record.payload)
            except msgspec.DecodeError:  # written by another version
                continue
            entries.tell(record)
        self._miss(entries, [name for key, name in names.items() if key not in values])
        return values

    def _read(self, entries: Entries, names: Sequence[bytes]) -> dict[bytes, Record]:
        """Return the entries that may be served; none while the store cannot be used."""
        if runtime.breaker.is_open():
            return {}
        try:
            records = entries.read(names)
        except UNAVAILABLE as error:
            self._failed(error)
            return {}
        self._worked()
        return records

    def _must_compute(self) -> bool:
        """Whether this thread may not use what others have stored: it sees rows that nobody else sees."""
        return asking.request().is_blind or transactions.situation(project.aliases()).has_written

    def _miss(self, entries: Entries, names: Sequence[bytes]) -> None:
        """Remember the stamp before the values of these entries are computed."""
        if names:
            stamp = self._stamp(entries)
            recordings = [None if stamp is None else entries.recording(stamp) for _ in names]
            asking.missed([(entries.tag, name) for name in names], recordings)

    def _stamp(self, entries: Entries) -> Stamp | None:
        """Return the stamp of what is computed from now on; ``None`` if it may not be stored."""
        state = transactions.situation(project.aliases())
        if state.has_written:
            return None
        request = asking.request()
        if request.is_handled or state.is_snapshot:  # rows may have been read before the cache was asked
            return request.early
        if runtime.breaker.is_open():
            return None
        try:
            return entries.stamp()
        except UNAVAILABLE as error:
            self._failed(error)
            return None

    def _timeout_s(self, timeout: Any) -> float:
        chosen = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return math.inf if chosen is None else float(chosen)

    def _made(self, entries: Entries, name: bytes, value: Any, timeout: Any, tags: Sequence[str]) -> Record | None:
        """Return the entry of a value; ``None`` if it may not be stored.

        Args:
            entries: Where it will be stored.
            name: Its name there.
            value: The value.
            timeout: Its timeout in seconds.
            tags: What fences it.
        """
        if isinstance(tags, str):
            raise BadInput(f"tags={tags!r} is one text: write a list, such as tags=['policy/7']", field="tags")
        entries.check(tags)
        payload = packed(value)
        recording = self._recording(entries, name, is_fenced=bool(tags))
        if recording is None:
            return None
        return entries.made(recording, tags, payload, self._timeout_s(timeout))

    def _recording(self, entries: Entries, name: bytes, *, is_fenced: bool) -> Recording | None:
        """Return what bound the computation of a value: from its miss on, if it is fenced or used fenced entries."""
        recalled = asking.recalled((entries.tag, name))
        if not is_fenced and (recalled is None or recalled.inherited.keys() == {entries.tag}):
            return entries.recording(entries.stamp())
        stamp = None if recalled else self._stamp(entries)
        since = asking.since((entries.tag, name), None if stamp is None else entries.recording(stamp))
        return None if transactions.situation(project.aliases()).has_written else since

    def set(
        self,
        key: str,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a value.

        A value with tags has the stamp of the request that is handled. Outside of a request it has that of the miss
        before it, in this thread or coroutine, and without a miss that of this call; it must not be older.

        Args:
            key: The key.
            value: Data: texts, numbers, bytes, dates, decimals, lists and dictionaries. It is not pickled.
            timeout: For how many seconds it may be used; ``None`` for no limit.
            version: The version of the key.
            tags: The changes that outdate it, such as ``policy/7``, or ``policy`` for any policy.

        Raises:
            BadInput: The value is not data, or nothing raises one of the tags.
        """
        self.set_many({key: value}, timeout, version, tags)

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: Sequence[str] = (),
    ) -> list[str]:
        """Store several values, each as :meth:`set` does; returns the keys that could not be stored.

        Args:
            data: The values, by key.
            timeout: For how many seconds they may be used; ``None`` for no limit.
            version: The version of the keys.
            tags: The changes that outdate them.
        """
        if self._timeout_s(timeout) <= 0:
            self.delete_many(data, version)
            return []
        if runtime.breaker.is_open():
            return list(data)
        entries = self._entries
        try:
            made = {
                name: self._made(entries, name, value, timeout, tags)
                for name, value in ((self._name(key, version), value) for key, value in data.items())
            }
            for record in made.values():
                entries.tell(record)
            entries.put_several({name: record for name, record in made.items() if record is not None})
        except UNAVAILABLE as error:
            self._failed(error)
            return list(data)
        return []

    def add(
        self,
        key: str,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: Sequence[str] = (),
    ) -> bool:
        """Store a value if the key has none; of several processes at once, one succeeds.

        Args:
            key: The key.
            value: See :meth:`set`.
            timeout: For how many seconds it may be used; ``None`` for no limit.
            version: The version of the key.
            tags: The changes that outdate it.
        """
        entries, name = self._entries, self._name(key, version)
        if self._timeout_s(timeout) <= 0:
            return not entries.read([name])
        record = self._made(entries, name, value, timeout, tags)
        return record is not None and entries.add(name, record)

    def get_or_set(
        self,
        key: str,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: Sequence[str] = (),
    ) -> Any:
        """Return the value of a key. If there is none, store and return ``default``, which is called if it can be.

        What ``default`` reads from the cache outdates the value as well.

        Args:
            key: The key.
            default: The value, or a function that computes it.
            timeout: For how many seconds it may be used; ``None`` for no limit.
            version: The version of the key.
            tags: The changes that outdate it.
        """
        nothing = self._missing_key
        found = self.get(key, nothing, version=version)
        if found is not nothing:
            return found
        if callable(default):
            entries = self._entries
            with self._listening(entries, asking.recalled((entries.tag, self._name(key, version)))):
                default = default()
        if default is not nothing:
            self.set(key, default, timeout, version, tags)
        return default

    @staticmethod
    def _listening(entries: Entries, recording: Recording | None) -> AbstractContextManager[None]:
        """Add what is read through the cache in the block to a recording, if the store can be used."""
        try:
            return entries.listening(recording)
        except UNAVAILABLE:
            return nullcontext()

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give an entry another timeout; returns whether there is one.

        Args:
            key: The key.
            timeout: For how many seconds it may be used from now on; ``None`` for no limit.
            version: The version of the key.
        """
        timeout_s = self._timeout_s(timeout)
        if timeout_s <= 0:
            return self.delete(key, version)
        until = self._entries.now() + timeout_s
        return self._changed(key, version, lambda record: replace(record, valid_until=until)) is not None

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add to a number, also if other processes do so at the same time.

        Args:
            key: The key.
            delta: What to add.
            version: The version of the key.

        Raises:
            ValueError: There is no such key.
        """
        changed = self._changed(
            key, version, lambda record: replace(record, payload=packed(unpacked(record.payload) + delta))
        )
        if changed is None:
            raise ValueError(f"Key '{key}' not found")
        found: int = unpacked(changed.payload)
        return found

    def _changed(self, key: str, version: int | None, change: Callable[[Record], Record]) -> Record | None:
        """Replace an entry by a change of it, and return that; ``None`` if there is none."""
        entries, name = self._entries, self._name(key, version)
        for _ in range(_TRIES):
            found = entries.read([name]).get(name)
            if found is None:
                return None
            new = change(found)
            if entries.swap(name, found, new):
                return new
        raise StoreError(f"the entry {key!r} changes faster than it can be updated; try again", field="store")

    def incr_version(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Move an entry to another version, with its tags.

        Args:
            key: The key.
            delta: What to add to the version.
            version: The present version.

        Raises:
            ValueError: There is no such key.
        """
        present = self.version if version is None else version
        entries, name = self._entries, self._name(key, present)
        found = entries.read([name]).get(name)
        if found is None:
            raise ValueError(f"Key '{key}' not found")
        entries.put(self._name(key, present + delta), found)
        entries.delete(name)
        return int(present + delta)

    def delete(self, key: str, version: int | None = None) -> bool:
        """Delete an entry; returns whether there was one."""
        return self._entries.delete(self._name(key, version))

    def clear(self) -> None:
        """Delete all entries of this cache, whatever their prefix and version."""
        self._entries.clear()

    async def aget_many(self, *args: Any, **named: Any) -> dict[str, Any]:
        """Do what :meth:`get_many` does."""
        return await sync_to_async(self.get_many)(*args, **named)

    async def aset(self, *args: Any, **named: Any) -> None:
        """Do what :meth:`set` does."""
        await sync_to_async(self.set)(*args, **named)

    async def aset_many(self, *args: Any, **named: Any) -> list[str]:
        """Do what :meth:`set_many` does."""
        return await sync_to_async(self.set_many)(*args, **named)

    async def aadd(self, *args: Any, **named: Any) -> bool:
        """Do what :meth:`add` does."""
        return await sync_to_async(self.add)(*args, **named)

    async def aget_or_set(self, *args: Any, **named: Any) -> Any:
        """Do what :meth:`get_or_set` does; the default is called in a thread."""
        return await sync_to_async(self.get_or_set)(*args, **named)

    async def aincr(self, *args: Any, **named: Any) -> int:
        """Do what :meth:`incr` does."""
        return await sync_to_async(self.incr)(*args, **named)

    async def aincr_version(self, *args: Any, **named: Any) -> int:
        """Do what :meth:`incr_version` does."""
        return await sync_to_async(self.incr_version)(*args, **named)
