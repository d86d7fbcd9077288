"""One SQLite connection per thread, all closed together, and the threads that wait for a file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from retail_assistant.shop.errors import ShopBusy
from retail_assistant.shop.schema import connect

T = TypeVar("T")
WAIT_S = 1.0
"""Seconds that a request waits for a thread, and again for a locked file."""
_LOCKED = "the shop's file is locked by another program; try again"
THREADS = 4
"""Threads per kind of use. Requests that wait for a locked file thus do not block other uses."""


class PerThread:
    """Gives each thread a connection of its own; a read after :meth:`close` opens a new one."""

    def __init__(self, opening: Callable[[], sqlite3.Connection]) -> None:
        """``opening`` must allow a connection to be closed from another thread; nothing is opened yet."""
        self._opening = opening
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._running, self._ended = 0, threading.Condition()
        self._threads = {
            kind: ThreadPoolExecutor(THREADS, thread_name_prefix=f"shop-{kind}") for kind in ("read", "write")
        }

    async def read(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``use`` in a reading thread; raises :class:`ShopBusy` if the file stays locked."""
        return await self._in_thread("read", use)

    async def write(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """Call ``use`` in a writing thread; only writers wait for each other. Raises like :meth:`read`."""
        return await self._in_thread("write", use)

    async def _in_thread(self, kind: str, use: Callable[[sqlite3.Connection], T]) -> T:
        def used() -> T:
            with self._ended:
                self._running += 1
            try:
                return use(self.get())
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or "busy" in str(error):
                    raise ShopBusy(_LOCKED) from error
                self._forget()  # for example because the file was moved; the next use opens a new connection
                raise ShopBusy(f"the shop's file cannot be used now ({error}); try again") from error
            finally:
                with self._ended:
                    self._running -= 1
                    self._ended.notify_all()

        waiting = self._threads[kind].submit(used)
        done = asyncio.wrap_future(waiting)
        done.add_done_callback(_seen)  # its reader may have left
        try:
            return await asyncio.wait_for(asyncio.shield(done), WAIT_S)
        except TimeoutError:
            if waiting.cancel():  # all threads are waiting for the file; this use has not begun, and is cancelled
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
        """Close every connection, after the uses that are running: to close one under its thread is a crash."""
        with self._ended:
            self._ended.wait_for(lambda: not self._running)
            while self._opened:
                self._opened.pop().close()
            self._local = threading.local()


def _seen(done: asyncio.Future[Any]) -> None:
    """Take note of an error, so that it is not logged as one that nobody has seen."""
    if not done.cancelled():
        done.exception()


def readers(path: str | Path) -> PerThread:
    """Read-only connections to a shop file."""

    def opening() -> sqlite3.Connection:
        uri = f"{Path(path).resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA cache_size=-16384")
        return connection

    return PerThread(opening)


def writers(path: str | Path) -> PerThread:
    """Writing connections to an existing shop file; every commit is synced."""
    return PerThread(lambda: connect(path, any_thread=True, wait_s=WAIT_S, make=False))
