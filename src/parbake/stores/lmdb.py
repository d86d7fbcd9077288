"""``lmdb:///path?map_size=4GiB``: the embedded store. One file, several processes, every commit synced.

There is one environment per process and path, because opening the same file twice in a process corrupts its locks. One
main database holds prefixed keys. A read is one read transaction, without copying the file into memory first.

An environment must not be inherited: a child that uses it changes the slots of its parent's readers in the lock file.
It is therefore closed during a fork, and each of the two processes opens its own at the next use.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import lmdb
import msgspec

from parbake.errors import ForeignStore, StoreError, StoreFull
from parbake.ports.records import Lookup, RecordSnapshot, StoreState
from parbake.process import forks
from parbake.protocol.control import Control
from parbake.protocol.record import Record
from parbake.stores._lmdb_writer import LmdbTxn, Writer
from parbake.stores.steps import lookups
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.item_names import CONTROL
from parbake.stores.steps.lookups import Get, Parsed
from parbake.stores.steps.record_steps import RecordSteps, Txn, numbers
from parbake.values.schemes import url_options
from parbake.values.sizes import size_bytes

T = TypeVar("T")
DEFAULT_MAP = 4 << 30
_MAGIC = (b"m", b"parbake-store-2")
_open: dict[Path, LmdbStore] = {}
_open_lock = threading.Lock()
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
        """Open or create the store; raises :class:`ForeignStore` if the file is not a store."""
        super().__init__()
        self.path = path
        self.users = 0
        self._map_size = map_size
        self._is_closed = False
        self._env: lmdb.Environment | None = None
        self._begin: Callable[[], Any]
        self._changing = threading.Lock()
        self._writer = Writer(self._opened, path)
        self._opened()
        forks.watch(self)

    def _opened(self) -> lmdb.Environment:
        """The environment, reopened if a fork closed it."""
        env = self._env
        if env is None:
            with self._changing:
                env = self._env
                if self._is_closed:
                    raise StoreError(f"{self.path} is closed", field="store")
                if env is None:
                    env = _environment(self.path, self._map_size)
                    self._parsed, self._host = Parsed(), _host(self.path)
                    self._env, self._begin = env, env.begin
        return env

    def _begin_again(self) -> Any:
        self._opened()
        return self._begin()

    def before_fork(self) -> None:
        """Close the environment once its current users have finished. New users wait until the fork is over."""
        self._writer.pause()
        self._changing.acquire()
        env, begin = self._env, self._begin
        if env is None:
            return
        self._env = None
        if begin != self._moved:
            self._begin = self._begin_again
        if _have_ended():
            env.close()
        else:
            self._env, self._begin = env, begin

    def after_fork_in_parent(self) -> None:
        """Let the waiting users continue."""
        self._changing.release()
        self._writer.go_on()

    def after_fork_in_child(self) -> None:
        """Open the file at the next use."""
        if self._env is not None:  # it could not be closed before, and LMDB must not open a file twice
            self._env.close()
            self._env, self._begin = None, self._begin_again
        forks.abandon(self._writer)
        self._changing = threading.Lock()
        self._writer = Writer(self._opened, self.path)

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        try:
            with self._begin() as txn:
                return lookups.read(txn.get, self._parsed, task, key, generation)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        try:
            with self._begin() as txn:
                get = txn.get
                return lookups.glimpse(get, self._parsed.common(get, txn.id()), task, key)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    def review(self, record: Record) -> Lookup:
        try:
            with self._begin() as txn:
                get = txn.get
                return lookups.review(get, self._parsed.common(get, txn.id()), record)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def stamp(self) -> StoreState:
        """Read the counter and the control record; this precedes every computation, so the file is not checked."""
        try:
            with self._begin() as txn:
                return lookups.stamp(txn.get, self._parsed)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

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

    async def _look(self, step: Callable[[Get], T]) -> T:
        return self._in_snapshot(lambda txn: step(txn.get))

    def _in_snapshot(self, step: Callable[[Any], T]) -> T:
        self._must_be_in_place()
        try:
            with self._begin() as txn:
                return step(txn)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def _step(self, step: Callable[[Txn], T]) -> T:
        self._must_be_in_place()
        return await self._writer.run(step)

    def _must_be_in_place(self) -> None:
        """Raise :class:`StoreError`, now and at every later read, if the path is now another file.

        Reads themselves do not check, because the check takes a third of a read's time. Polling checks once per
        heartbeat.
        """
        self._opened()
        try:
            is_in_place = _host(self.path) == self._host
        except OSError:
            is_in_place = False
        if not is_in_place:
            self._begin = self._moved
            self._moved()

    def _moved(self) -> lmdb.Transaction:
        raise StoreError(
            f"{self.path} was moved, deleted or replaced while this process had it open; restart the process "
            "(and stop every process before you move a store)",
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
_WAITS = LmdbStore._begin_again.__code__  # noqa: SLF001  # (the same)


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


def _environment(path: Path, map_size: int) -> lmdb.Environment:
    try:
        path.mkdir(parents=True, exist_ok=True)
        env = lmdb.open(str(path), map_size=map_size, max_readers=1024, sync=True, metasync=True)
    except (OSError, lmdb.Error) as error:
        _check_writable(path, error)
        if isinstance(error, lmdb.MemoryError):
            raise StoreError(
                f"{path}: this machine cannot map {map_size} bytes; open it with a smaller ?map_size=",
                field="store.map_size",
            ) from error
        raise ForeignStore(
            f"{path} cannot be opened as a store ({error}); move it away, or point the store elsewhere", field="store"
        ) from error
    try:
        _check_size(env, path)
        with env.begin(write=True) as txn:
            _claim(txn, path)
            RecordSteps(LmdbTxn(txn), Parsed()).settle(_host(path), numbers())
    except lmdb.MapFullError as error:
        env.close()
        raise StoreFull(
            f"{path}: a map size of {map_size} bytes is too small even to open it; set ?map_size= higher, as to 1GiB",
            field="store.map_size",
        ) from error
    except (lmdb.Error, msgspec.DecodeError) as error:
        env.close()
        _check_writable(path, error)
        raise ForeignStore(f"{path} is damaged ({error}); move it away and let it be rebuilt", field="store") from error
    except ForeignStore:
        env.close()
        raise
    return env


def _check_writable(path: Path, error: Exception) -> None:
    """Tell a file without write permission from a damaged one.

    LMDB reports the difference only in the system's message.
    """
    reasons = [os.strerror(code) for code in (errno.EACCES, errno.EPERM, errno.EROFS)]
    if isinstance(error, lmdb.ReadonlyError | PermissionError) or any(reason in str(error) for reason in reasons):
        raise StoreError(
            f"{path} cannot be written ({error}); check its owner, its mode, and whether its disk is read-only",
            field="store",
        ) from error


def _check_size(env: lmdb.Environment, path: Path) -> None:
    """Reject a file shorter than its own last page. Reading the missing part would kill the process."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = (path / "data.mdb").stat().st_size
    if found < needed:
        raise ForeignStore(
            f"{path} is truncated ({found} of {needed} bytes); move it away and let it be rebuilt", field="store"
        )


def _claim(txn: Any, path: Path) -> None:
    """Mark a new file as a store; reject a file with any other content."""
    found = txn.get(_MAGIC[0])
    if found == _MAGIC[1]:
        msgspec.msgpack.decode(txn.get(CONTROL) or b"", type=Control)
        return
    if found is not None and found.startswith(b"parbake-store-"):
        raise ForeignStore(
            f"{path} was written by another version of parbake ({found.decode()}); move it away and let it be rebuilt",
            field="store",
        )
    if txn.stat()["entries"]:
        raise ForeignStore(f"{path} holds data that parbake did not write; point the store elsewhere", field="store")
    txn.put(*_MAGIC)


def _host(path: Path) -> str:
    """The identity of the file. A copy in its place is another file, and may be older than what was acknowledged."""
    return f"inode {(path / 'data.mdb').stat().st_ino}"
