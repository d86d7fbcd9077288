"""A folder that processes share as long as a run's process lives.

It is removed afterwards, however the process ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

PREFIX, LOCK = "parbake-models-", "lock"
_UNLOCKED_S = 60.0
"""Age in seconds at which a folder without a lock counts as abandoned by an owner that died before locking it."""
_log = logging.getLogger("parbake.adapters.local")


class Scratch:
    """A folder of this process inside the system's folder for temporary files.

    Its owner holds a lock in it, which ends with the process. A process id would not suffice, because ids are reused.
    """

    def __init__(self) -> None:
        """Remove the folders of dead processes, and create a new one."""
        remove_left_over()
        self._lock: IO[bytes] | None = None
        while self._lock is None:  # another process may find the folder before it is locked, and remove it
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
            with contextlib.suppress(FileNotFoundError):
                self._lock = _locked(self.path / LOCK, "xb")

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def remove_left_over() -> None:
    """Remove the folders of this user whose owners have died."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it belongs to another user, or is being removed by another process
            about = folder.lstat()
            if about.st_uid == os.getuid():
                _remove_if_dead(folder, is_old=time.time() - about.st_mtime > _UNLOCKED_S)


def _remove_if_dead(folder: Path, *, is_old: bool) -> None:
    if not (folder / LOCK).exists():
        if is_old:
            folder.rmdir()  # removes only an empty folder
        return
    lock = _locked(folder / LOCK, "rb")
    if lock is not None:
        with lock:
            shutil.rmtree(folder)
        _log.info("removed %s, whose process has died", folder)


def _locked(path: Path, mode: str) -> IO[bytes] | None:
    """The open file, locked as long as it is open; ``None`` if another process holds the lock."""
    file: IO[bytes] = path.open(mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
