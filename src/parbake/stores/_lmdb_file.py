"""The data file of an LMDB store: what names it, who has it open, and the pages that name its last commits."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import sys

import lmdb

from parbake.stores._lmdb_openings import name_file

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_STATX_BYTES, _SECONDS_AT, _NANOSECONDS_AT = 256, 80, 88
_HANDLE_HEAD_BYTES, _HANDLE_BYTES = 8, 128
_COMMIT_AT = (16 + 4 + 4 + 8 + 8 + 2 * 48 + 8) // 8
"""Where a meta page holds the number of its commit, in words of 8 bytes: behind the head of the page, the magic number,
the version, the address, the size of the map, two databases, and the last page."""
_TRIES = 100
_META = struct.Struct("=16xII16xI92xQQ")
"""A meta page: behind its head the magic number, the version, the size of a page, the last page, and the commit."""
_MAGIC, _LATEST = 0xBEEFC0DE, 0xFFFF
_PAGE_SIZES = [1 << power for power in range(8, 17)]
NO_WORDS = memoryview(bytes(8)).cast("Q")
"""In place of the words of meta pages whose layout is not known, or of a file that is not open."""
_libc = ctypes.CDLL(None)


class OverwrittenError(lmdb.CorruptedError):
    """A file was overwritten while processes had it open. For them, it is damaged."""


def file_identity(file: int) -> str:
    """What names an open file among all files, also among later ones; empty if its file system has nothing for that.

    It stays the same over a restart of the machine, and when the file system is mounted elsewhere.
    """
    status = os.fstat(file)
    birth_ns = int(getattr(status, "st_birthtime", 0) * 1e9) or _birth_ns(file)
    return name_file(status.st_ino, birth_ns, "" if birth_ns else _generation(file))


def _birth_ns(file: int) -> int:
    """When a file was created, by ``statx``; 0 if that is not known."""
    status = ctypes.create_string_buffer(_STATX_BYTES)
    try:
        is_read = _libc.statx(file, b"", _AT_EMPTY_PATH, _STATX_BTIME, status) == 0
    except AttributeError:  # another system, or an old library
        return 0
    if not is_read or not struct.unpack_from("=I", status)[0] & _STATX_BTIME:
        return 0
    seconds: int = struct.unpack_from("=q", status, _SECONDS_AT)[0]
    nanoseconds: int = struct.unpack_from("=I", status, _NANOSECONDS_AT)[0]
    return seconds * 1_000_000_000 + nanoseconds


def _generation(file: int) -> str:
    """The handle of a file, by ``name_to_handle_at``, which has the generation of its inode; empty if there is none."""
    handle = ctypes.create_string_buffer(_HANDLE_HEAD_BYTES + _HANDLE_BYTES)
    struct.pack_into("=I", handle, 0, _HANDLE_BYTES)
    mount = ctypes.c_int()
    try:
        is_read = _libc.name_to_handle_at(file, b"", handle, ctypes.byref(mount), _AT_EMPTY_PATH) == 0
    except AttributeError:
        return ""
    if not is_read:
        return ""
    size: int = struct.unpack_from("=I", handle)[0]
    return handle.raw[4 : _HANDLE_HEAD_BYTES + size].hex()


class Presence:
    """Shows other processes that this one has a file open; it ends with the process, in whatever way that ends.

    It is a lock on the file, which LMDB does not use. While a process finds out what it has opened, it has the lock
    alone. Create one only while the place of the store is locked.
    """

    def __init__(self, path: str) -> None:
        """Take the lock, alone if no other process has it; raises ``OSError``."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.is_first = self.is_alone()
            """Whether no other process had the file open."""
            if not self.is_first:
                self.share()
            self.identity = file_identity(self._file)
        except OSError:
            os.close(self._file)
            raise

    def is_alone(self) -> bool:
        """Whether no other process has the file open. Then none can open it before :meth:`share` or :meth:`end`."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Let other processes open the file."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def end(self) -> None:
        """Release the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def abandon(self) -> None:
        """Leave the lock to the parent, in a child of a fork."""
        os.close(self._file)


class MetaPages:
    """The two pages of an LMDB file that name its last commits, by turns.

    LMDB takes the number of the last commit from its lock file, and the data from the page that should name this
    commit. If the file is overwritten, the page names another one, and LMDB does not compare.
    """

    def __init__(self, path: str, env: lmdb.Environment) -> None:
        """Map the pages of a file to which at least one commit was written; raises ``OSError``."""
        size = env.stat()["psize"]
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.words = memoryview(mmap.mmap(file, 2 * size, prot=mmap.PROT_READ)).cast("Q")
        finally:
            os.close(file)
        self.even, self.odd = _COMMIT_AT, size // 8 + _COMMIT_AT
        self._is_known = any(self._last() == last_commit(env) for _ in range(_TRIES))  # others may commit meanwhile
        if not self._is_known:  # another layout: reads find no sum that is right, and ask, which costs some time
            self.words, self.even, self.odd = NO_WORDS, 0, 0

    def last(self, env: lmdb.Environment) -> int:
        """The number of the last commit in the file, which an environment has open."""
        return self._last() if self._is_known else last_commit(env)

    def _last(self) -> int:
        return max(self.words[self.even], self.words[self.odd])

    def holds(self, commit: int) -> bool:
        """Whether the pages name this commit, and the one before or after it."""
        if not self._is_known:
            return True
        even, odd = self.words[self.even], self.words[self.odd]
        return commit == (odd if commit & 1 else even) and abs(even - odd) == 1

    def is_consistent(self) -> bool:
        """Whether the pages name two commits of which one follows the other."""
        return self.holds(self._last())


def bytes_named(path: str) -> int:
    """How many bytes a file must have by its own last commit; 0 if it has no meta page of LMDB's, or does not exist.

    LMDB maps as much as the page says, whatever it says, so that this is compared with the file before. No file has
    pages of a size that LMDB does not know, or a version that nobody has made.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # each path of a store is a text
            first = file.read(_META.size)
            magic, version, size, *_ = _META.unpack(first) if len(first) == _META.size else (0, 0, 0)
            if magic != _MAGIC:
                return 0
            if size not in _PAGE_SIZES or version > _LATEST:
                return sys.maxsize
            file.seek(size)
            second = file.read(_META.size)
    except OSError:
        return 0
    found = [_META.unpack(page) for page in (first, second) if len(page) == _META.size]
    named = [(commit, (last + 1) * size) for magic, _, _, last, commit in found if magic == _MAGIC]
    return max(named, default=(0, 0))[1]


def last_commit(env: lmdb.Environment) -> int:
    """The number of the last commit in the file of an environment."""
    number: int = env.info()["last_txnid"]
    return number
