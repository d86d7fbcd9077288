"""``lmdb:///path?map_size=4GiB``: the embedded store. One file, several processes, every commit synced.

One environment per process and path (a second open of the same file in one process corrupts its locks); one main
database with prefixed keys. Reads are a single read transaction, without copying the file into memory first.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import lmdb
import msgspec

from parbake.artifact import Record, Stamp, encode
from parbake.errors import ForeignStore, StoreError, StoreFull
from parbake.fence.control import Control, Promotion
from parbake.ports import Ack, Change, Lookup, Raised
from parbake.stores import _engine as engine

T = TypeVar("T")
DEFAULT_MAP = 4 << 30
_SIZE = re.compile(r"(\d+)(KiB|MiB|GiB|TiB)?")
_UNITS = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_MAGIC = (b"m", b"parbake-store-1")
_open: dict[Path, LmdbStore] = {}
_open_lock = threading.Lock()


def open_url(url: str) -> LmdbStore:
    """Open the store at a URL; the same file opened twice in one process is the same object."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    path = Path(unquote(parts.netloc + parts.path)).resolve()
    size = _parse_size(options.get("map_size", [str(DEFAULT_MAP)])[0])
    with _open_lock:
        store = _open.get(path)
        if store is None:
            store = _open[path] = LmdbStore(path, map_size=size)
        store.users += 1
        return store


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise StoreError(f"map_size={text!r} is not a size such as 4GiB", field="store.map_size")
    return int(match[1]) * _UNITS[match[2]]


class _Txn:
    """The protocol's transaction over an LMDB one."""

    __slots__ = ("_txn",)

    def __init__(self, txn: lmdb.Transaction[bytes]) -> None:
        self._txn = txn

    def get(self, key: bytes) -> bytes | None:
        return self._txn.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._txn.put(key, value)

    def delete(self, key: bytes) -> None:
        self._txn.delete(key)

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor() as cursor:
            if not cursor.set_range(max(prefix, start)):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield key, value


class LmdbStore:
    """A store in one LMDB file."""

    def __init__(self, path: Path, *, map_size: int = DEFAULT_MAP) -> None:
        """Open or create the store; raises :class:`ForeignStore` when the file is something else."""
        self.path = path
        self.users = 0
        self._parsed = engine.Parsed()
        self._env = _environment(path, map_size)
        # LMDB has one writer at a time anyway: one thread keeps waiting writers off the default pool.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parbake-lmdb")
        self._begin = self._env.begin

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

    async def stamp(self) -> tuple[Stamp, Control]:
        """See :class:`parbake.ports.Store`."""
        try:
            with self._begin() as txn:
                return engine.stamp(txn, self._parsed)
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error

    async def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.write(txn, self._parsed, task, key, record, now=now))

    async def write_base(
        self,
        task: str,  # noqa: ARG002 - a generation belongs to one task
        generation: int,
        rows: Sequence[tuple[bytes, Record]],
    ) -> None:
        """See :class:`parbake.ports.Store`."""

        def put(txn: _Txn) -> None:
            for key, record in rows:
                txn.put(engine.base_key(generation, key), encode(record))

        await self._write(put)

    async def begin(self) -> tuple[int, Stamp, Control]:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.begin_run(txn, self._parsed))

    async def promote(self, promotion: Promotion) -> Control:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.promote_run(txn, self._parsed, promotion))

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.roll_back(txn, self._parsed, task, now, built_with))

    async def sweep(self, abandoned: Collection[int]) -> int:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.sweep(txn, self._parsed, abandoned))

    async def apply(
        self, changes: Sequence[Change], *, now: float, position: tuple[str, int, int] | None = None
    ) -> Ack:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.apply(txn, self._parsed, changes, now, position))

    async def applied(self, source: str) -> int:
        """See :class:`parbake.ports.Store`."""
        with self._begin() as txn:
            return int.from_bytes(txn.get(engine.APPLIED + source.encode()) or b"", "big")

    async def beat(self, source: str, at: float) -> None:
        """See :class:`parbake.ports.Store`."""
        await self._write(lambda txn: engine.beat(txn, self._parsed, source, at))

    async def log(self, after: int, limit: int) -> list[Raised]:
        """See :class:`parbake.ports.Store`."""
        with self._begin() as txn:
            return engine.event_log(_Txn(txn), after, limit)

    async def get(self, name: str) -> bytes | None:
        """See :class:`parbake.ports.Store`."""
        with self._begin() as txn:
            found: bytes | None = txn.get(engine.NAMED + name.encode())
            return found

    async def swap(self, name: str, expected: bytes | None, new: bytes) -> bool:
        """See :class:`parbake.ports.Store`."""
        return await self._write(lambda txn: engine.swap(txn, name, expected, new))

    def scan(self, task: str) -> Iterator[tuple[bytes, Lookup]]:
        """See :class:`parbake.ports.Store`."""
        with self._begin() as txn:
            yield from engine.scan(_Txn(txn), self._parsed, task)

    async def close(self) -> None:
        """Close the file once every user of it has."""
        with _open_lock:
            self.users -= 1
            if self.users > 0:
                return
            _open.pop(self.path, None)
        self._writer.shutdown()
        self._env.close()

    async def _write(self, step: Callable[[_Txn], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._in_transaction, step)

    def _in_transaction(self, step: Callable[[_Txn], T]) -> T:
        try:
            with self._begin(write=True) as txn:
                return step(_Txn(txn))
        except lmdb.MapFullError as error:
            size = self._env.info()["map_size"]
            raise StoreFull(
                f"{self.path} has reached its map size of {size} bytes; nothing was written. Open it with "
                "?map_size=... set higher",
                field="store.map_size",
            ) from error
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}", field="store") from error


def _environment(path: Path, map_size: int) -> lmdb.Environment:
    try:
        path.mkdir(parents=True, exist_ok=True)
        env = lmdb.open(str(path), map_size=map_size, max_readers=1024, sync=True, metasync=True)
    except (OSError, lmdb.Error) as error:
        raise ForeignStore(
            f"{path} cannot be opened as a store ({error}); move it away, or point the store elsewhere", field="store"
        ) from error
    try:
        _check_size(env, path)
        with env.begin(write=True) as txn:
            _claim(txn, path)
    except (lmdb.Error, msgspec.DecodeError) as error:
        env.close()
        raise ForeignStore(f"{path} is damaged ({error}); move it away and let it be rebuilt", field="store") from error
    except ForeignStore:
        env.close()
        raise
    return env


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
    if txn.get(_MAGIC[0]) == _MAGIC[1]:
        msgspec.msgpack.decode(txn.get(engine.CONTROL) or b"", type=Control)
        return
    if txn.stat()["entries"]:
        raise ForeignStore(f"{path} holds data that parbake did not write; point the store elsewhere", field="store")
    txn.put(*_MAGIC)
    engine.initialise(txn, time.time_ns() // 1000)
