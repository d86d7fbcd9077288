"""The place of an LMDB store: which store there is the valid one, and how a damaged one is set aside.

Beside the folder lies a file of 64 bytes, ``<folder>.incarnation``. It names the only valid incarnation, the data file
in which a process has found a damaged page, and how far the store has come (see ``_lmdb_openings``). It is not in the
folder, because a folder that is moved away and back would bring its own version. Every process maps the file into
memory. One comparison then tells a read whether another store has become the valid one, so that nothing is read from a
store that was set aside.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb

from parbake.errors import DamagedStore, OutdatedStore
from parbake.process.private_files import make_file, make_folder
from parbake.protocol.control import Control, has_lived_through
from parbake.protocol.record import Stamp
from parbake.stores._lmdb_openings import DAMAGED, INCARNATION

DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.PanicError,
    lmdb.PageFullError,
    lmdb.CursorFullError,
)
"""What LMDB raises when it finds a damaged page."""
_SIZE = 64
_NOTHING = memoryview(bytes(_SIZE)).cast("Q")
_LEFT = r"\.(?:damaged|replaced|rewritten)-\d+"
"""How the names of folders end that this package has set aside, or has not come to delete."""
_log = logging.getLogger("parbake.stores")


class StorePlace:
    """A folder, and the side file. Call what changes them only while the place is locked."""

    def __init__(self, folder: Path) -> None:
        """Look at a place.

        Where nothing can be written beside the folder, no store is noted, none is set aside, and each opening by a
        process that finds no other one with the store open is a new incarnation.
        """
        self.folder = folder
        self._path = folder.with_name(folder.name + ".incarnation")
        self.data = str(folder / "data.mdb")
        self.side = _NOTHING
        """The numbers of the side file, by their places in :mod:`parbake.stores._lmdb_openings`."""
        self._map = mmap.mmap(-1, _SIZE)
        self._mapped = 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes, and other threads, from changing the place."""
        try:
            make_folder(self.folder.parent)
            make_file(self._path)
            file = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)  # whoever may write here could lead it elsewhere
        except OSError as error:
            _log.info("%s: nothing can be written beside it: %s", self.folder, error)
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(OSError):  # a full disk
                self._read(file)
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # the map has a descriptor of its own, which would keep the lock
            os.close(file)

    def _read(self, file: int) -> None:
        """Map the side file, again if it was deleted in the meantime, and lengthen one of an earlier version."""
        found = os.fstat(file)
        if found.st_size < _SIZE:  # written, because on a full disk a write to a hole that is mapped ends the process
            os.pwrite(file, bytes(_SIZE - found.st_size), found.st_size)
            if os.fstat(file).st_size < _SIZE:
                return
        if self._mapped != found.st_ino:
            self._map, self._mapped = mmap.mmap(file, _SIZE), found.st_ino
            self.side = memoryview(self._map).cast("Q")

    @property
    def has_side(self) -> bool:
        """Whether the side file can be written."""
        return self._mapped != 0

    def flush(self) -> None:
        """Let the side file be on disk."""
        self._map.flush()

    def close(self) -> None:
        """Unmap the side file."""
        self.side, self._mapped = _NOTHING, 0
        self._map = mmap.mmap(-1, _SIZE)

    def found(self) -> int:
        """The inode of the data file in the folder; raises ``OSError`` if there is none."""
        return os.stat(self.data).st_ino  # noqa: PTH116  # each commit looks, and this takes a third of the time

    def write(self, incarnation: int, damaged: int = 0) -> None:
        """Note the valid incarnation and the damaged file, durably."""
        if self._mapped:
            self.side[INCARNATION] = incarnation
            self.side[DAMAGED] = damaged
            self.flush()

    def damaged(self, why: object) -> DamagedStore:
        """Return the error for a store that cannot be used any more."""
        return DamagedStore(
            f"{self.folder} is damaged ({why}); a worker sets it aside, and an empty one follows", field="store"
        )

    def must_be_valid(self, control: Control) -> None:
        """Raise :class:`OutdatedStore` unless a store is the valid one, or has descended from it.

        Raises :class:`DamagedStore` for one that was overwritten under its processes.
        """
        noted = self.side[INCARNATION]
        if noted and noted != control.incarnation and not _descends(control, noted):
            if self.side[DAMAGED] == self.found():
                raise self.damaged("it was overwritten while processes had it open")
            raise OutdatedStore(
                f"{self.folder} is in incarnation {control.incarnation}, but incarnation {noted} has replaced it and "
                "may have acknowledged changes that this one lacks. Move the newer one back, or delete this one; "
                "a copy of it (cp -r) can also be used, because a copy is recovered from the outboxes",
                field="store",
            )

    def accept(self, control: Control) -> None:
        """Let an open store be used further, and note its incarnation.

        Raises :class:`OutdatedStore` if it is neither the valid store nor has descended from it.
        """
        self.must_be_valid(control)
        if self.side[INCARNATION] != control.incarnation:
            self.write(control.incarnation, self.side[DAMAGED])

    def flag(self, inode: int, *, overwritten: int = 0) -> None:
        """Note that a data file is damaged, if it is the one in the folder.

        Args:
            inode: The file.
            overwritten: The incarnation that was in it, if it was overwritten. The side file gets a number that no
                store has, so that no process reads the file any more.
        """
        if self.side[DAMAGED] == inode and self.side[INCARNATION] != overwritten:
            return
        with self.locked(), contextlib.suppress(OSError):
            if self.found() == inode:
                self.write(self.side[INCARNATION] + (self.side[INCARNATION] == overwritten), inode)

    def set_aside(self) -> Path | None:
        """Rename the folder if its data file is damaged; returns its new path, or ``None`` if there is nothing to do.

        From before the renaming until the new store is noted, the side file holds a number that no store has. So no
        process reads the damaged store once the new one can acknowledge anything. Raises ``OSError`` if it cannot be
        renamed.
        """
        damaged, aside = self.side[DAMAGED], self.folder.with_name(f"{self.folder.name}.damaged-{time.time_ns()}")
        try:
            found = self.found()
        except OSError:
            found = 0  # an operator has moved it away, or a worker died after the renaming
        if not damaged or found not in (0, damaged):
            self.write(self.side[INCARNATION])
            return None
        before = self.side[INCARNATION]
        self.write(before + 1, damaged)
        try:
            if found:
                self.folder.rename(aside)
        except OSError:
            self.write(before, damaged)
            raise
        return aside

    def discard(self) -> list[Path]:
        """Delete what was set aside, and what an interrupted rewriting has left; returns the folders.

        Raises ``OSError`` if one cannot be deleted.
        """
        name = re.compile(re.escape(self.folder.name) + _LEFT)
        found = sorted(path for path in self.folder.parent.iterdir() if name.fullmatch(path.name) and path.is_dir())
        for path in found:
            shutil.rmtree(path)
        return found

    def swap(self, fresh: Path) -> None:
        """Put a folder in the place of the store's own, and delete that one."""
        aside = self.folder.with_name(f"{self.folder.name}.replaced-{time.time_ns()}")
        self.folder.rename(aside)
        try:
            fresh.rename(self.folder)
        except OSError:
            aside.rename(self.folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _descends(control: Control, incarnation: int) -> bool:
    return bool(control.ancestry) and has_lived_through(control, Stamp(incarnation, 0).pack())
