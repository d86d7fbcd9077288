"""``lmdb:///path?map_size=4GiB``: the embedded store. One file, several processes, every commit synced.

There is one environment per process and path, because opening the same file twice in a process corrupts its locks. One
main database holds prefixed keys. A read is one read transaction, without copying the file into memory first.

An environment must not be inherited: a child that uses it changes the slots of its parent's readers in the lock file.
It is therefore closed during a fork, and each of the two processes opens its own at the next use.

A store with a damaged page is set aside by a worker, and all processes then open the empty one in its place; see
``_lmdb_place``. So is a file that was overwritten while processes had it open: each read and each commit compares what
LMDB believes to be the last commit with the file. An older copy that comes back while no process runs is noticed by the
first one that opens it; see ``_lmdb_openings``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar
from urllib.parse import unquote

import lmdb
import msgspec

from parbake.errors import DamagedStore, OutdatedStore, StoreError, StoreUnreachable
from parbake.ports.generations import StoreOpening
from parbake.ports.records import Lookup, RecordSnapshot, StoreState
from parbake.process import forks
from parbake.protocol.control import Control
from parbake.protocol.record import Record, Stamp
from parbake.stores._lmdb_file import NO_WORDS, OverwrittenError, Presence
from parbake.stores._lmdb_open_file import OpenFile, open_file, rewrite
from parbake.stores._lmdb_openings import DAMAGED, INCARNATION, confirm_opening
from parbake.stores._lmdb_place import DAMAGE, StorePlace
from parbake.stores._lmdb_reads import count_items, have_reads_ended, list_items
from parbake.stores._lmdb_writer import MovedError, Writer
from parbake.stores.steps import lookups
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.item_names import CONTROL
from parbake.stores.steps.lookups import Get, Parsed, UnreadableState
from parbake.stores.steps.record_steps import Txn
from parbake.values.schemes import split_url, url_options
from parbake.values.sizes import size_bytes

T = TypeVar("T")
DEFAULT_MAP = 4 << 30
_log = logging.getLogger("parbake.stores")
_open: dict[Path, LmdbStore] = {}
_open_lock = threading.Lock()
_NONE = -1
"""In place of an incarnation: no store is open."""
_UNREADABLE = lmdb.Error, msgspec.DecodeError, UnreadableState


@atexit.register
def _record_ends() -> None:
    """Record that the stores of this process end here, which needs no other part of a program that does not close."""
    for store in list(_open.values()):
        with contextlib.suppress(Exception):
            store.record_end()


@forks.in_child
def _unlock() -> None:
    global _open_lock  # noqa: PLW0603  # a thread of the parent may have held the lock
    _open_lock = threading.Lock()


def open_url(url: str) -> LmdbStore:
    """Open the store at a URL; opening the same file twice in one process gives the same object.

    Raises :class:`StoreError` if the URL is invalid.
    """
    parts = split_url(url, setting="store", error=StoreError)
    options = url_options(parts.query, {"map_size"}, setting="store", error=StoreError)
    if not parts.netloc + parts.path.strip("/"):
        raise StoreError("lmdb:// must name a folder, as in lmdb:///var/lib/shop or lmdb://folder", field="store")
    path = Path(unquote(parts.netloc + parts.path)).resolve()
    size = size_bytes(options.get("map_size", str(DEFAULT_MAP)), field="store.map_size", error=StoreError)
    with _open_lock:
        store = _open.get(path)
        if store is None:
            store = _open[path] = LmdbStore(path, map_size=size)
        store.users += 1
        return store


class LmdbStore(EngineStore, forks.Forkable):
    """A store in one LMDB file. It has snapshots; see :class:`parbake.ports.records.RecordSnapshots`."""

    is_local = True

    def __init__(self, path: Path, *, map_size: int = DEFAULT_MAP) -> None:
        """Open or create the store; raises :class:`ForeignStore` if the file is not a store.

        A store that is damaged or outdated is an outage: the process starts, and each use tries again to open it.
        """
        super().__init__()
        self.path = path
        self.users = 0
        self._map_size = map_size
        self._is_closed = False
        self._place = StorePlace(path)
        self._env: lmdb.Environment | None
        self._file: OpenFile | None
        self._presence: Presence | None = None
        """Of the file that was opened last; it stays while a fork has closed the environment."""
        self._view: tuple[Callable[[], Any], Parsed, memoryview, int, int]
        """How to begin a read, the cache of what it decodes, and where the file names its last commits."""
        self._host, self._note = 0, self._place.side
        self._leave()
        self._changing = threading.Lock()
        self._writer = self._new_writer()
        try:
            self._opened(is_created=True)
        except (DamagedStore, OutdatedStore) as error:
            _log.error("%s", error)
        forks.watch(self)

    def _new_writer(self) -> Writer:
        return Writer(
            self._opened, self.path, self._failure,
            room=self._map_size, check=self._check, on_commit=self._witness, follow=self._must_be_in_place,
        )  # fmt: skip

    def _check(self, txn: lmdb.Transaction[bytes]) -> None:
        """Raise unless the file is in its place, and is what was written to it."""
        try:
            is_in_place = self._place.found() == self._host
        except OSError:
            is_in_place = False
        if self._file is None or not is_in_place:
            raise MovedError("another file has its place")
        self._file.check(txn, self._place)

    def _witness(self) -> None:
        if self._file is not None:
            self._file.witness_commits(self._place)

    def _opened(self, *, is_created: bool = False) -> lmdb.Environment:
        """The environment, reopened if a fork closed it or another store has taken its place."""
        env = self._env
        if env is None:
            with self._changing, self._place.locked():
                env = self._env or self._open(is_created=is_created)
        return env

    def _open(self, *, is_created: bool, is_rewritten: bool = False) -> lmdb.Environment:
        if self._is_closed:
            raise StoreError(f"{self.path} is closed", field="store")
        if not is_created and not (self.path / "data.mdb").exists():
            raise self._gone()
        self._file = file = open_file(self._place, self._map_size, is_rewritten=is_rewritten)
        if self._presence is not None:  # not earlier: a process that reopens its file is not the first to open it
            self._presence.end()
        self._presence = file.presence
        self._parsed = Parsed()
        self._host = file.inode
        self._env = file.env
        self._view = file.env.begin, self._parsed, file.pages.words, file.pages.even, file.pages.odd
        self._note = self._place.side
        self._seen = self._note[INCARNATION]
        return file.env

    def _leave(self) -> None:
        """Drop the environment without closing it: a read in another thread may use it, and the last one closes it."""
        self._env, self._file, self._seen = None, None, _NONE
        self._view = self._begin_again, Parsed(), NO_WORDS, 0, 0

    def _begin_again(self) -> Any:
        self._must_be_in_place()
        return self._view[0]()

    def before_fork(self) -> None:
        """Close the environment once its current users have finished. New users wait until the fork is over."""
        self._writer.pause()
        self._changing.acquire()
        env, seen = self._env, self._seen
        if env is None:
            return
        self._env, self._seen = None, _NONE
        if have_reads_ended(_READS, _WAITS):
            env.close()
        else:
            self._env, self._seen = env, seen

    def after_fork_in_parent(self) -> None:
        """Let the waiting users continue."""
        self._changing.release()
        self._writer.go_on()

    def after_fork_in_child(self) -> None:
        """Open the file at the next use."""
        if self._env is not None:  # it could not be closed before, and LMDB must not open a file twice
            self._env.close()
            self._env, self._seen = None, _NONE
        if self._presence is not None:
            self._presence.abandon()
            self._presence = None
        self._leave()
        forks.abandon(self._writer)
        self._changing = threading.Lock()
        self._writer = self._new_writer()

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        if self._note[INCARNATION] != self._seen:
            self._must_be_in_place()
        begin, parsed, words, even, odd = self._view
        try:
            with begin() as txn:
                lookup = lookups.read(txn.get, parsed, task, key, generation)
                at = txn.id()
                if words[odd if at & 1 else even] != at:
                    self._check_whole(words, at)
                return lookup
        except _UNREADABLE as error:
            raise self._failure(error) from error

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        if self._note[INCARNATION] != self._seen:
            self._must_be_in_place()
        begin, parsed, words, even, odd = self._view
        try:
            with begin() as txn:
                get, at = txn.get, txn.id()
                snapshot = lookups.glimpse(get, parsed.common(get, at), task, key)
                if words[odd if at & 1 else even] != at:
                    self._check_whole(words, at)
                return snapshot
        except _UNREADABLE as error:
            raise self._failure(error) from error

    def review(self, record: Record) -> Lookup:
        if self._note[INCARNATION] != self._seen:
            self._must_be_in_place()
        begin, parsed, words, even, odd = self._view
        try:
            with begin() as txn:
                get, at = txn.get, txn.id()
                lookup = lookups.review(get, parsed.common(get, at), record)
                if words[odd if at & 1 else even] != at:
                    self._check_whole(words, at)
                return lookup
        except _UNREADABLE as error:
            raise self._failure(error) from error

    async def stamp(self) -> StoreState:
        """Read the counter and the control record; this precedes every computation, so the file is not checked."""
        if self._note[INCARNATION] != self._seen:
            self._must_be_in_place()
        begin, parsed, words, even, odd = self._view
        try:
            with begin() as txn:
                state = lookups.stamp(txn.get, parsed)
                at = txn.id()
                if words[odd if at & 1 else even] != at:
                    self._check_whole(words, at)
                return state
        except _UNREADABLE as error:
            raise self._failure(error) from error

    async def close(self) -> None:
        """Close the file when its last user has closed it."""
        with _open_lock:
            self.users -= 1
            if self.users > 0:
                return
            _open.pop(self.path, None)
        forks.unwatch(self)
        self._is_closed = True
        self._writer.close()
        await asyncio.to_thread(self.record_end)  # another process may have the place locked
        if self._env is not None:
            self._env.close()
        self._leave()  # so that nothing keeps a deleted file on the disk
        self._place.close()
        self._note = self._place.side

    def record_end(self) -> None:
        """Record that this process does not use the store any more; see :mod:`parbake.stores._lmdb_openings`."""
        file, presence = self._file, self._presence
        self._file = self._presence = None
        if file is not None:
            file.record_end(self._place)
        if presence is not None:
            presence.end()

    async def _look(self, step: Callable[[Get], T]) -> T:
        return self._in_snapshot(lambda txn: step(txn.get))

    def _in_snapshot(self, step: Callable[[Any], T]) -> T:
        self._must_be_in_place()
        begin, _, words, even, odd = self._view
        try:
            with begin() as txn:
                found = step(txn)
                at = txn.id()
                if words[odd if at & 1 else even] != at:
                    self._check_whole(words, at)
                return found
        except _UNREADABLE as error:
            raise self._failure(error) from error

    def _check_whole(self, words: memoryview, at: int) -> None:
        """Raise :class:`OverwrittenError` unless the file is what LMDB believes it to be.

        A read compares at its end, because whoever overwrites a file begins at its start. If the file does not name the
        commit that was read, other processes have made two commits since, or the file is another one.

        Args:
            words: Where the file names its last commits, as the read has found it.
            at: The commit that was read.
        """
        file = self._file
        if file is None or words not in (file.pages.words, NO_WORDS):
            raise StoreError(f"{self.path} was replaced during a read; try again", field="store")
        if not file.pages.holds(at) and not file.is_whole():
            raise OverwrittenError("it was overwritten")

    async def _step(self, step: Callable[[Txn], T]) -> T:
        self._must_be_in_place()
        return await self._writer.run(step)

    def _must_be_in_place(self) -> None:
        """Open another store that has taken this one's place; raise :class:`StoreError` if none is valid.

        Reads only compare the note of the place, because looking at the file takes a third of a read's time. Polling
        looks at it once per heartbeat.
        """
        self._opened()
        if (self._found(), self._note[INCARNATION]) == (self._host, self._seen):
            return
        try:
            with self._changing, self._place.locked():
                self._take_place()
        except _UNREADABLE as error:
            raise self._failure(error) from error

    def _take_place(self) -> None:
        if self._env is None or self._found() != self._host:
            self._leave()
            self._open(is_created=False)
        elif self._place.side[DAMAGED] == self._host:
            raise self._place.damaged("a process has found it overwritten")
        else:  # it was moved away and back, or another store was valid meanwhile
            with self._env.begin() as txn:
                self._place.accept(self._parsed.control(txn.get(CONTROL) or b""))
            self._note = self._place.side
            self._seen = self._note[INCARNATION]

    def _found(self) -> int:
        """The file in the folder; raises :class:`StoreError` if there is none."""
        try:
            return self._place.found()
        except OSError:
            self._seen = _NONE  # reads refuse, too, until it is back
            raise self._gone() from None

    def confirm_opening(self, words: Mapping[int, int]) -> StoreOpening:
        """See :class:`parbake.ports.generations.RemembersOpenings`."""
        self._must_be_in_place()
        return self._writer.run_now(lambda txn: confirm_opening(txn, words, self._new_number))

    def _new_number(self, above: int) -> int:
        return super()._new_number(max(above, self._note[INCARNATION]))  # also above the one that was valid here before

    async def bless(self, seen: int, *, raise_floor: bool) -> Control:
        await asyncio.to_thread(self._note_incarnation)
        return await super().bless(seen, raise_floor=raise_floor)

    async def raise_floor(self, to: Stamp) -> int:
        await asyncio.to_thread(self._note_incarnation)
        return await super().raise_floor(to)

    def _note_incarnation(self) -> None:
        """Note the current incarnation in the place, before the store forgets the earlier one that is noted there.

        A process may have begun the current one while it had the store open. The place then notes one from which the
        store has descended, as long as the store knows that.
        """
        self._must_be_in_place()
        try:
            with self._changing, self._place.locked():
                self._take_place()
        except _UNREADABLE as error:
            raise self._failure(error) from error

    async def heal(self) -> str:
        """Set a damaged store aside, and put an empty one in its place."""
        if not self._place.side[DAMAGED]:
            return ""
        return await asyncio.to_thread(self._replace)

    def _replace(self) -> str:
        self._writer.pause()
        try:
            with self._changing, self._place.locked():
                aside = self._place.set_aside()
                if aside is None:
                    return ""
                self._leave()
                self._open(is_created=True)
        except OSError as error:
            raise StoreError(
                f"{self.path} is damaged and cannot be set aside ({error}); stop every process, and move it away",
                field="store",
            ) from error
        finally:
            self._writer.go_on()
        return f"{self.path} was damaged: it is now {aside}, and an empty store is in its place"

    async def discard(self) -> list[str]:
        """Delete the folders that were set aside, or that an interrupted rewriting has left."""
        return await asyncio.to_thread(self._discard)

    def _discard(self) -> list[str]:
        try:
            with self._changing, self._place.locked():
                return list(map(str, self._place.discard()))
        except OSError as error:
            raise StoreError(
                f"what was set aside of {self.path} cannot be deleted ({error}); delete it by hand", field="store"
            ) from error

    async def compact(self) -> None:
        """Rewrite the file, and put the new one in its place. Every process opens it at its next use."""
        self._must_be_in_place()
        await asyncio.to_thread(self._rewrite)

    def _rewrite(self) -> None:
        fresh = self.path.with_name(f"{self.path.name}.rewritten-{time.time_ns()}")
        self._writer.pause()
        try:
            with self._changing, self._place.locked():
                if self._file is not None:
                    rewrite(self._file, self._place, fresh)
                    self._leave()
                    self._open(is_created=False, is_rewritten=True)
        except (OSError, lmdb.Error) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StoreError(
                f"{self.path} cannot be rewritten ({error}); its folder needs room for a second file of its size",
                field="store",
            ) from error
        finally:
            self._writer.go_on()

    def _failure(self, error: Exception) -> StoreError:
        """Return the error to raise for one of LMDB's, or of decoding, and let a worker know if the file is damaged."""
        is_damage = isinstance(error, DAMAGE)
        if is_damage or isinstance(error, msgspec.DecodeError | UnreadableState):
            is_overwritten = isinstance(error, OverwrittenError) or (self._file and not self._file.is_whole())
            if is_damage or is_overwritten:
                self._place.flag(self._host, overwritten=self._seen if is_overwritten else 0)
                return self._place.damaged(error)
        elif self._file is not None and self._file.has_no_commit(self._place):
            self._place.flag(self._host, overwritten=self._seen)
            return self._place.damaged(error)
        return error if isinstance(error, UnreadableState) else StoreError(f"{self.path}: {error}", field="store")

    def _gone(self) -> StoreError:
        return StoreUnreachable(
            f"{self.path} was moved or deleted while this process had it open; move it back, or restart every process "
            "to begin with an empty store",
            field="store",
        )

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self._in_snapshot(lambda txn: list_items(txn, prefix, start, limit))

    async def _count(self, prefix: bytes) -> int:
        """Count in a thread, because a generation may have millions of rows."""
        return await asyncio.to_thread(self._in_snapshot, lambda txn: count_items(txn, prefix))

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        await self._writer.put(rows)

    async def _remove(self, names: Collection[bytes]) -> None:
        def remove(txn: Txn) -> None:
            for name in names:
                txn.delete(name)

        if names:
            await self._step(remove)


_READS: frozenset[CodeType] = frozenset(
    method.__code__
    for method in (LmdbStore.read, LmdbStore.glimpse, LmdbStore.review, LmdbStore.stamp, LmdbStore._in_snapshot)  # noqa: SLF001  # of this module
)
_WAITS = LmdbStore._must_be_in_place.__code__  # noqa: SLF001  # (the same)
