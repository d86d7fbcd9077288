"""Files of SQLite that several processes open for the first time at once."""

import contextlib
import sqlite3
import threading

import pytest

from parbake.adapters.sqlite import keep_in_wal


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path):
    """Connections that switch a new file to WAL mode at the same moment all succeed; SQLite alone fails some."""
    switching, failed = threading.Barrier(3), []

    def switch(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            switching.wait()
            try:
                keep_in_wal(connection)
            except sqlite3.OperationalError as error:
                failed.append(error)

    for n in range(60):
        threads = [threading.Thread(target=switch, args=(tmp_path / f"{n}.db",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_file_that_stays_locked_is_told_so(tmp_path):
    """A file that another connection holds for longer than the limit is refused with SQLite's own error."""
    path = tmp_path / "held.db"
    with contextlib.closing(sqlite3.connect(path)) as holder, contextlib.closing(sqlite3.connect(path)) as other:
        holder.execute("BEGIN EXCLUSIVE")
        other.execute("PRAGMA busy_timeout=0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            keep_in_wal(other, within_s=0.05)
