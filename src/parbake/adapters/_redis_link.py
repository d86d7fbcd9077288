"""Connections to one Redis or Valkey server. Each connection is checked before anything is read or written on it.

A command is sent once. Only opening a connection is retried, and a read whose connection broke. A write whose answer
was lost may have been made; the caller has to find out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from parbake.errors import MissingDependency, StoreError, StoreFull, StoreUnreachable
from parbake.process import forks
from parbake.process.loops import PerLoop
from parbake.values.backoff import Backoff

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
_ATTEMPTS, _BACKOFF = 3, Backoff(0.05, 0.25, factor=5)
_TOLD = ("run_id", "redis_version", "role", "maxmemory", "maxmemory_policy")
_SETTINGS = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")


class ServerAddress(msgspec.Struct, frozen=True):
    """Where a server is and what is expected of it. ``connect`` may contain a password, ``shown`` never does.

    ``timeout_s`` bounds each call, in seconds.
    """

    shown: str
    connect: Mapping[str, Any]
    timeout_s: float = 5.0
    is_durability_the_servers: bool = False


class Broken(StoreUnreachable):
    """The connection ended before the answer came. The command may or may not have been executed."""


class UnknownScript(StoreError):
    """The server does not have the script that was called; nothing was done."""


class Elsewhere(StoreError):
    """The server is not the expected one; nothing was sent to it."""


class _Pool:
    """The connections of one event loop; they cannot be used on another loop."""

    def __init__(self, address: ServerAddress, greet: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        """Create an empty pool; ``greet`` is called with each new connection."""
        # RESP2: nothing here needs RESP3, in which the server may redirect a connection.
        self.making: Any = ConnectionPool(  # the client library has incomplete types here
            max_connections=MAX_CONNECTIONS,
            redis_connect_func=greet,
            protocol=2,
            socket_timeout=None,  # every call has its own deadline
            socket_connect_timeout=min(CONNECT_S, address.timeout_s),
            **address.connect,
        )
        # The client's pool only creates connections. Idle ones are held here: its own pool makes a read 20 % slower.
        self.free = asyncio.Semaphore(MAX_CONNECTIONS)
        self.idle: list[AbstractConnection] = []

    async def give_back(self, connection: AbstractConnection) -> None:
        """Return a connection to the pool if it is still usable."""
        if connection.is_connected:
            self.idle.append(connection)
        else:
            await self.making.release(connection)

    async def drop(self, connection: AbstractConnection) -> None:
        """Close a connection."""
        await connection.disconnect(nowait=True)
        await self.making.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        await self.making.aclose()


class Link(forks.Forkable):
    """Bounded connection pools, one per event loop.

    ``host`` is the run id of the server that the newest connection reached. What a loop reads over an older connection
    to another server is outdated.
    """

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self.host = ""
        self._pools = PerLoop(lambda: _Pool(self.address, self._greet))

    def after_fork_in_child(self) -> None:
        """Start with empty pools. The parent still uses the inherited connections."""
        forks.abandon(self._pools)
        self._begin()

    async def read(self, *command: bytes | str | int, within_s: float = math.inf) -> Any:
        """Send a read, and retry it once if the connection broke.

        The answer comes from the server that ``host`` names. Raises :class:`StoreError` within ``within_s`` seconds.
        """
        try:
            return (await self.call([command], within_s=within_s))[0]
        except Broken:
            return (await self.call([command], within_s=within_s))[0]

    async def call(self, commands: Sequence[Command], *, host: str = "", within_s: float = math.inf) -> list[Any]:
        """Send commands together, once.

        Args:
            commands: The commands.
            host: The server that they are for; by default the one that answers.
            within_s: The most seconds that it may take, if the address allows as many.

        Raises:
            StoreError: The server does not answer in time, or is another one.
        """
        within_s = min(within_s, self.address.timeout_s)
        try:
            pool = self._pools.here()
            async with asyncio.timeout(within_s), pool.free:
                connection = await self._obtain(pool)
                try:
                    if host and _host_of(connection) != host:
                        raise Elsewhere(f"{self.address.shown} was replaced by another server", field="store")
                    answers = await _ask(connection, commands)
                    self._must_still_be(connection)
                finally:
                    await pool.give_back(connection)
        except TimeoutError:
            raise StoreUnreachable(
                f"{self.address.shown} did not answer within {within_s:g} s", field="store"
            ) from None
        except (exceptions.RedisError, OSError) as error:
            raise self._failure(error) from None  # drop the cause: its text may contain the password
        refused = next((a for a in answers if isinstance(a, exceptions.RedisError)), None)
        if refused is not None:
            raise self._failure(refused) from None
        return answers

    async def close(self) -> None:
        """Close the connections of the running loop now, and those of each other loop when that loop runs next.

        Another loop may never run again or may be waiting for the caller, so this call does not wait for it.
        """
        for loop, pool in self._pools.clear():
            if loop is asyncio.get_running_loop():
                await pool.close()
            else:
                with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                    loop.call_soon_threadsafe(_begin, pool.close)

    async def _obtain(self, pool: _Pool) -> AbstractConnection:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                connection = await self._connected(pool)
            except (exceptions.AuthenticationError, exceptions.AuthorizationError):
                raise
            except exceptions.ConnectionError:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(_BACKOFF.pause_s(attempt - 1))
                continue
            if _host_of(connection) == self.host:
                return connection
            # A newer connection reached another server; what this connection's server says is outdated.
            await pool.drop(connection)
        raise StoreError(
            f"{self.address.shown} reaches several servers in turn; point the store at one primary", field="store"
        )

    async def _connected(self, pool: _Pool) -> AbstractConnection:
        """Return an idle connection that is still usable and reaches the current server, or a new one."""
        while pool.idle:
            connection = pool.idle.pop()
            if _host_of(connection) == self.host and await _stands(connection):
                return connection
            await pool.drop(connection)
        made: AbstractConnection = await pool.making.get_connection()
        return made

    def _must_still_be(self, connection: AbstractConnection) -> None:
        if _host_of(connection) != self.host:
            raise Broken(
                f"{self.address.shown} was replaced by another server during the call; try again", field="store"
            )

    async def _greet(self, connection: AbstractConnection) -> None:
        """Log in, identify the server, and reject an unfit one; runs on each new connection."""
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
            raise StoreError(f"{shown} does not report {', '.join(untold)} in INFO", field="store")
        if int(info["redis_version"].partition(".")[0]) < OLDEST:
            raise StoreError(
                f"{shown} is version {info['redis_version']}; the store needs Redis {OLDEST} or later, or Valkey",
                field="store.version",
            )
        if info.get("cluster_enabled") == "1":
            raise StoreError(
                f"{shown} belongs to a Redis cluster, and the store needs one primary with all keys; point the store "
                "at a server with cluster-enabled no",
                field="store.cluster",
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
            found = "does not let this user check with CONFIG GET that it syncs every write to disk"
        else:
            wrong = [f"{name} {settings.get(name, 'unset')}" for name in wanted if settings.get(name) != wanted[name]]
            if not wrong:
                return
            found = f"can lose an acknowledged event in a crash ({', '.join(wrong)})"
        needed = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise StoreError(
            f"{self.address.shown} {found}. Set {needed}; or accept with ?durability=server that an "
            "acknowledgement is only as safe as these settings (a loss is still noticed, and the store rebuilt)",
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
        if isinstance(error, exceptions.NoScriptError):
            return UnknownScript(f"{shown} lacks parbake's script", field="store")
        if isinstance(error, exceptions.NoPermissionError):
            return StoreError(f"{shown} does not permit what the store needs ({text})", field="store.user")
        if isinstance(error, exceptions.TimeoutError):  # the library's own, while it connects
            return StoreUnreachable(f"{shown}: {text}", field="store")
        is_lost = isinstance(error, exceptions.ConnectionError | OSError)
        return (Broken if is_lost else StoreError)(f"{shown}: {text}", field="store")


_HOST = "parbake_host"
_closing: set[asyncio.Task[None]] = set()
"""Strong references, because the event loop holds its tasks only weakly."""


def _begin(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a coroutine on the running loop."""
    task = asyncio.get_running_loop().create_task(work())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


def parse_url(url: str) -> dict[str, Any]:
    """Parse a URL without options into connection parameters."""
    return dict(_parse_url(url))


def _host_of(connection: AbstractConnection) -> str:
    found: str = getattr(connection, _HOST)
    return found


async def _stands(connection: AbstractConnection) -> bool:
    """Whether an idle connection is still usable: it has not ended, and no unexpected answer has arrived on it."""
    try:
        return connection.is_connected and not await connection.can_read()
    except exceptions.ConnectionError:
        return False


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(cast("Any", tuple(command)))  # the library's stub allows only one word
    return packed


async def _ask(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    packed = b"".join([_pack(command) for command in commands])
    try:
        await connection.send_packed_command(packed, check_health=False)
        return [await _answer(connection) for _ in commands]
    except BaseException:
        # A partial answer must not be read as the next command's answer.
        await connection.disconnect(nowait=True)
        raise


async def _answer(connection: AbstractConnection) -> Any:
    """Read one answer. An error is returned, not raised, because more answers may follow it on the connection."""
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
