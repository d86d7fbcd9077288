"""One SQLite connection per thread, all closed together."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from retail_assistant.shop.schema import connect


class PerThread:
    """Hands each thread a connection of its own; a read after :meth:`close` opens a new one."""

    def __init__(self, opening: Callable[[], sqlite3.Connection]) -> None:
        """``opening`` must allow a connection to be closed from another thread; nothing is opened yet."""
        self._opening = opening
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def get(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._opening()
            self._opened.append(found)
        return found

    def close(self) -> None:
        """Close every connection."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()


def readers(path: str | Path) -> PerThread:
    """Read-only connections to a shop file."""

    def opening() -> sqlite3.Connection:
        uri = f"{Path(path).resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA cache_size=-16384")
        return connection

    return PerThread(opening)


def writers(path: str | Path) -> PerThread:
    """Connections that write, every commit synced."""
    return PerThread(lambda: connect(path, any_thread=True))
