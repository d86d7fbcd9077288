"""A note about a store in the memory of the machine, which no copy of a disk contains.

It is a small file in a file system that is kept in memory. It outlives a killed process, and is gone when the machine
is started again. Everybody may create files there, so only a file of this process's user that nobody else can write is
used.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
import struct
from hashlib import blake2b

FOLDER = "/dev/shm"  # noqa: S108  # the owner and the mode of a file in it are checked
_TMPFS = 0x01021994
_STATFS_BYTES = 512
_NOTE_BYTES = 64
_libc = ctypes.CDLL(None)


def note_name(identity: str) -> str:
    """The name of the note about the file with an identity."""
    return f"parbake-{os.geteuid()}-{blake2b(identity.encode(), digest_size=16).hexdigest()}"


def open_note(identity: str) -> memoryview | None:
    """The note about a file, eight numbers, with zeros if it is new; ``None`` where the machine has no such memory.

    Args:
        identity: What names the file among all files.
    """
    try:
        folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _open_in(folder, note_name(identity)) if _is_in_memory(folder) else None
    except (OSError, ValueError):  # full, read-only, a link, another's file
        return None
    finally:
        os.close(folder)


def _open_in(folder: int, name: str) -> memoryview | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        status = os.fstat(file)
        is_private = status.st_uid == os.geteuid() and not status.st_mode & 0o077 and status.st_nlink == 1
        if not stat.S_ISREG(status.st_mode) or not is_private or status.st_size not in (0, _NOTE_BYTES):
            return None
        if not status.st_size:  # written, because a write to a hole that is mapped ends the process if memory is full
            os.pwrite(file, bytes(_NOTE_BYTES), 0)
        return memoryview(mmap.mmap(file, _NOTE_BYTES)).cast("Q")
    finally:
        os.close(file)


def _is_in_memory(folder: int) -> bool:
    """Whether a folder is in a ``tmpfs``."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    try:
        is_read = _libc.fstatfs(folder, status) == 0
    except AttributeError:
        return False
    kind: int = struct.unpack_from("@l", status)[0]
    return is_read and kind == _TMPFS
