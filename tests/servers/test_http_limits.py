"""Limits of the real server: what a client may send, and how long it may take."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time

import httpx
import pytest
from tests.waiting import HANGS_S

SOON_S = 0.4
SHOP = """
import os

import parbake as pb
from parbake.http import HttpApp, Response, Route, connection
from parbake.http.reading import LargeBodies

connection.HEAD_S = connection.BODY_S = float(os.environ["LIMIT_S"])
connection.LINGER_S = 0.4
tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
def upper(word: str) -> str:
    return word.upper()


async def echo(request):
    return Response(request.body, content_type="text/plain")


async def careless(request):
    return Response(b"{}", headers=(("x-said", request.arguments["said"]),))


app = HttpApp(pb.App(tasks), [("GET", "/careless", careless), Route("POST", "/echo", echo, max_body=2**20)])
app._bodies = LargeBodies(4 * 2**20)
"""
ASKED = b'{"key": "a"}'
HEAD = b"POST /v1/serve/upper HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(ASKED) + ASKED


class Server:
    """A served app as a process."""

    def __init__(self, folder, limit_s, *, descriptors=1024):
        """Start it with this limit for heads and bodies, and wait until it answers."""
        (folder / "limited_shop.py").write_text(SHOP)
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"]
        command = [*limited, sys.executable, "-m", "parbake", "serve", "limited_shop:app", "--port", "0"]
        self.process = subprocess.Popen(
            command, cwd=folder, stderr=subprocess.PIPE, text=True, env={**os.environ, "LIMIT_S": str(limit_s)}
        )
        self.said = self.process.stderr.readline()
        self.port = int(self.said.rpartition(":")[2])

    @contextlib.contextmanager
    def connected(self):
        """Open a plain connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANGS_S) as connection:
            yield connection

    def is_alive(self):
        """Whether the server answers another client."""
        return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=HANGS_S).status_code == 200

    def in_progress(self):
        """How many requests the server handles or lets wait, this one left out."""
        told = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=HANGS_S).text
        (line,) = (line for line in told.splitlines() if line.startswith("parbake_requests_in_flight"))
        return float(line.split()[-1]) - 1

    @contextlib.contextmanager
    def half_sent(self, count, head=HEAD):
        """Open connections of one client whose requests lack the rest of their bodies."""
        with contextlib.ExitStack() as opened:
            made = []
            for _ in range(count):
                address = ("127.0.0.1", self.port)
                one = socket.create_connection(address, timeout=HANGS_S, source_address=("127.0.0.9", 0))
                opened.enter_context(one)
                one.sendall(head + b"content-length: %d\r\n\r\n{" % len(ASKED))
                made.append(one)
            yield made

    def end(self):
        """End the process."""
        self.process.terminate()
        self.process.wait(HANGS_S)
        self.process.stderr.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve an app that waits for slow clients."""
    made = Server(tmp_path_factory.mktemp("limits"), HANGS_S)
    yield made
    made.end()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """Serve an app that soon gives up slow clients."""
    made = Server(tmp_path_factory.mktemp("hasty"), SOON_S)
    yield made
    made.end()


def all_of(connection):
    """Return what arrives until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def until(connection, marker):
    """Return what arrives up to these bytes, with the rest of their part."""
    found = b""
    while marker not in found:
        part = connection.recv(65536)
        assert part, found
        found += part
    return found


def status_of(answer):
    """Return the status of an answer and the field of its problem document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["field"] if body else None


def test_requests_come_one_after_the_other_or_together(server):
    """A connection takes several requests, also pipelined ones."""
    with server.connected() as connection:
        connection.sendall(REQUEST)
        until(connection, b'"value":"A"')
        connection.sendall(REQUEST + REQUEST + HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\n{}")
        answers = all_of(connection)
    assert answers.count(b'"value":"A"') == 2
    assert answers.count(b"HTTP/1.1 422") == 1


def test_a_flood_of_pipelined_requests_is_not_parsed(server):
    """Of thousands of requests in one packet, the first ones are answered, and nobody else waits for the rest."""
    with server.connected() as connection, contextlib.suppress(ConnectionError):
        began = time.monotonic()
        connection.sendall(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n" * 8_000)
        assert server.is_alive()
        assert time.monotonic() - began < SOON_S
        assert 1 <= all_of(connection).count(b"HTTP/1.1 404") <= 65


def test_a_body_in_tiny_chunks_is_refused(server):
    """A chunk of a byte costs as much as a large one: a flood of them is refused."""
    with server.connected() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000)
        assert status_of(all_of(connection)) == (400, "body")
    assert server.is_alive()


@pytest.mark.parametrize(
    "headers",
    [b"x-same: y\r\n" * 200_000, b"x-long: " + b"y" * 1_700_000, b"x-%d: y\r\n" * 101 % tuple(range(101))],
    ids=["a flood of equal ones", "one without end", "one too many"],
)
def test_a_flood_of_headers_is_refused_and_holds_nobody_up(server, headers):
    """Too many or too long headers get 431, and other requests are answered meanwhile."""
    with server.connected() as connection:
        connection.sendall(HEAD + headers)
        assert server.is_alive()
        connection.sendall(b"\r\n")
        assert status_of(all_of(connection)) == (431, "headers")


def test_headers_within_their_limit_are_read(server):
    """Headers within the limit are read, also if they arrive in two parts."""
    with server.connected() as connection:
        sent = (
            HEAD + b"x-%d: y\r\n" * 90 % tuple(range(90)) + b"connection: close\r\ncontent-length: 12\r\n\r\n" + ASKED
        )
        connection.sendall(sent[:150])
        connection.sendall(sent[150:])
        assert b'"value":"A"' in all_of(connection)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", None), (b"\r\n", None), (HEAD, 408), (HEAD + b"content-length: 12\r\n\r\n{", 408), (REQUEST, None)],
    ids=["nothing", "an empty line", "half a head", "half a body", "a whole request, and no more"],
)
def test_what_does_not_arrive_in_time_ends_the_connection(hasty, sent, status):
    """A request that stops halfway gets 408, and an idle connection is closed."""
    with hasty.connected() as connection:
        connection.sendall(sent)
        answer = all_of(connection)
    if sent == REQUEST:
        assert b'"value":"A"' in answer
    else:
        assert status_of(answer)[0] == status if status else answer == b""


def is_closed_during(connection, sent) -> bool:
    """Whether the server closes a connection while the bytes are sent one by one."""
    try:
        for byte in sent:
            connection.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    return True
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def test_a_head_that_drips_is_not_waited_for(hasty):
    """The server closes a connection on which a head arrives byte by byte before the head is complete."""
    with hasty.connected() as connection:
        connection.settimeout(0.02)
        assert is_closed_during(connection, HEAD * 20), "the server waited for the whole head"


def test_many_half_open_connections_are_let_go(hasty):
    """Three hundred connections with half a request line all get 408."""
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(hasty.connected()) for _ in range(300)]
        for connection in waiting:
            connection.sendall(b"POST /v1/se")
        assert {status_of(all_of(connection))[0] for connection in waiting} == {408}
    assert hasty.is_alive()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_read_before_it_is_refused(server, is_chunked):
    """A body over the limit is read and gets 413, and the connection can be used again."""
    with server.connected() as connection:
        body = b"x" * (1 << 20)
        if is_chunked:
            connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        else:
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert until(connection, b'"field":"body"}').startswith(b"HTTP/1.1 413 ")
        connection.sendall(REQUEST)
        assert until(connection, b'"value":"A"').startswith(b"HTTP/1.1 200 ")


def test_a_flood_behind_a_request_that_is_being_answered_ends_the_connection(server):
    """A bad request behind a running one closes the connection without a 431."""
    with server.connected() as connection:
        connection.sendall(REQUEST + HEAD + b"x: y\r\n" * 101 + b"\r\n")
        answer = all_of(connection)
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 ") == 1


def test_a_client_that_waits_to_be_told_sends_no_body_that_is_too_large(server):
    """``Expect: 100-continue`` with too large a body is answered by 413."""
    with server.connected() as connection:
        connection.sendall(HEAD + b"content-length: 999999\r\nexpect: 100-continue\r\n\r\n")
        assert status_of(all_of(connection)) == (413, "body")


def test_a_head_that_breaks_off_leaves_no_trace(server):
    """After clients disconnect within a head or a body, the server answers others."""
    for part in (HEAD, HEAD + b"content-length: 12\r\n\r\n{"):
        with server.connected() as connection:
            connection.sendall(part)
    assert server.is_alive()


UPGRADE = b"connection: upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize("is_apart", [False, True])
def test_a_wish_for_another_protocol_is_ignored_and_its_body_is_its_own(server, is_apart):
    """An upgrade request is answered as plain HTTP, and its body is never read as a request."""
    inner = b"POST /v1/serve/upper HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with server.connected() as connection:
        head = HEAD + UPGRADE + b"content-length: %d\r\n\r\n"
        connection.sendall(head % len(ASKED) + ASKED)
        assert until(connection, b'"value":"A"').startswith(b"HTTP/1.1 200 ")
        sent = [head % len(inner), inner] if is_apart else [head % len(inner) + inner]
        for part in sent:
            connection.sendall(part)
            server.is_alive()
        assert until(connection, b'"field":"body"}').startswith(b"HTTP/1.1 422 ")
        connection.sendall(REQUEST)
        assert until(connection, b'"value":"A"').count(b"HTTP/1.1 ") == 1


def test_a_wish_that_comes_in_two_parts_ends_the_connection(server):
    """An upgrade header that arrives in two parts gets 400, and the connection ends."""
    with server.connected() as connection:
        connection.sendall(HEAD + b"connection: upgrade\r\nUpg")
        server.is_alive()
        connection.sendall(b"rade: h2c\r\ncontent-length: %d\r\n\r\n" % len(REQUEST) + REQUEST)
        answer = all_of(connection)
    assert answer.count(b"content-length: ") == 1
    assert status_of(answer) == (400, "upgrade")


@pytest.mark.parametrize(
    "target", [b"http://evil.example/healthz", b"http://evil.example:80/v1/tasks", b"HTTP://EVIL/"]
)
def test_a_target_of_another_host_is_refused(server, target):
    """A target that names another host than the Host header gets 400, whatever its path, and the connection ends."""
    with server.connected() as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\n\r\n" + REQUEST)
        answer = all_of(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"application/problem+json" in answer
    assert status_of(answer) == (400, "host")
    assert server.is_alive()


def test_a_target_with_its_host_is_read_as_its_path(server):
    """A target in absolute form whose host is that of the Host header is served, if this server serves the host."""
    tasks = b"GET http://%s/v1/tasks HTTP/1.1\r\nhost: %s\r\n\r\n"
    with server.connected() as connection:
        connection.sendall(tasks % (b"LocalHost:80", b"localhost:80"))
        assert until(connection, b"}]}").startswith(b"HTTP/1.1 200 ")
        connection.sendall(tasks % (b"evil.example", b"evil.example"))
        assert until(connection, b'"field":"host"}').startswith(b"HTTP/1.1 421 ")


def test_fields_of_a_trailer_are_no_headers(server):
    """Fields in a trailer do not count as headers."""
    bare = b"POST /v1/serve/upper HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
    body = b"\r\nc\r\n" + ASKED + b"\r\n0\r\n"
    with server.connected() as connection:
        connection.sendall(bare + b"content-type: application/json\r\n" + body + b"host: localhost\r\n\r\n")
        assert until(connection, b'"field":"host"}').startswith(b"HTTP/1.1 421 ")
        connection.sendall(bare + b"host: localhost\r\n" + body + b"content-type: application/json\r\n\r\n")
        assert until(connection, b'"field":"content-type"}').startswith(b"HTTP/1.1 415 ")


def test_a_trailer_without_an_end_is_refused(server):
    """A field of a trailer that goes on is not collected: after 128 KiB the request is refused."""
    with server.connected() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\nc\r\n" + ASKED + b"\r\n0\r\nx: ")
        for _ in range(64):
            connection.sendall(b"y" * 8192)
            time.sleep(0.001)  # a packet each
        assert all_of(connection).startswith(b"HTTP/1.1 431 ")
    assert server.is_alive()


def test_the_bytes_of_a_body_stay_as_they_are(server):
    """A body with a line that names an upgrade, in one packet with its head, is not changed."""
    body = b'\r\nupgrade: h2c\r\n{"key": "a"'
    with server.connected() as connection:
        head = HEAD.replace(b"/v1/serve/upper", b"/echo")
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert until(connection, body[-8:]).endswith(body)


@pytest.fixture
def narrow(tmp_path):
    """Serve an app in a process that may open few files."""
    made = Server(tmp_path, HANGS_S, descriptors=320)
    yield made
    made.end()


def test_half_sent_requests_of_one_client_keep_no_other_out(narrow):
    """With as many connections as the process can have, the oldest that waits for its client makes room."""
    with narrow.half_sent(400) as opened:
        assert narrow.is_alive()
        with contextlib.suppress(ConnectionResetError):
            assert opened[0].recv(1) == b""
        opened[-1].sendall(ASKED[1:])
        assert until(opened[-1], b'"value":"A"').startswith(b"HTTP/1.1 200 ")


def test_large_bodies_of_one_client_leave_memory_to_others(server):
    """A client's large bodies are held up to half of the bound, the next one gets 503, and another client is served."""
    part, whole = b"x" * 900_000, 1_000_000
    with contextlib.ExitStack() as opened:

        def sent(source):
            made = socket.create_connection(("127.0.0.1", server.port), timeout=HANGS_S, source_address=(source, 0))
            opened.enter_context(made)
            head = HEAD.replace(b"/v1/serve/upper", b"/echo") + b"expect: 100-continue\r\n"
            made.sendall(head + b"content-length: %d\r\n\r\n" % whole)
            assert until(made, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            made.sendall(part)
            return made

        held = [sent("127.0.0.9") for _ in range(3)]
        refused, _, _ = select.select(held, [], [], HANGS_S)
        assert until(refused[0], b"}").startswith(b"HTTP/1.1 503 ")
        other = sent("127.0.0.8")
        for one in {other, *held} - {refused[0]}:
            one.sendall(part[: whole - len(part)])
            assert until(one, b"\r\n\r\nx").startswith(b"HTTP/1.1 200 ")
    with server.connected() as connection:  # what was held is free again
        for _ in range(9):
            connection.sendall(HEAD.replace(b"/v1/serve/upper", b"/echo") + b"content-length: %d\r\n\r\n" % whole)
            connection.sendall(part + part[: whole - len(part)])
            assert until(connection, part + part[: whole - len(part)]).startswith(b"HTTP/1.1 200 ")


def test_bodies_that_do_not_arrive_take_no_turn(server):
    """Requests that wait for their bodies are not among those in progress, and are answered when these arrive."""
    with server.half_sent(60, HEAD + b"expect: 100-continue\r\n") as opened:
        assert all(until(one, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ") for one in opened)
        assert server.in_progress() == 0
        for one in opened:
            one.sendall(ASKED[1:])
        assert all(until(one, b'"value":"A"').startswith(b"HTTP/1.1 200 ") for one in opened)


@pytest.mark.parametrize("sent", [HEAD + b"x: y\r\n" * 101, b"not http at all\r\n\r\n", HEAD])
def test_refusals_of_the_connection_protect_browsers_too(hasty, sent):
    """Refusals before any handler have the protective headers and a problem document."""
    with hasty.connected() as connection:
        connection.sendall(sent)
        answer = all_of(connection)
    assert b"x-content-type-options: nosniff" in answer
    assert b"application/problem+json" in answer
    assert status_of(answer)[0] in (400, 408, 431)


def test_a_length_with_a_space_behind_it_is_a_length(server):
    """Whitespace around a header's value is ignored (RFC 9110, 5.5)."""
    with server.connected() as connection:
        connection.sendall(HEAD + b"content-length: 12 \r\n\r\n" + ASKED)
        assert until(connection, b'"value":"A"').startswith(b"HTTP/1.1 200 ")


def test_a_header_of_a_handler_begins_no_other(server):
    """A handler's header value with a line break gives a 500, and no second header is sent."""
    answer = httpx.get(f"http://127.0.0.1:{server.port}/careless", params={"said": "a\r\nset-cookie: b=c"})
    assert (answer.status_code, answer.headers.get("set-cookie")) == (500, None)
    assert httpx.get(f"http://127.0.0.1:{server.port}/careless?said=a").headers["x-said"] == "a"


def test_head_tells_the_length_and_sends_no_body(server):
    """HEAD has the content length of GET and no body."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        told = client.head("/v1/tasks")
        asked = client.get("/v1/tasks")
    assert told.content == b""
    assert told.headers["content-length"] == str(len(asked.content))


@pytest.mark.parametrize(
    "refused",
    [
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 110 + b"\r\n",
    ],
    ids=["connect", "chunk", "garbage", "headers"],
)
def test_a_request_is_answered_though_the_next_one_is_refused(server, refused):
    """A request before a refused one gets its own answer, and then the connection ends."""
    with server.connected() as connection:
        connection.sendall(REQUEST + refused)
        told = all_of(connection)
    assert told.count(b"HTTP/1.1") == 1
    assert told.startswith(b"HTTP/1.1 200")
    assert b'"A"' in told


def test_a_body_that_nobody_waits_for_ends_the_connection(server):
    """A body with an excessive announced length gets 413, and the connection closes."""
    with server.connected() as connection:
        connection.sendall(HEAD + b"content-length: 99000000000\r\n\r\n")
        told = all_of(connection)
    assert told.startswith(b"HTTP/1.1 413")
    assert told.lower().count(b"connection: close") == 1
