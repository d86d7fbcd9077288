"""How the file of an LMDB store is opened: only if it is a store, whole, and not replaced by another one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import msgspec

from parbake.errors import ForeignStore, StoreError, StoreFull
from parbake.process.private_files import copy_owner_and_mode, make_folder
from parbake.protocol.control import Control, Number, renumber
from parbake.stores._lmdb_file import MetaPages, OverwrittenError, Presence, bytes_named, file_identity, last_commit
from parbake.stores._lmdb_memory import open_note
from parbake.stores._lmdb_openings import (
    DAMAGED,
    INCARNATION,
    WORD,
    FoundFile,
    OverwrittenFile,
    RecordedOpening,
    continue_counter,
    is_overwritten,
    read_opening,
    retire_note,
    settle_opening,
    witness_close,
    witness_commit,
    witness_opening,
)
from parbake.stores._lmdb_place import DAMAGE, StorePlace
from parbake.stores._lmdb_writer import LmdbTxn, check_room
from parbake.stores.steps.item_names import CONTROL
from parbake.stores.steps.lookups import Parsed
from parbake.stores.steps.record_steps import RecordSteps, numbers

_MAGIC = (b"m", b"parbake-store-2")
_MODE = 0o600
"""The mode of new files: only their owner can read them."""
_TOGETHER = 1000
"""How many items of a store are written to a new file at once."""
_WORD_BITS = 62
_TRIES = 100
"""How often a file is compared while other processes commit to it."""
_log = logging.getLogger("parbake.stores")
_LEAST_RESERVE = 16 << 20
"""Bytes of the map that only deletions may use: a thousand of them at once, and the list of free pages."""


class OpenFile(NamedTuple):
    """A store's file that is open in this process, with what shows this to others, and what witnesses its commits."""

    env: lmdb.Environment
    presence: Presence
    pages: MetaPages
    note: memoryview | None
    opening: RecordedOpening
    inode: int

    @property
    def counter(self) -> int:
        """The store's counter."""
        return self.opening.base + self.pages.last(self.env)

    def check(self, txn: lmdb.Transaction[bytes], place: StorePlace) -> None:
        """Raise :class:`OverwrittenError` unless the file is what the processes of this opening have written.

        Args:
            txn: A transaction for writing that has changed nothing yet.
            place: The place of the store.
        """
        last = txn.id() - 1
        if not self.pages.holds(last):
            raise OverwrittenError("it was overwritten")
        if place.has_side and is_overwritten(read_opening(LmdbTxn(txn)), self.opening.base + last, place.side):
            raise OverwrittenError("another opening was put in its place")

    def is_whole(self) -> bool:
        """Whether the file is what LMDB believes it to be, while other processes may commit to it."""
        with contextlib.suppress(lmdb.Error):  # a fork has closed it
            for _ in range(_TRIES):
                with self.env.begin() as txn:
                    if self.pages.holds(txn.id()):
                        return True
            return False
        return True

    def has_no_commit(self, place: StorePlace) -> bool:
        """Whether the file in its place does not name its last commits, so that LMDB refuses it in whatever words.

        Args:
            place: The place of the store.
        """
        with contextlib.suppress(OSError, ValueError):
            is_consistent = any(self.pages.is_consistent() for _ in range(_TRIES))  # others may commit meanwhile
            is_long_enough = bytes_named(place.data) <= Path(place.data).stat().st_size
            return place.found() == self.inode and not (is_consistent and is_long_enough)
        return False

    def witness_commits(self, place: StorePlace) -> None:
        """Record beside the store, and in memory, how far it has come; raises as :meth:`check` does."""
        if not self.pages.is_consistent():
            raise OverwrittenError("it was overwritten during a commit")
        while place.has_side and witness_commit(self.counter, place.side, self.note):
            pass

    def record_end(self, place: StorePlace) -> None:
        """Record that the store is closed, unless another process has it open.

        That is not recorded of a file that is not in its place, or of another opening than the one beside it.

        Args:
            place: The place of the store.
        """
        with place.locked(), contextlib.suppress(OSError, lmdb.Error):
            is_noted = place.side[WORD] == self.opening.word and place.found() == self.inode
            if is_noted and self.presence.is_alone():
                witness_close(self.counter, place.side)
                place.flush()


def open_file(place: StorePlace, map_size: int, *, is_rewritten: bool = False) -> OpenFile:
    """Open or create the store in a place that is locked, and note its incarnation.

    Args:
        place: The place.
        map_size: How many bytes may be in use; the file may grow a little larger, for deletions.
        is_rewritten: Whether this process itself has just put the file in place of the one that it had open.

    Raises:
        DamagedStore: The place held a store, and its file cannot be used any more.
        ForeignStore: The file is not a store.
        OutdatedStore: Another store has replaced this one.
    """
    path = place.folder
    _check_named(place)
    env = _open_environment(place, map_size)
    try:
        _check_size(env, path)
        return _settle(env, place, map_size, is_rewritten=is_rewritten)
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
    except OSError as error:
        env.close()
        _check_writable(path, error)
        raise StoreError(f"{path} cannot be opened ({error})", field="store") from error
    except StoreError:
        env.close()
        raise


def _open_environment(place: StorePlace, map_size: int) -> lmdb.Environment:
    path = place.folder
    try:
        make_folder(path)
        reserve = _LEAST_RESERVE + map_size // 16
        return lmdb.open(str(path), map_size=map_size + reserve, max_readers=1024, sync=True, metasync=True, mode=_MODE)
    except (OSError, lmdb.Error) as error:
        _check_writable(path, error)
        if isinstance(error, lmdb.MemoryError):
            raise StoreError(
                f"{path}: this machine cannot map {map_size} bytes; open it with a smaller ?map_size=",
                field="store.map_size",
            ) from error
        raise _unfit(place, error) from error


def _settle(env: lmdb.Environment, place: StorePlace, map_size: int, *, is_rewritten: bool) -> OpenFile:
    """Begin an opening of the store, or join that of other processes; first in the store, then beside it."""
    presence = Presence(place.data)
    try:
        is_first = presence.is_first and not is_rewritten
        note = open_note(presence.identity) if place.has_side and presence.identity else None
        with env.begin(write=True) as txn:
            _check_last(txn, env, place)
            host = _claim(txn, place, presence.identity)
            side = place.side if place.has_side else None
            found = FoundFile(presence.identity, last_commit(env), is_first, side, note)
            number = _numbers_above(place.side[INCARNATION])
            settled = settle_opening(LmdbTxn(txn), found, number, 1 + secrets.randbits(_WORD_BITS))
            if settled.replaced:
                retire_note(open_note(settled.replaced))
            if not host:  # a store that is full must open, so that it can be swept
                check_room(env, txn, map_size)
        if settled.loss:
            _log.warning("%s: %s. Nothing in it is served before its outboxes are replayed", place.folder, settled.loss)
        if place.has_side:
            is_damaged = place.side[DAMAGED] == place.found() and host == presence.identity
            place.side[DAMAGED] = place.found() if is_damaged else 0
            witness_opening(settled, place.side, note, is_first=is_first or is_rewritten)
            place.flush()
        presence.share()
        return OpenFile(env, presence, MetaPages(place.data, env), note, settled.opening, place.found())
    except OverwrittenFile as error:
        presence.end()
        raise OverwrittenError("it was overwritten while other processes have it open") from error
    except BaseException:
        presence.end()
        raise


def rewrite(file: OpenFile, place: StorePlace, folder: Path) -> None:
    """Write the items of a store to a new folder, without anything that was deleted, and put that in its place.

    A file cannot be cleaned in place: deleted items stay in free pages, in the gaps of pages, and in the keys of inner
    pages. Other writers wait until the new file is in place, so nothing is lost. It is a new incarnation, so that every
    reader notices it. The opening goes on in it, with a counter that continues.

    Args:
        file: The store.
        place: Its place, locked.
        folder: The new folder.
    """
    env = file.env
    folder.mkdir(mode=0o700, parents=True)
    with env.begin(write=True) as txn:
        with contextlib.closing(
            lmdb.open(str(folder), map_size=env.info()["map_size"], sync=False, mode=_MODE)
        ) as fresh:
            with txn.cursor() as cursor:
                items = iter(cursor)
                while page := list(itertools.islice(items, _TOGETHER)):
                    with fresh.begin(write=True) as into, into.cursor() as writing:
                        writing.putmulti(page, append=True)
            control = msgspec.msgpack.decode(txn.get(CONTROL) or b"", type=Control)
            host = _identity(folder / "data.mdb") or control.host
            with fresh.begin(write=True) as into:
                RecordSteps(LmdbTxn(into), Parsed()).save(msgspec.structs.replace(renumber(control), host=host))
                continue_counter(LmdbTxn(into), last_commit(env))
            fresh.sync(True)  # noqa: FBT003  # its only parameter, which has no name
        for name in ("data.mdb", "lock.mdb"):
            if (place.folder / name).exists():
                copy_owner_and_mode(place.folder / name, folder / name)
        copy_owner_and_mode(place.folder, folder)
        retire_note(file.note)
        place.swap(folder)


def _identity(path: Path) -> str:
    with path.open("rb") as file:
        return file_identity(file.fileno())


def _numbers_above(noted: int) -> Number:
    """Create numbers for incarnations that are also above the one that was valid here before."""
    number = numbers()
    return lambda above: number(max(above, noted))


class _TruncatedError(Exception):
    """The file is shorter than its own last page."""


def _unfit(place: StorePlace, error: Exception) -> StoreError:
    """Return the error for a file that cannot be opened: a store was here before, or nobody knows what it is."""
    is_damage = isinstance(error, (*DAMAGE, msgspec.DecodeError, _TruncatedError))
    if is_damage and place.side[INCARNATION]:
        is_new = isinstance(error, OverwrittenError) and place.side[DAMAGED] != place.found()
        place.write(place.side[INCARNATION] + is_new, place.found())  # no store has that number; see StorePlace.flag
        return place.damaged(error)
    return ForeignStore(
        f"{place.folder} cannot be opened as a store ({error}); move it away, or point the store elsewhere",
        field="store",
    )


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


def _check_named(place: StorePlace) -> None:
    """Reject a file whose last commit is said to have more bytes than it has, before LMDB maps as many."""
    with contextlib.suppress(OSError):
        needed = bytes_named(place.data)  # first, because other processes may let the file grow
        found = Path(place.data).stat().st_size
        if found < needed:
            raise _unfit(place, _TruncatedError(f"its first pages do not fit its {found} bytes"))


def _check_size(env: lmdb.Environment, path: Path) -> None:
    """Reject a file shorter than its own last page. Reading the missing part would kill the process."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = (path / "data.mdb").stat().st_size
    if found < needed:
        raise _TruncatedError(f"it has {found} of {needed} bytes")


def _check_last(txn: lmdb.Transaction[bytes], env: lmdb.Environment, place: StorePlace) -> None:
    """Reject a file that does not name the commit that LMDB believes to be the last one, and the one before."""
    last = txn.id() - 1
    if last and not MetaPages(place.data, env).holds(last):
        raise OverwrittenError("it was overwritten while processes had it open")


def _claim(txn: Any, place: StorePlace, identity: str) -> str:
    """Mark a new file as a store; reject a file with any other content, and a store that another has replaced.

    Returns the identity of the file that the store was in; empty for a new one.
    """
    path, found = place.folder, txn.get(_MAGIC[0])
    if found == _MAGIC[1]:
        control = msgspec.msgpack.decode(txn.get(CONTROL) or b"", type=Control)
        if control.host == identity:  # a copy, which is another file, is recovered
            place.must_be_valid(control)
        return control.host
    if found is not None and found.startswith(b"parbake-store-"):
        raise ForeignStore(
            f"{path} was written by another version of parbake ({found.decode()}); move it away and let it be rebuilt",
            field="store",
        )
    if txn.stat()["entries"]:
        raise ForeignStore(f"{path} holds data that parbake did not write; point the store elsewhere", field="store")
    txn.put(*_MAGIC)
    return ""
