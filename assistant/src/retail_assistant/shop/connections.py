"""One SQLite connection per thread, all closed together, and the threads that wait for a file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from retail_assistant.shop.errors import ShopBusy
from retail_assistant.shop.schema import connect

T = TypeVar("T")
WAIT_S = 1.0
"""Seconds that a request waits for a thread, and again for a locked file."""
_LOCKED = "the shop's file is locked by another program; try again"
THREADS = 4
"""Of each kind of use. Those that wait for a locked file keep no thread from what needs none."""


class PerThread:
    """Hands each thread a connection of its own; a read after :meth:`close` opens a new one."""

    def __init__(self, opening: Callable[[], sqlite3.Connection]) -> None:
        """``opening`` must allow a connection to be closed from another thread; nothing is opened yet."""
        self._opening = opening
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._threads = {
            kind: ThreadPoolExecutor(THREADS, thread_name_prefix=f"shop-{kind}") for kind in ("read", "write")
        }

    async def read(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Read in a thread. Raises :class:`ShopBusy` where the file stays locked."""
        return await self._in_thread("read", use)

    async def write(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Write in a thread; writers wait for each other, and nobody else does. Raises as :meth:`read` does."""
        return await self._in_thread("write", use)

    async def _in_thread(self, kind: str, use: Callable[[sqlite3.Connection], T]) -> T:
        def used() -> T:
            try:
                return use(self.get())
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "busy" in str(error):
                    raise ShopBusy(_LOCKED) from error
                self._forget()  # such as one whose file was moved: the next use opens another
                raise ShopBusy(f"the shop's file cannot be used now ({error}); try again") from error

        waiting = self._threads[kind].submit(used)
        done = asyncio.wrap_future(waiting)
        try:
            return await asyncio.wait_for(asyncio.shield(done), WAIT_S)
        except TimeoutError:
            if waiting.cancel():  # all threads wait for the file: it has not begun, and does not begin any more
                raise ShopBusy(_LOCKED) from None
            return await done

    def get(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._opening()
            self._opened.append(found)
        return found

    def _forget(self) -> None:
        """Close this thread's connection."""
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            self._opened.remove(connection)
            connection.close()

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
    """Connections that write to a file that is there, every commit synced."""
    return PerThread(lambda: connect(path, any_thread=True, wait_s=WAIT_S, make=False))
