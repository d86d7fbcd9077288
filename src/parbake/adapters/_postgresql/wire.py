"""One connection to a PostgreSQL server, used by one call at a time.

It sends prepared statements through libpq itself: the cursors of the client cost a read a third more. Whoever is
interrupted in a call closes the connection, because an answer may still arrive on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parbake.errors import MissingDependency

try:
    import psycopg
    from psycopg import pq
    from psycopg.pq.abc import PGresult
except ImportError as missing:
    raise MissingDependency.of("a PostgreSQL store", "postgresql", field="psycopg") from missing

Parameter = bytes | None
__all__ = ["PGresult", "ServerSaid", "Wire", "array", "psycopg", "text"]
_BYTEA, _BINARY = 17, 1
_HEAD, _LENGTH = struct.Struct("!iiiii"), struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_COPY_PART = 256 << 10


class ServerSaid(Exception):
    """The server refused a statement. ``code`` is its SQLSTATE."""

    def __init__(self, result: PGresult) -> None:
        self.code = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        super().__init__(primary.decode(errors="replace"))


def array(values: Iterable[Parameter]) -> bytes:
    """Encode an array of ``bytea`` for the wire."""
    parts = [_NULL if value is None else _LENGTH.pack(len(value)) + value for value in values]
    return _HEAD.pack(1, 1, _BYTEA, len(parts), 1) + b"".join(parts)


def text(raw: bytes | None) -> str:
    """Decode a value that is text."""
    return (raw or b"").decode(errors="replace")


class Wire:
    """A connection on the running event loop. ``host`` is the copy of the data that it was checked for."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take over a connection that the client has made."""
        self.host = ""
        self._connection, self._pg = connection, connection.pgconn
        self._pg.nonblocking = 1
        self._arrival: asyncio.Future[None] | None = None
        self._loop, self._socket = asyncio.get_running_loop(), self._pg.socket
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def connect(cls, parameters: Mapping[str, Any]) -> Wire:
        """Connect as libpq does: the first host that answers and fits."""
        return cls(await psycopg.AsyncConnection.connect(autocommit=True, **parameters))

    def __del__(self) -> None:
        """Close what was left open when its event loop ended."""
        with contextlib.suppress(AttributeError):  # it was never connected
            self._pg.finish()

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open, and the server has not said anything by itself, such as that it ends."""
        return self._pg.status == pq.ConnStatus.OK and not self._poll.poll(0)

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        return self._pg.status == pq.ConnStatus.OK

    def close(self) -> None:
        """Close the connection."""
        if not self._loop.is_closed() and self.is_open:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._pg.finish()

    async def ask(self, name: bytes, *parameters: Parameter) -> PGresult:
        """Execute one prepared statement."""
        self._pg.send_query_prepared(name, parameters, [_BINARY] * len(parameters), _BINARY)
        return (await self._answers())[0]

    async def together(self, *asked: tuple[bytes, Sequence[Parameter]]) -> list[PGresult]:
        """Execute prepared statements in one round trip, each in a transaction of its own."""
        return await self._pipeline(
            lambda name, parameters: self._pg.send_query_prepared(
                name, parameters, [_BINARY] * len(parameters), _BINARY
            ),
            asked,
        )

    async def prepare(self, statements: Mapping[bytes, bytes]) -> None:
        """Prepare statements in one round trip."""
        await self._pipeline(self._pg.send_prepare, statements.items())

    async def query(self, *asked: tuple[bytes, Sequence[Parameter]]) -> list[PGresult]:
        """Execute statements that are used once, in one round trip; their parameters and answers are text."""
        return await self._pipeline(self._pg.send_query_params, asked)

    async def script(self, statements: bytes) -> None:
        """Execute several statements at once."""
        self._pg.send_query(statements)
        await self._answers()

    async def copy(self, statement: bytes, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Load rows of two columns by ``COPY``, in binary format; ``False`` if one exists, and nothing was written."""
        self._pg.send_query(statement)
        begun = await self._answer()
        if begun is None or begun.status != pq.ExecStatus.COPY_IN:
            _checked([*([begun] if begun else []), *await self._answers()])
        part = bytearray(_COPY_HEAD)
        pack = struct.Struct("!hi").pack
        for name, value in rows:
            part += pack(2, len(name)) + name + _LENGTH.pack(len(value)) + value
            if len(part) >= _COPY_PART:
                self._pg.put_copy_data(part)
                await self._flush()
                part.clear()
        self._pg.put_copy_data(part + _COPY_END)
        self._pg.put_copy_end()
        try:
            await self._answers()
        except ServerSaid as error:
            if error.code != "23505":
                raise
            return False
        return True

    async def _pipeline(self, send: Any, asked: Iterable[tuple[bytes, Any]]) -> list[PGresult]:
        self._pg.enter_pipeline_mode()
        several = list(asked)
        for one in several:
            send(*one)
            self._pg.pipeline_sync()
        await self._flush()
        found: list[PGresult] = []
        ends = 0
        while ends < len(several):
            result = await self._answer()
            if result is None:
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                ends += 1
            else:
                found.append(result)
        self._pg.exit_pipeline_mode()
        return _checked(found)

    async def _answers(self) -> list[PGresult]:
        """The results of what was sent, all of them."""
        await self._flush()
        found = []
        while (result := await self._answer()) is not None:
            found.append(result)
        return _checked(found)

    async def _answer(self) -> PGresult | None:
        await self._flush()
        while self._pg.is_busy():
            self._arrival = self._loop.create_future()
            await self._arrival
        return self._pg.get_result()

    async def _flush(self) -> None:
        while self._pg.flush():
            ready = self._arrival = self._loop.create_future()
            self._loop.add_writer(self._socket, self._wake)  # the server may have to be read from first
            try:
                await ready
            finally:
                self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        """Take what has arrived; an end of the connection shows in its status."""
        try:
            self._pg.consume_input()
        except psycopg.Error as error:
            self._loop.remove_reader(self._socket)
            if self._arrival is not None and not self._arrival.done():
                self._arrival.set_exception(error)
            return
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def _checked(results: list[PGresult]) -> list[PGresult]:
    """Raise the first error among results; the others were not executed, or are undone."""
    for result in results:
        if result.status in {pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE}:
            raise ServerSaid(result)
    return results
