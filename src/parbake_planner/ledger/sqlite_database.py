"""A ledger in an SQLite file, which the processes of one machine share."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from parbake.adapters.sqlite import keep_in_wal
from parbake.errors import StoreError
from parbake.process.private_files import make_file, make_folder

_OF_THE_FILE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
"""SQLite's error codes for a file that is not a database, is damaged, or has other tables."""


class SqliteDatabase:
    """One file.

    Attributes:
        kind: Names the file of SQL.
        name: How errors call the database, without a password.
        remedy: What to do if it holds something else than a ledger.
        errors: What the driver raises.
        passing: Those of them after which the same rows may be written later.
        alone: A statement after which the transaction is the only one that creates tables or records a complaint.
        may_trim: A query whose answer is true in one transaction at a time, which may delete old rows.
        columns: A query for the name and the type of each column of a table.
        pause_s: For how many seconds nobody connects after a failed attempt.
    """

    kind = "sqlite"
    remedy = "move it away"
    errors = (sqlite3.Error, OSError)
    passing = (sqlite3.OperationalError,)
    alone = "BEGIN IMMEDIATE"
    may_trim = "SELECT 1"
    columns = "SELECT name, type FROM pragma_table_info(?)"
    pause_s = 0.0

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.name, self._path = str(path), path

    def connect(self, *, timeout_s: float, is_new: bool = False) -> sqlite3.Connection:
        """Connect; blocking.

        Args:
            timeout_s: For how many seconds to wait for the database, or for who has locked it.
            is_new: Whether to create the file if it is not there, as the writer does.
        """
        if is_new:
            make_folder(self._path.parent)
            make_file(self._path)
        place = f"{self._path.resolve().as_uri()}?mode={'rwc' if is_new else 'rw'}"
        return sqlite3.connect(place, uri=True, timeout=timeout_s, check_same_thread=False)

    def set_up(self, connection: sqlite3.Connection) -> None:
        """Prepare a connection for writing: others read meanwhile, and a commit does not wait for the disk."""
        keep_in_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        self.overwrite_deleted(connection)  # also of old rows, which may quote questions

    def overwrite_deleted(self, connection: sqlite3.Connection) -> None:
        """Make a connection overwrite what it deletes."""
        connection.execute("PRAGMA secure_delete=ON")

    def compact(self, connection: sqlite3.Connection) -> None:
        """Leave nothing in the file and its log of what was deleted, also before."""
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def refused(self, error: Exception) -> StoreError:
        """Make the error for a database that cannot be opened: is it the file, the disk, or another process?"""
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _OF_THE_FILE:
            return StoreError(f"{self.name} is not a ledger ({error}); {self.remedy}", field="ledger")
        why = error.strerror if isinstance(error, OSError) else error
        return StoreError(
            f"the ledger {self.name} cannot be written ({why}); make room for it, make the folder writable, or name "
            "another file",
            field="ledger",
        )

    def is_gone(self) -> bool:
        """Whether what was opened is not there any more."""
        return not self._path.exists()
