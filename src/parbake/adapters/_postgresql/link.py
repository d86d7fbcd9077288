"""Connections to one PostgreSQL store. Each is checked before anything is read or written on it.

A statement is sent once. Only opening a connection is retried, and a read whose connection broke. A write whose answer
was lost may have been made; the caller has to find out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from parbake.adapters._postgresql.copies import SeenPosition
from parbake.adapters._postgresql.greeting import StoreAddress, discard, forbidden, greet, set_aside
from parbake.adapters._postgresql.wire import ServerSaid, Wire, psycopg
from parbake.errors import DamagedStore, StoreError, StoreFull, StoreUnreachable
from parbake.process import forks
from parbake.process.loops import PerLoop
from parbake.values.backoff import Backoff

T = TypeVar("T")
_ATTEMPTS, _BACKOFF = 3, Backoff(0.05, 0.25, factor=5)
_FOR_NOW = re.compile(r"starting up|shutting down|recovery|too many|remaining connection slots|terminat", re.IGNORECASE)
"""Refusals of a new connection that are over by themselves."""
_GONE = {"42P01", "42883", "42703", "3F000", "26000", "0A000"}
"""The tables or the prepared statements are not what they were when the connection was made."""


class WireBroken(StoreUnreachable):
    """The connection ended before the answer came. The statement may or may not have been executed."""


class OtherCopy(StoreError):
    """The data is not the expected copy; nothing was written."""


class _Pool:
    """The connections of one event loop; they cannot be used on another loop."""

    def __init__(self, limit: int) -> None:
        self.free = asyncio.Semaphore(limit)
        self.idle: list[Wire] = []
        self.is_closed = False

    def give_back(self, wire: Wire) -> None:
        if self.is_closed or not wire.is_open:
            wire.close()
        else:
            self.idle.append(wire)

    def close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()

    def close(self) -> None:
        self.is_closed = True
        self.close_idle()


class StoreLink(forks.Forkable):
    """Bounded connection pools, one per event loop.

    ``host`` names the copy of the data that the newest connection reached. What a loop reads over an older connection
    to another copy is outdated.
    """

    def __init__(self, address: StoreAddress, statements: Mapping[bytes, bytes]) -> None:
        self.address, self.host = address, ""
        self._seen = SeenPosition()
        self._statements = statements
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._pools = PerLoop(lambda: _Pool(self.address.connections))

    def after_fork_in_child(self) -> None:
        """Start with empty pools. The parent still uses the inherited connections."""
        forks.abandon(self._pools)
        self._begin()

    def advance(self, wire: Wire, position: int, counter: int) -> None:
        """Note how far the server's log is on disk, and how far the store has counted.

        Args:
            wire: The connection to the server.
            position: The position in the log, in bytes.
            counter: The store's counter.
        """
        if wire.host == self.host:
            self._seen.advance(position, counter)

    async def read(self, work: Callable[[Wire], Awaitable[T]], *, within_s: float = math.inf) -> T:
        """Read on a connection, and once more on another if it broke; for at most ``within_s`` seconds."""
        return await self._call(work, tries=2, within_s=within_s)

    async def write(self, work: Callable[[Wire], Awaitable[T]], *, host: str = "") -> T:
        """Write on a connection, and only to the copy ``host`` if it is given, else raise :class:`OtherCopy`."""
        return await self._call(work, tries=1, host=host)

    async def _call(
        self, work: Callable[[Wire], Awaitable[T]], *, tries: int, host: str = "", within_s: float = math.inf
    ) -> T:
        pool = self._pools.here()
        within_s = min(within_s, self.address.timeout_s)
        try:
            async with asyncio.timeout(within_s), pool.free:
                while True:
                    tries -= 1
                    try:
                        return await self._once(pool, work, host)
                    except WireBroken:
                        pool.close_idle()  # after a restart of the server, all idle connections are broken
                        if not tries:
                            raise
        except TimeoutError:
            pool.close_idle()  # if the server is out of reach, no connection to it will answer
            raise StoreUnreachable(
                f"{self.address.shown} did not answer within {within_s:g} s", field="store"
            ) from None

    async def _once(self, pool: _Pool, work: Callable[[Wire], Awaitable[T]], host: str) -> T:
        wire = await self._obtain(pool)
        try:
            self._must_be(wire, host, OtherCopy)
            found = await work(wire)
            self._must_be(wire, self.host, WireBroken)
        except (psycopg.Error, ServerSaid, OSError) as error:
            wire.close()
            failure = self._failure(error)
            if isinstance(failure, DamagedStore):
                await self._tell_of_damage()
            raise failure from None  # drop the cause: its text may contain the password
        except BaseException:
            wire.close()
            raise
        pool.give_back(wire)
        return found

    async def _tell_of_damage(self) -> None:
        """Leave a mark for a worker; without one, the damage is an error for what is on the page."""
        with contextlib.suppress(StoreError, ServerSaid, psycopg.Error):
            wire = await self._connected()
            with contextlib.closing(wire):
                await wire.ask(b"damage")

    async def set_aside(self) -> str:
        """Replace a damaged table by an empty one; returns what the damaged one is called now, if that was done."""
        try:
            async with asyncio.timeout(self.address.timeout_s):
                wire = await Wire.connect(self.address.connect)
                with contextlib.closing(wire):
                    return await set_aside(wire, self.address)
        except TimeoutError:
            raise StoreUnreachable(
                f"{self.address.shown} is damaged and cannot be replaced in time", field="store"
            ) from None
        except (psycopg.Error, ServerSaid, OSError) as error:
            raise self._failure(error) from None

    async def discard(self) -> list[str]:
        """Drop the tables that were set aside; returns their names."""
        try:
            async with asyncio.timeout(self.address.timeout_s):
                wire = await Wire.connect(self.address.connect)
                with contextlib.closing(wire):
                    return await discard(wire, self.address)
        except TimeoutError:
            raise StoreUnreachable(
                f"what was set aside in {self.address.shown} cannot be dropped in time", field="store"
            ) from None
        except (psycopg.Error, ServerSaid, OSError) as error:
            raise self._failure(error) from None

    def _must_be(self, wire: Wire, host: str, error: type[StoreError]) -> None:
        if host and wire.host != host:
            raise error(f"{self.address.shown} was replaced by another copy of the data; try again", field="store")

    async def close(self) -> None:
        """Close the connections of the running loop now, and those of each other loop when that loop runs next."""
        for loop, pool in self._pools.clear():
            if loop is asyncio.get_running_loop():
                pool.close()
            else:
                with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                    loop.call_soon_threadsafe(pool.close)

    async def _obtain(self, pool: _Pool) -> Wire:
        """Return an idle connection that is still usable and reaches the current copy, or a new one."""
        for attempt in range(1, _ATTEMPTS + 1):
            while pool.idle:
                wire = pool.idle.pop()
                if wire.host == self.host and wire.is_idle:
                    return wire
                wire.close()
            try:
                wire = await self._connected()
            except StoreUnreachable:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(_BACKOFF.pause_s(attempt - 1))
                continue
            if wire.host == self.host:
                return wire
            # A newer connection reached another copy; what this connection reads is outdated.
            wire.close()
        raise StoreError(
            f"{self.address.shown} reaches several servers in turn; point the store at one primary", field="store"
        )

    async def _connected(self) -> Wire:
        try:
            wire = await Wire.connect(self.address.connect)
        except (psycopg.Error, OSError) as error:
            raise self._refused(error) from None
        try:
            self.host = wire.host = await greet(wire, self.address, self._seen, self._statements)
        except (psycopg.Error, ServerSaid, OSError) as error:
            wire.close()
            raise self._failure(error) from None
        except BaseException:
            wire.close()
            raise
        return wire

    def _refused(self, error: Exception) -> StoreError:
        """The error for a connection that could not be made."""
        told = self._told(error)
        is_final = "FATAL" in told and not _FOR_NOW.search(told)
        return (StoreError if is_final else StoreUnreachable)(told, field="store.user" if is_final else "store")

    def _failure(self, error: Exception) -> StoreError:
        shown, told = self.address.shown, self._told(error)
        code = error.code if isinstance(error, ServerSaid) else getattr(error, "sqlstate", None) or "08000"
        if code == "53100" or "No space left on device" in told:  # without room for its log, the server ends
            return StoreFull(f"{told}: the server's disk is full; nothing was written", field="store.disk")
        if code == "42501":
            return forbidden(self.address, told)
        if code == "25006":
            return StoreError(
                f"{shown} is read-only for this role; point the store at its primary, or see the role's setting "
                "default_transaction_read_only",
                field="store.role",
            )
        if code in {"XX001", "XX002"}:
            return DamagedStore(
                f"{told}: a page is damaged; a worker sets the table aside, and an empty one follows", field="store"
            )
        if code == "57014":
            return StoreUnreachable(f"{shown} did not answer within {self.address.timeout_s:g} s", field="store")
        is_lost = code in _GONE or code[:2] in {"08", "57"} or code == "53300"
        return (WireBroken if is_lost else StoreError)(told, field="store")

    def _told(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        secret = self.address.connect.get("password")
        return f"{self.address.shown}: {text.replace(str(secret), '***') if secret else text}"
