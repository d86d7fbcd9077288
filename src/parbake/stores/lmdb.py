"""``lmdb:///path?map_size=4GiB``: the embedded store. One file, several processes, every commit synced.

One environment per process and path (a second open of the same file in one process corrupts its locks); one main
database with prefixed keys. Reads are a single read transaction, without copying the file into memory first.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import lmdb
import msgspec

from parbake.artifact import Record, Stamp
from parbake.errors import ForeignStore, StoreError
from parbake.fence.control import Control
from parbake.ports import Glimpse, Lookup
from parbake.sizes import size_bytes
from parbake.stores import _engine as engine
from parbake.stores._base import EngineStore
from parbake.stores._lmdb_writer import Txn, Writer

T = TypeVar("T")
DEFAULT_MAP = 4 << 30
_MAGIC = (b"m", b"parbake-store-2")
_open: dict[Path, LmdbStore] = {}
_open_lock = threading.Lock()


def open_url(url: str) -> LmdbStore:
    """Open the store at a URL; the same file opened twice in one process is the same object.

    Raises :class:`StoreError` when the URL cannot be meant.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if unknown := ", ".join(sorted(options.keys() - {"map_size"})):
        raise StoreError(f"{unknown}: no such option; there is map_size", field="store")
    if not parts.netloc + parts.path.strip("/"):
        raise StoreError(f"{url} names no folder: lmdb:///var/lib/shop, or lmdb://folder", field="store")
    path = Path(unquote(parts.netloc + parts.path)).resolve()
    size = size_bytes(options.get("map_size", [str(DEFAULT_MAP)])[0], field="store.map_size", error=StoreError)
    with _open_lock:
        store = _open.get(path)
        if store is None:
            store = _open[path] = LmdbStore(path, map_size=size)
        store.users += 1
        return store


class LmdbStore(EngineStore):
    """A store in one LMDB file."""

    def __init__(self, path: Path, *, map_size: int = DEFAULT_MAP) -> None:
        """Open or create the store; raises :class:`ForeignStore` when the file is something else."""
        super().__init__()
        self.path = path
        self.users = 0
        self._env = _environment(path, map_size)
        self._writer = Writer(self._env, path)
        self._begin: Callable[[], Any] = self._env.begin
        self._host = _host(path)

    @property
    def is_synced(self) -> bool:
        """Whether every commit is flushed to disk before it returns."""
        flags = self._env.flags()
        return bool(flags["sync"] and flags["metasync"])

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """See :class:`parbake.ports.Store`."""
        try:
            with self._begin() as txn:
                return engine.read(txn, self._parsed, task, key, generation)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    def glimpse(self, task: str, key: bytes) -> Glimpse | None:
        """See :class:`parbake.ports.Glimpses`."""
        try:
            with self._begin() as txn:
                get = txn.get
                return engine.glimpse(get, self._parsed.common(get, txn.id()), task, key)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    def review(self, record: Record) -> Lookup:
        """See :class:`parbake.ports.Glimpses`."""
        try:
            with self._begin() as txn:
                get = txn.get
                return engine.review(get, self._parsed.common(get, txn.id()), record)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def stamp(self) -> tuple[Stamp, Control]:
        """See :class:`parbake.ports.Store`; it is read before every computation and, as reads do, looks at no file."""
        try:
            with self._begin() as txn:
                return engine.stamp(txn, self._parsed)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def close(self) -> None:
        """Close the file once every user of it has."""
        with _open_lock:
            self.users -= 1
            if self.users > 0:
                return
            _open.pop(self.path, None)
        self._writer.close()
        self._env.close()

    async def _look(self, step: Callable[[engine.ReadTxn], T]) -> T:
        self._must_be_in_place()
        try:
            with self._begin() as txn:
                return step(txn)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def _step(self, step: Callable[[engine.Txn], T]) -> T:
        self._must_be_in_place()
        return await self._writer.run(step)

    def _must_be_in_place(self) -> None:
        """Raise :class:`StoreError`, now and for every read that follows, where the file is another one by now.

        Reads alone do not look, since a look takes as long as a third of one; polling does, once per heartbeat.
        """
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
        return await self._look(lambda txn: _listed(txn, prefix, start, limit))

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        await self._writer.put(rows)

    async def _remove(self, names: Collection[bytes]) -> None:
        def remove(txn: engine.Txn) -> None:
            for name in names:
                txn.delete(name)

        if names:
            await self._step(remove)


def _listed(txn: Any, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    with txn.cursor() as cursor:
        if cursor.set_range(max(prefix, start)):
            for key, value in cursor:
                if not key.startswith(prefix) or len(found) == limit:
                    break
                found.append((key, value))
    return found


def _environment(path: Path, map_size: int) -> lmdb.Environment:
    try:
        path.mkdir(parents=True, exist_ok=True)
        env = lmdb.open(str(path), map_size=map_size, max_readers=1024, sync=True, metasync=True)
    except (OSError, lmdb.Error) as error:
        _check_writable(path, error)
        raise ForeignStore(
            f"{path} cannot be opened as a store ({error}); move it away, or point the store elsewhere", field="store"
        ) from error
    try:
        _check_size(env, path)
        with env.begin(write=True) as txn:
            _claim(txn, path)
            engine.settle(Txn(txn), engine.Parsed(), _host(path), engine.numbers())
    except (lmdb.Error, msgspec.DecodeError) as error:
        env.close()
        _check_writable(path, error)
        raise ForeignStore(f"{path} is damaged ({error}); move it away and let it be rebuilt", field="store") from error
    except ForeignStore:
        env.close()
        raise
    return env


def _check_writable(path: Path, error: Exception) -> None:
    """What may not be written is not damaged; LMDB says which by the system's own words only."""
    reasons = [os.strerror(code) for code in (errno.EACCES, errno.EPERM, errno.EROFS)]
    if isinstance(error, lmdb.ReadonlyError | PermissionError) or any(reason in str(error) for reason in reasons):
        raise StoreError(
            f"{path} cannot be written ({error}); check its owner, its mode, and whether its disk is read-only",
            field="store",
        ) from error


def _check_size(env: lmdb.Environment, path: Path) -> None:
    """A file shorter than its own last page would end the process at the first read of what is missing."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = (path / "data.mdb").stat().st_size
    if found < needed:
        raise ForeignStore(
            f"{path} is truncated ({found} of {needed} bytes); move it away and let it be rebuilt", field="store"
        )


def _claim(txn: Any, path: Path) -> None:
    """Mark a new file as ours; refuse one that holds anything else."""
    found = txn.get(_MAGIC[0])
    if found == _MAGIC[1]:
        msgspec.msgpack.decode(txn.get(engine.CONTROL) or b"", type=Control)
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
    """The file itself: a copy that was put in its place is another one, and may be older than what was acknowledged."""
    return f"inode {(path / 'data.mdb').stat().st_ino}"
