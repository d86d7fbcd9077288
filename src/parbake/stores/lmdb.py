"""``lmdb:///path?map_size=4GiB``: the embedded store. One file, several processes, every commit synced.

There is one environment per process and path, because opening the same file twice in a process corrupts its locks. One
main database holds prefixed keys. A read is one read transaction, without copying the file into memory first.

An environment must not be inherited: a child that uses it changes the slots of its parent's readers in the lock file.
It is therefore closed during a fork, and each of the two processes opens its own at the next use.

A store with a damaged page is set aside by a worker, and all processes then open the empty one in its place; see
``_lmdb_place``.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import lmdb

from parbake.errors import DamagedStore, OutdatedStore, StoreError, StoreUnreachable
from parbake.ports.records import Lookup, RecordSnapshot, StoreState
from parbake.process import forks
from parbake.protocol.record import Record
from parbake.stores._lmdb_opening import damaged, opened, rewrite
from parbake.stores._lmdb_place import DAMAGE, StorePlace
from parbake.stores._lmdb_writer import Writer
from parbake.stores.steps import lookups
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.item_names import CONTROL
from parbake.stores.steps.lookups import Get, Parsed
from parbake.stores.steps.record_steps import Txn
from parbake.values.schemes import url_options
from parbake.values.sizes import size_bytes

T = TypeVar("T")
DEFAULT_MAP = 4 << 30
_log = logging.getLogger("parbake.stores")
_open: dict[Path, LmdbStore] = {}
_open_lock = threading.Lock()
_NONE = -1
"""In place of an incarnation: no store is open."""
LOOK_S, PATIENCE_S = 0.0005, 5.0
"""Interval and limit, in seconds, of the wait for reads to end before a fork."""


@forks.in_child
def _unlock() -> None:
    global _open_lock  # noqa: PLW0603  # a thread of the parent may have held the lock
    _open_lock = threading.Lock()


def open_url(url: str) -> LmdbStore:
    """Open the store at a URL; opening the same file twice in one process gives the same object.

    Raises :class:`StoreError` if the URL is invalid.
    """
    parts = urlsplit(url)
    options = url_options(parts.query, {"map_size"}, setting="store", error=StoreError)
    if not parts.netloc + parts.path.strip("/"):
        raise StoreError(f"{url} must name a folder, as in lmdb:///var/lib/shop or lmdb://folder", field="store")
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
        self._view: tuple[Callable[[], Any], Parsed]
        self._host, self._note = 0, self._place.note
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
            room=self._map_size, is_in_place=self._is_in_place, follow=self._must_be_in_place,
        )  # fmt: skip

    def _is_in_place(self) -> bool:
        try:
            return self._place.found() == self._host
        except OSError:
            return False

    def _opened(self, *, is_created: bool = False) -> lmdb.Environment:
        """The environment, reopened if a fork closed it or another store has taken its place."""
        env = self._env
        if env is None:
            with self._changing, self._place.locked():
                env = self._env or self._open(is_created=is_created)
        return env

    def _open(self, *, is_created: bool) -> lmdb.Environment:
        if self._is_closed:
            raise StoreError(f"{self.path} is closed", field="store")
        if not is_created and not (self.path / "data.mdb").exists():
            raise self._gone()
        env = opened(self._place, self._map_size)
        self._parsed, self._host, self._env = Parsed(), self._place.found(), env
        self._view = env.begin, self._parsed
        self._note, self._seen = self._place.note, self._place.note[0]
        return env

    def _leave(self) -> None:
        """Drop the environment without closing it: a read in another thread may use it, and the last one closes it."""
        self._env, self._seen, self._view = None, _NONE, (self._begin_again, Parsed())

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
        if _have_ended():
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
        forks.abandon(self._writer)
        self._changing = threading.Lock()
        self._writer = self._new_writer()

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        if self._note[0] != self._seen:
            self._must_be_in_place()
        begin, parsed = self._view
        try:
            with begin() as txn:
                return lookups.read(txn.get, parsed, task, key, generation)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        if self._note[0] != self._seen:
            self._must_be_in_place()
        begin, parsed = self._view
        try:
            with begin() as txn:
                get = txn.get
                return lookups.glimpse(get, parsed.common(get, txn.id()), task, key)
        except lmdb.Error as error:
            raise self._failure(error) from error

    def review(self, record: Record) -> Lookup:
        if self._note[0] != self._seen:
            self._must_be_in_place()
        begin, parsed = self._view
        try:
            with begin() as txn:
                get = txn.get
                return lookups.review(get, parsed.common(get, txn.id()), record)
        except lmdb.Error as error:
            raise self._failure(error) from error

    async def stamp(self) -> StoreState:
        """Read the counter and the control record; this precedes every computation, so the file is not checked."""
        if self._note[0] != self._seen:
            self._must_be_in_place()
        begin, parsed = self._view
        try:
            with begin() as txn:
                return lookups.stamp(txn.get, parsed)
        except lmdb.Error as error:
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
        if self._env is not None:
            self._env.close()
        self._place.close()

    async def _look(self, step: Callable[[Get], T]) -> T:
        return self._in_snapshot(lambda txn: step(txn.get))

    def _in_snapshot(self, step: Callable[[Any], T]) -> T:
        self._must_be_in_place()
        begin, _ = self._view
        try:
            with begin() as txn:
                return step(txn)
        except lmdb.Error as error:
            raise self._failure(error) from error

    async def _step(self, step: Callable[[Txn], T]) -> T:
        self._must_be_in_place()
        return await self._writer.run(step)

    def _must_be_in_place(self) -> None:
        """Open another store that has taken this one's place; raise :class:`StoreError` if none is valid.

        Reads only compare the note of the place, because looking at the file takes a third of a read's time. Polling
        looks at it once per heartbeat.
        """
        self._opened()
        if (self._found(), self._note[0]) == (self._host, self._seen):
            return
        try:
            with self._changing, self._place.locked():
                self._take_place()
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _take_place(self) -> None:
        if self._env is None or self._found() != self._host:
            self._leave()
            self._open(is_created=False)
        else:  # it was moved away and back, or another store was valid meanwhile
            with self._env.begin() as txn:
                self._place.accept(self._parsed.control(txn.get(CONTROL) or b""))
            self._note, self._seen = self._place.note, self._place.note[0]

    def _found(self) -> int:
        """The file in the folder; raises :class:`StoreError` if there is none."""
        try:
            return self._place.found()
        except OSError:
            self._seen = _NONE  # reads refuse, too, until it is back
            raise self._gone() from None

    def _new_number(self, above: int) -> int:
        return super()._new_number(max(above, self._note[0]))  # also above the one that was valid here before

    async def heal(self) -> str:
        """Set a damaged store aside, and put an empty one in its place."""
        if not self._place.note[1]:
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

    async def compact(self) -> None:
        """Rewrite the file, and put the new one in its place. Every process opens it at its next use."""
        self._must_be_in_place()
        await asyncio.to_thread(self._rewrite)

    def _rewrite(self) -> None:
        fresh = self.path.with_name(f"{self.path.name}.rewritten-{time.time_ns()}")
        self._writer.pause()
        try:
            with self._changing, self._place.locked():
                if self._env is not None:
                    rewrite(self._env, self._place, fresh)
                    self._leave()
                    self._open(is_created=False)
        except (OSError, lmdb.Error) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StoreError(
                f"{self.path} cannot be rewritten ({error}); its folder needs room for a second file of its size",
                field="store",
            ) from error
        finally:
            self._writer.go_on()

    def _failure(self, error: lmdb.Error) -> StoreError:
        """Return the error to raise for one of LMDB's, and let a worker know if a page is damaged."""
        if not isinstance(error, DAMAGE):
            return StoreError(f"{self.path}: {error}", field="store")
        self._place.flag(self._host)
        return damaged(self.path, error)

    def _gone(self) -> StoreError:
        return StoreUnreachable(
            f"{self.path} was moved or deleted while this process had it open; move it back, or restart every process "
            "to begin with an empty store",
            field="store",
        )

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self._in_snapshot(lambda txn: _listed(txn, prefix, start, limit))

    async def _count(self, prefix: bytes) -> int:
        """Count in a thread, because a generation may have millions of rows."""
        return await asyncio.to_thread(self._in_snapshot, lambda txn: _counted(txn, prefix))

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


def _have_ended() -> bool:
    """Wait until no other thread reads; ``False`` if a read has not ended in time."""
    ends = time.monotonic() + PATIENCE_S
    while any(_reads(frame) for frame in _other_threads()):
        if time.monotonic() > ends:
            return False
        time.sleep(LOOK_S)
    return True


def _other_threads() -> Iterator[FrameType]:
    """The current frame of every other thread."""
    for thread, frame in sys._current_frames().items():  # noqa: SLF001  # documented for this kind of use
        if thread != threading.get_ident():
            yield frame


def _reads(frame: FrameType | None) -> bool:
    """Whether a thread is inside a read, and is not waiting for a fork to end before it starts one.

    This avoids counting reads, which would slow each of them down too much.
    """
    while frame is not None and frame.f_code is not _WAITS:
        if frame.f_code in _READS:
            return True
        frame = frame.f_back
    return False


def _listed(txn: Any, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    with txn.cursor() as cursor:
        if cursor.set_range(max(prefix, start)):
            for key, value in cursor:
                if not key.startswith(prefix) or len(found) == limit:
                    break
                found.append((key, value))
    return found


def _counted(txn: Any, prefix: bytes) -> int:
    with txn.cursor() as cursor:
        if not cursor.set_range(prefix):
            return 0
        return sum(1 for _ in itertools.takewhile(lambda key: key.startswith(prefix), cursor.iternext(values=False)))
