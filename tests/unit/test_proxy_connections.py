"""All callers share the connections to the provider, so what one of them brought about never reaches the next one."""

import asyncio
import socket

import pytest
from tests.waiting import as_far_as_it_gets, until

from parbake.ports.messages import HttpRequest
from parbake_proxy import connections
from parbake_proxy.upstream import Upstream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
OTHER = HEAD + b"content-length: 6\r\n\r\npoison"
ENDS = {
    "a length": HEAD + b"content-length: 2\r\n\r\nok",
    "chunks": HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
}
LATE = {
    "another answer": OTHER,
    "the beginning of one": OTHER[:20],
    "an empty line": b"\r\n",
    "no HTTP": b"x" * 9,
    "the end": b"",
}


class Provider:
    """A provider that sends exact bytes; ``sockets`` are its ends of the connections, in the order of their making."""

    def __init__(self):
        """Listen, and know no answer yet."""
        self.sockets, self.first, self.requests = [], ENDS["a length"], 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._tasks = {asyncio.ensure_future(self._accept())}

    async def _accept(self):
        self._listening.setblocking(False)
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listening)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(connection)
            self._tasks.add(asyncio.ensure_future(self._answer(connection)))

    async def _answer(self, connection):
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(connection, 65536):
            self.requests += 1
            first = self.first if self.requests == 1 else HEAD + b"content-length: 4\r\n\r\nmine"
            await loop.sock_sendall(connection, first)

    async def close(self):
        """End all tasks and connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in (self._listening, *self.sockets):
            each.close()


@pytest.fixture
async def provider():
    """Return a provider of exact bytes."""
    made = Provider()
    yield made
    await made.close()


@pytest.fixture
async def upstream(provider, monkeypatch):
    """Return what sends requests to the provider, by connections that need no rest."""
    monkeypatch.setattr(connections, "_QUIET_S", 0.0)
    made = Upstream(provider.url)
    yield made
    await made.close()


async def body_of(upstream, key="one"):
    """Ask once, with a key for the provider, and return the body of the answer."""
    headers = {"authorization": f"Bearer {key}"}
    answer = await upstream.send(HttpRequest("GET", "/v1/files/a", headers, b""), b"")
    return await answer.read()


def send_late(provider, data):
    """Send what nobody has asked for, or the end, on the first connection; it is in the client's socket afterwards."""
    if data:
        provider.sockets[0].sendall(data)
    else:
        provider.sockets[0].shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("is_read", [True, False], ids=["read while idle", "not yet read"])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_what_arrives_on_an_idle_connection_ends_it(provider, upstream, end, late, is_read):
    """The next request gets its own answer from another connection, whatever came on the first one, and when."""
    provider.first = end
    assert await body_of(upstream) == (b"" if b"204" in end else b"ok")
    send_late(provider, late)
    if is_read:
        await as_far_as_it_gets()
    assert await body_of(upstream) == b"mine"
    assert len(provider.sockets) == 2


async def test_what_comes_with_the_answer_ends_the_connection(provider, upstream):
    """A second answer in the same segment as the first is dropped with its connection."""
    provider.first = ENDS["a length"] + OTHER
    assert [await body_of(upstream), await body_of(upstream)] == [b"ok", b"mine"]
    assert len(provider.sockets) == 2


async def test_a_silent_connection_is_used_again(provider, upstream):
    """Requests after each other need one connection, also after an informational answer."""
    provider.first = b"HTTP/1.1 103 Early Hints\r\n\r\n" + ENDS["a length"]
    assert [await body_of(upstream) for _ in range(3)] == [b"ok", b"mine", b"mine"]
    assert len(provider.sockets) == 1


async def test_an_informational_answer_of_its_own_segment_ends_nothing(provider, upstream):
    """The answer that follows a 103 later is the answer of its request."""
    provider.first = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    asking = asyncio.ensure_future(body_of(upstream))
    await until(lambda: provider.requests)
    await as_far_as_it_gets()
    provider.sockets[0].sendall(ENDS["a length"])
    assert [await asking, await body_of(upstream)] == [b"ok", b"mine"]
    assert len(provider.sockets) == 1


async def test_a_connection_rests_before_it_is_used_again(provider, upstream, monkeypatch):
    """The rest of an answer that is on its way meets no request of another caller."""
    monkeypatch.setattr(connections, "_QUIET_S", 60.0)
    assert await body_of(upstream) == b"ok"
    asking = asyncio.ensure_future(body_of(upstream))
    await until(lambda: provider.requests == 2)
    send_late(provider, OTHER)
    assert await asking == b"mine"
    assert len(provider.sockets) == 2


async def test_callers_with_other_keys_share_no_connection(provider, upstream):
    """What comes too late to be noticed answers the same caller at most: another key has another connection."""
    asked = [await body_of(upstream, key) for key in ("one", "two", "one", "two")]
    assert asked == [b"ok", b"mine", b"mine", b"mine"]
    assert len(provider.sockets) == 2


async def test_connections_of_many_callers_are_not_kept(provider, upstream, monkeypatch):
    """A caller who invents keys leaves no more connections behind than may be in use at the same time."""
    monkeypatch.setattr("parbake_proxy.upstream._MOST_CONNECTIONS", 3)
    for number in range(8):
        await body_of(upstream, f"key {number}")
    assert len(upstream._session.connector._conns) >= 3  # it keeps a key for each
    assert sum(map(len, upstream._session.connector._conns.values())) <= 3
