"""How the file of an LMDB store is opened: only if it is a store, whole, and not replaced by another one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from parbake.errors import DamagedStore, ForeignStore, StoreError, StoreFull
from parbake.protocol.control import Control, Number, renumber
from parbake.stores._lmdb_place import DAMAGE, StorePlace
from parbake.stores._lmdb_writer import LmdbTxn, check_room
from parbake.stores.steps.item_names import CONTROL
from parbake.stores.steps.lookups import Parsed
from parbake.stores.steps.record_steps import RecordSteps, numbers

_MAGIC = (b"m", b"parbake-store-2")
_TOGETHER = 1000
"""How many items of a store are written to a new file at once."""
_LEAST_RESERVE = 16 << 20
"""Bytes of the map that only deletions may use: a thousand of them at once, and the list of free pages."""


def opened(place: StorePlace, map_size: int) -> lmdb.Environment:
    """Open or create the store in a place that is locked, and note its incarnation.

    Args:
        place: The place.
        map_size: How many bytes may be in use; the file may grow a little larger, for deletions.

    Raises:
        DamagedStore: The place held a store, and its file cannot be used any more.
        ForeignStore: The file is not a store.
        OutdatedStore: Another store has replaced this one.
    """
    path = place.folder
    try:
        path.mkdir(parents=True, exist_ok=True)
        reserve = _LEAST_RESERVE + map_size // 16
        env = lmdb.open(str(path), map_size=map_size + reserve, max_readers=1024, sync=True, metasync=True)
    except (OSError, lmdb.Error) as error:
        _check_writable(path, error)
        if isinstance(error, lmdb.MemoryError):
            raise StoreError(
                f"{path}: this machine cannot map {map_size} bytes; open it with a smaller ?map_size=",
                field="store.map_size",
            ) from error
        raise _unfit(place, error) from error
    try:
        _check_size(env, path)
        with env.begin(write=True) as txn:
            # Its file identifies a store. A copy in its place is another file, and may lack what was acknowledged.
            _claim(txn, place, host := f"inode {place.found()}")
            control = RecordSteps(LmdbTxn(txn), Parsed()).settle(host, _numbers_above(place.note[0]))
            check_room(env, txn, map_size)
        place.write(control.incarnation, place.note[1] if place.note[1] == place.found() else 0)
    except lmdb.MapFullError as error:
        env.close()
        raise StoreFull(
            f"{path}: a map size of {map_size} bytes is too small even to open it; set ?map_size= higher, as to 1GiB",
            field="store.map_size",
        ) from error
    except (lmdb.Error, msgspec.DecodeError, _TruncatedError) as error:
        env.close()
        _check_writable(path, error)
        raise _unfit(place, error) from error
    except StoreError:
        env.close()
        raise
    return env


def rewrite(env: lmdb.Environment, place: StorePlace, folder: Path) -> None:
    """Write the items of a store to a new folder, without anything that was deleted, and put that in its place.

    A file cannot be cleaned in place: deleted items stay in free pages, in the gaps of pages, and in the keys of inner
    pages. Other writers wait until the new file is in place, so nothing is lost. It is a new incarnation, so that every
    reader notices it.

    Args:
        env: The store.
        place: Its place, locked.
        folder: The new folder.
    """
    folder.mkdir(parents=True)
    with env.begin(write=True) as txn:
        with contextlib.closing(lmdb.open(str(folder), map_size=env.info()["map_size"], sync=False)) as fresh:
            with txn.cursor() as cursor:
                items = iter(cursor)
                while page := list(itertools.islice(items, _TOGETHER)):
                    with fresh.begin(write=True) as into, into.cursor() as writing:
                        writing.putmulti(page, append=True)
            control = msgspec.msgpack.decode(txn.get(CONTROL) or b"", type=Control)
            host = f"inode {(folder / 'data.mdb').stat().st_ino}"
            with fresh.begin(write=True) as into:
                RecordSteps(LmdbTxn(into), Parsed()).save(msgspec.structs.replace(renumber(control), host=host))
            fresh.sync(True)  # noqa: FBT003  # its only parameter, which has no name
        place.swap(folder)


def _numbers_above(noted: int) -> Number:
    """Create numbers for incarnations that are also above the one that was valid here before."""
    number = numbers()
    return lambda above: number(max(above, noted))


class _TruncatedError(Exception):
    """The file is shorter than its own last page."""


def _unfit(place: StorePlace, error: Exception) -> StoreError:
    """Return the error for a file that cannot be opened: a store was here before, or nobody knows what it is."""
    is_damage = isinstance(error, (*DAMAGE, msgspec.DecodeError, _TruncatedError))
    if is_damage and place.note[0]:
        place.write(place.note[0], place.found())
        return damaged(place.folder, error)
    return ForeignStore(
        f"{place.folder} cannot be opened as a store ({error}); move it away, or point the store elsewhere",
        field="store",
    )


def damaged(path: Path, error: Exception) -> DamagedStore:
    """Return the error for a store with a damaged page."""
    return DamagedStore(f"{path} is damaged ({error}); a worker sets it aside, and an empty one follows", field="store")


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
        raise _TruncatedError(f"it has {found} of {needed} bytes")


def _claim(txn: Any, place: StorePlace, host: str) -> None:
    """Mark a new file as a store; reject a file with any other content, and a store that another has replaced."""
    path, found = place.folder, txn.get(_MAGIC[0])
    if found == _MAGIC[1]:
        control = msgspec.msgpack.decode(txn.get(CONTROL) or b"", type=Control)
        if control.host == host:  # a copy, which another host has, is recovered
            place.must_be_valid(control)
        return
    if found is not None and found.startswith(b"parbake-store-"):
        raise ForeignStore(
            f"{path} was written by another version of parbake ({found.decode()}); move it away and let it be rebuilt",
            field="store",
        )
    if txn.stat()["entries"]:
        raise ForeignStore(f"{path} holds data that parbake did not write; point the store elsewhere", field="store")
    txn.put(*_MAGIC)
