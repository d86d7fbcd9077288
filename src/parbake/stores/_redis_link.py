"""Connections to one Redis or Valkey server, each of which is checked before anything is read or written on it.

A command is sent once. Only the opening of a connection is tried again, and a read whose connection broke: a write
whose answer was lost may have been made, and that is for the caller to find out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from parbake.errors import MissingDependency, StoreError, StoreFull
from parbake.process import forks
from parbake.process.loops import PerLoop

try:
    from hiredis import pack_command
    from redis import exceptions
    from redis.asyncio.connection import ConnectionPool
    from redis.asyncio.connection import parse_url as _parse_url
except ImportError as missing:
    raise MissingDependency.of("a Redis store", "redis", field="redis") from missing

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Command: TypeAlias = Sequence[bytes | str | int]
MAX_CONNECTIONS = 32
CONNECT_S = 2.0
OLDEST = 7
_PAUSES_S = (0.05, 0.25)
_TOLD = ("run_id", "redis_version", "role", "maxmemory", "maxmemory_policy")
_SETTINGS = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")


class ServerAddress(msgspec.Struct, frozen=True):
    """Where a server is and what is expected of it; ``connect`` may hold a password, ``shown`` never does."""

    shown: str
    connect: Mapping[str, Any]
    timeout_s: float = 5.0
    is_durability_the_servers: bool = False


class Broken(StoreError):
    """The connection ended before the answer came: what was asked for may or may not have been done."""


class UnknownFunction(StoreError):
    """The server does not know the function that was called; nothing was done."""


class Elsewhere(StoreError):
    """The server is not the one that was meant; nothing was sent to it."""


class _Pool:
    """The connections of one event loop, which cannot be used on another."""

    def __init__(self, address: ServerAddress, greet: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        """Connect to nothing yet; ``greet`` is called with each new connection."""
        # RESP2: nothing here needs RESP3, and a connection in it may be moved by messages of the server.
        self.making: Any = ConnectionPool(  # the client types it in part only
            max_connections=MAX_CONNECTIONS,
            redis_connect_func=greet,
            protocol=2,
            socket_timeout=None,  # every call has a deadline of its own
            socket_connect_timeout=min(CONNECT_S, address.timeout_s),
            **address.connect,
        )
        # The client's pool makes connections; between calls they wait here. Through it a read took a fifth longer.
        self.free = asyncio.Semaphore(MAX_CONNECTIONS)
        self.idle: list[AbstractConnection] = []

    async def give_back(self, connection: AbstractConnection) -> None:
        """Keep a connection for the next call, if it still stands."""
        if connection.is_connected:
            self.idle.append(connection)
        else:
            await self.making.release(connection)

    async def drop(self, connection: AbstractConnection) -> None:
        """End a connection."""
        await connection.disconnect(nowait=True)
        await self.making.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self.making.aclose()


class Link(forks.Forkable):
    """Bounded pools of connections, one for each event loop that asks.

    ``host`` is the run id of the server that the newest connection of them all reached: what a loop reads over an older
    one, to another server, is of the past.
    """

    def __init__(self, address: ServerAddress) -> None:
        """Connect to nothing yet."""
        self.address = address
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self.host = ""
        self._pools = PerLoop(lambda: _Pool(self.address, self._greet))

    def after_fork_in_child(self) -> None:
        """Make connections of this process's own: the inherited ones are the parent's, who goes on to use them."""
        forks.abandon(self._pools)
        self._begin()

    async def read(self, *command: bytes | str | int) -> Any:
        """Ask once more if the connection broke; the answer comes from the server that ``host`` names."""
        try:
            return (await self.call([command]))[0]
        except Broken:
            return (await self.call([command]))[0]

    async def call(self, commands: Sequence[Command], *, host: str = "") -> list[Any]:
        """Send commands together, once, and to no other server than ``host`` when it is given.

        Raises :class:`StoreError` within ``timeout_s`` seconds.
        """
        try:
            pool = self._pools.here()
            async with asyncio.timeout(self.address.timeout_s), pool.free:
                connection = await self._obtain(pool)
                try:
                    if host and _host_of(connection) != host:
                        raise Elsewhere(f"{self.address.shown} was replaced by another server", field="store")
                    answers = await _ask(connection, commands)
                    self._must_still_be(connection)
                finally:
                    await pool.give_back(connection)
        except TimeoutError:
            raise StoreError(
                f"{self.address.shown} did not answer within {self.address.timeout_s:g} s", field="store"
            ) from None
        except (exceptions.RedisError, OSError) as error:
            raise self._failure(error) from None  # its text may quote the password
        refused = next((a for a in answers if isinstance(a, exceptions.RedisError)), None)
        if refused is not None:
            raise self._failure(refused) from None
        return answers

    async def close(self) -> None:
        """Close the connections of the running loop now, and of each other loop when that one gets to it.

        It may be that it never does, or waits for the caller: so nobody waits for it.
        """
        for loop, pool in self._pools.clear():
            if loop is asyncio.get_running_loop():
                await pool.close()
            else:
                with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                    loop.call_soon_threadsafe(_begin, pool.close)

    async def _obtain(self, pool: _Pool) -> AbstractConnection:
        for pause in (*_PAUSES_S, None):
            try:
                connection = await self._connected(pool)
            except (exceptions.AuthenticationError, exceptions.AuthorizationError):
                raise
            except exceptions.ConnectionError:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
                continue
            if _host_of(connection) == self.host:
                return connection
            # Another was opened meanwhile, to another server: whatever this one's says is of the past.
            await pool.drop(connection)
        raise StoreError(f"{self.address.shown} leads to several servers by turns", field="store")

    async def _connected(self, pool: _Pool) -> AbstractConnection:
        """One that is at hand, still stands and reaches the server of now; or a new one."""
        while pool.idle:
            connection = pool.idle.pop()
            if _host_of(connection) == self.host and await _stands(connection):
                return connection
            await pool.drop(connection)
        made: AbstractConnection = await pool.making.get_connection()
        return made

    def _must_still_be(self, connection: AbstractConnection) -> None:
        if _host_of(connection) != self.host:
            raise Broken(f"{self.address.shown} was replaced by another server while it was asked", field="store")

    async def _greet(self, connection: AbstractConnection) -> None:
        """Log in, find out which server this is, and refuse one that is not fit; runs on each new connection."""
        try:
            await connection.on_connect()
            asked = _pack(("INFO",)) + _pack(("CONFIG", "GET", *_SETTINGS))
            await connection.send_packed_command(asked, check_health=False)
            found = _parse_info(cast("bytes", await connection.read_response()))
            settings = await _answer(connection)
            may_see = not isinstance(settings, exceptions.RedisError)
            self._must_be_fit(found, _parse_settings(settings) if may_see else None)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self.host = found["run_id"]
        setattr(connection, _HOST, self.host)

    def _must_be_fit(self, info: Mapping[str, str], settings: Mapping[str, str] | None) -> None:
        shown = self.address.shown
        if untold := [name for name in _TOLD if name not in info]:
            raise StoreError(f"{shown} does not tell its {', '.join(untold)} by INFO", field="store")
        if int(info["redis_version"].partition(".")[0]) < OLDEST:
            raise StoreError(
                f"{shown} is version {info['redis_version']}; the store needs Redis {OLDEST} or later, or Valkey",
                field="store.version",
            )
        if info["role"] != "master":
            raise StoreError(f"{shown} is a replica; point the store at its primary", field="store.role")
        if int(info["maxmemory"]) and info["maxmemory_policy"] != "noeviction":
            raise StoreError(
                f"{shown} may evict watermarks (maxmemory-policy {info['maxmemory_policy']}), and a value that an "
                "event outdated would be served again; set maxmemory-policy noeviction",
                field="store.maxmemory_policy",
            )
        if not self.address.is_durability_the_servers:
            self._must_be_durable(settings)

    def _must_be_durable(self, settings: Mapping[str, str] | None) -> None:
        wanted = dict(zip(_SETTINGS, ("yes", "always", "no"), strict=True))
        if settings is None:
            found = "does not let this user see with CONFIG GET whether it syncs every write to disk"
        else:
            wrong = [f"{name} {settings.get(name, 'unset')}" for name in wanted if settings.get(name) != wanted[name]]
            if not wrong:
                return
            found = f"can lose an acknowledged event in a crash ({', '.join(wrong)})"
        needed = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise StoreError(
            f"{self.address.shown} {found}. Set {needed}; or accept with ?durability=server that acknowledged means "
            "what the server's own settings make of it (a loss is still noticed, and the store rebuilt)",
            field="store.durability",
        )

    def _failure(self, error: Exception) -> StoreError:
        shown, text = self.address.shown, f"{type(error).__name__}: {error}"
        secret = self.address.connect.get("password")
        if secret:
            text = text.replace(str(secret), "***")
        if isinstance(error, exceptions.OutOfMemoryError):
            return StoreFull(f"{shown} has reached its maxmemory; nothing was written", field="store.maxmemory")
        if isinstance(error, exceptions.ReadOnlyError):
            return StoreError(f"{shown} has become a replica; point the store at its primary", field="store.role")
        if isinstance(error, exceptions.ResponseError) and "function not found" in text.lower():
            return UnknownFunction(f"{shown} lacks parbake's function", field="store")
        if isinstance(error, exceptions.NoPermissionError):
            return StoreError(f"{shown} does not permit what the store needs ({text})", field="store.user")
        is_lost = isinstance(error, exceptions.ConnectionError | OSError)
        return (Broken if is_lost else StoreError)(f"{shown}: {text}", field="store")


_HOST = "parbake_host"
_closing: set[asyncio.Task[None]] = set()
"""The loop itself keeps its tasks weakly."""


def _begin(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Begin a coroutine on the running loop."""
    task = asyncio.get_running_loop().create_task(work())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def parse_url(url: str) -> dict[str, Any]:
    """What a connection is opened with, by a URL without options."""
    return dict(_parse_url(url))


def _host_of(connection: AbstractConnection) -> str:
    found: str = getattr(connection, _HOST)
    return found


async def _stands(connection: AbstractConnection) -> bool:
    """Whether nothing has come on an idle connection, neither its end nor an answer that nobody waits for."""
    try:
        return connection.is_connected and not await connection.can_read()
    except exceptions.ConnectionError:
        return False


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(cast("Any", tuple(command)))  # its stub allows one word only
    return packed


async def _ask(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    packed = b"".join([_pack(command) for command in commands])
    try:
        await connection.send_packed_command(packed, check_health=False)
        return [await _answer(connection) for _ in commands]
    except BaseException:
        # Half an answer must not become the next command's.
        await connection.disconnect(nowait=True)
        raise


async def _answer(connection: AbstractConnection) -> Any:
    """One answer; an error that the server answers with is returned, for others may follow it on the wire."""
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return error


def _parse_info(raw: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in raw.decode(errors="replace").splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _parse_settings(raw: Sequence[bytes]) -> dict[str, str]:
    texts = [item.decode(errors="replace") for item in raw]
    return dict(zip(texts[::2], texts[1::2], strict=True))
