"""The end of a server or of its clients: running requests are answered, or cancelled with their client."""

import asyncio
import collections
import contextlib
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from tests.waiting import HANGS_S, until

SHOP = """
import asyncio
import time
from pathlib import Path

import parbake as pb
from parbake.http import HttpApp
from parbake.http import Response
from parbake.http import connection

connection.BODY_S = 3600.0
tasks = pb.Registry()
settings = dict(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")


def asked():
    with Path("asked").open("a") as file:
        file.write("x")


@tasks.artifact(**settings)
async def slow(word: str) -> str:
    asked()
    while not Path("told").exists():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    return word


@tasks.artifact(**settings)
async def blocking(word: str) -> str:
    asked()
    time.sleep(2.0)
    return word


@tasks.artifact(**settings)
def quick(word: str) -> str:
    return word


@tasks.live(why="waits for as long as somebody does")
async def patient(word: pb.Live[str]) -> str:
    asked()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        with Path("given up").open("a") as file:
            file.write("x")
        raise
    return word


async def stream(_):
    async def chunks():
        for _ in range(100):
            asked()
            yield b"x" * 1000
            await asyncio.sleep(0.005)

    return Response(stream=chunks(), content_type="text/plain")


async def turns(request):
    for _ in range(int(request.parameters["count"])):
        await asyncio.sleep(0)
    return Response(b"done", content_type="text/plain")


app = HttpApp(pb.App(tasks), [("GET", "/stream", stream), ("GET", "/turns/{count}", turns)])
"""


@pytest.fixture
def served(tmp_path, request):
    """Yield a server's process, URL and folder; the parameter is more of its command line."""
    (tmp_path / "ending_shop.py").write_text(SHOP)
    more = getattr(request, "param", [])
    command = [sys.executable, "-m", "parbake", "serve", "ending_shop:app", "--port", "0", *more]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{process.stderr.readline().rpartition(':')[2].strip()}"
    yield process, url, tmp_path
    process.kill()
    process.wait()
    process.stderr.close()


def asked_in(folder):
    """Return the number of computations that have begun."""
    with contextlib.suppress(FileNotFoundError):
        return len((folder / "asked").read_text())
    return 0


async def test_a_hundred_and_fifty_requests_under_way_are_answered(served):
    """All 150 requests that run when SIGTERM arrives are answered, and the server exits with 0."""
    process, url, folder = served
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S, limits=httpx.Limits(max_connections=150)) as client:
        under_way = [
            asyncio.create_task(client.post("/v1/serve/slow", json={"key": f"k{number}"})) for number in range(150)
        ]
        await until(lambda: asked_in(folder) == 150)
        process.send_signal(signal.SIGTERM)
        (folder / "told").touch()
        answers = await asyncio.gather(*under_way)
    assert collections.Counter(answer.status_code for answer in answers) == {200: 150}
    assert process.wait(HANGS_S) == 0


async def test_clients_that_go_on_asking_are_answered_or_find_nobody(served):
    """After SIGTERM each request is either answered or its connection refused."""
    process, url, _ = served
    outcomes, answered = collections.Counter(), []

    async def ask(number):
        async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
            while True:
                try:
                    answer = await client.post("/v1/serve/quick", json={"key": f"k{number}"})
                except httpx.TransportError as error:
                    outcomes[type(error).__name__] += 1
                    return
                answered.append(answer.status_code)

    asking = [asyncio.create_task(ask(number)) for number in range(30)]
    await until(lambda: len(answered) > 300)
    process.send_signal(signal.SIGTERM)
    await asyncio.gather(*asking)
    assert outcomes == {"ConnectError": 30}
    assert set(answered) == {200}
    assert process.wait(HANGS_S) == 0


@pytest.mark.parametrize("served", [["--drain", "0.2"]], indirect=True)
async def test_what_takes_longer_than_the_server_has_is_told_so(served):
    """A request that outlasts the drain time gets 503 with Retry-After, and no traceback is logged."""
    process, url, folder = served
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
        body = {"live": {"word": "a"}}
        under_way = [asyncio.create_task(client.post("/v1/serve/patient", json=body)) for _ in range(3)]
        await until(lambda: asked_in(folder) == 3)
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*under_way)
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 3
    assert process.wait(HANGS_S) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("served", [["--drain", "0.2"]], indirect=True)
async def test_a_client_that_reads_nothing_keeps_no_server_from_its_end(served):
    """A client that does not read its many answers does not delay the end."""
    process, url, _ = served
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as greedy:
        greedy.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(2000):
                greedy.send(b"GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
        async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
            assert (await client.get("/healthz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, HANGS_S) == 0


async def test_what_came_while_the_server_was_busy_is_answered(served):
    """Requests and connections that were waiting when SIGTERM arrived are answered."""
    process, url, folder = served
    port = int(url.rpartition(":")[2])
    body = b'{"key": "a"}'
    head = b"host: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def connected():
        return await asyncio.open_connection("127.0.0.1", port)

    opened = [await connected() for _ in range(101)]
    opened[0][1].write(b"POST /v1/serve/blocking HTTP/1.1\r\n" + head + body)
    await until(lambda: asked_in(folder) == 1)
    opened += [await connected() for _ in range(50)]
    for _, writer in opened[1:]:
        writer.write(b"POST /v1/serve/quick HTTP/1.1\r\n" + head + body)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(HANGS_S):
        told = await asyncio.gather(*(reader.read(12) for reader, _ in opened), return_exceptions=True)
    assert collections.Counter(map(str, told)) == {str(b"HTTP/1.1 200"): 151}
    for _, writer in opened:
        writer.close()
    assert process.wait(HANGS_S) == 0


async def test_a_request_whose_client_has_left_is_given_up(served):
    """Computations of clients that have left are cancelled, and the server continues."""
    process, url, folder = served
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
        body = {"live": {"word": "a"}}
        asking = [asyncio.create_task(client.post("/v1/serve/patient", json=body)) for _ in range(40)]
        await until(lambda: asked_in(folder) == 40)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await until(lambda: len((folder / "given up").read_text()) == 40 if (folder / "given up").exists() else False)
        answer = await client.post("/v1/serve/quick", json={"key": "a"})
        assert answer.json()["value"] == "a"
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANGS_S) == 0
    assert process.stderr.read() == ""


async def test_clients_that_give_up_a_server_that_stood_still_leave_no_noise(served):
    """Clients that have left while a server was suspended cause no log output when it goes on."""
    process, url, _ = served
    opened = [await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2])) for _ in range(100)]
    process.send_signal(signal.SIGSTOP)
    for number, (_, writer) in enumerate(opened):
        writer.write(f"GET /turns/{number % 10} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in opened))
    process.send_signal(signal.SIGCONT)
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
        assert (await client.post("/v1/serve/quick", json={"key": "a"})).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, HANGS_S) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize("served", [["--drain", "3600"]], indirect=True)
async def test_half_a_request_does_not_hold_up_the_end(served):
    """A client with half a request gets 408 at once when the server ends, not when the time for its body is over."""
    process, url, _ = served
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"POST /v1/serve/quick HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: 12\r\n\r\n{")
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
        await client.get("/healthz")
    process.send_signal(signal.SIGTERM)
    assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert await asyncio.to_thread(process.wait, HANGS_S) == 0
    assert process.stderr.read() == ""


async def test_clients_that_leave_streams_in_a_row_leave_no_noise(served):
    """Clients that leave pipelined streams cause no log output."""
    process, url, folder = served
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(3):
            writer.write(b"GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await writer.drain()
        before = asked_in(folder)
        await until(lambda before=before: asked_in(folder) > before)
        writer.close()
    async with httpx.AsyncClient(base_url=url, timeout=HANGS_S) as client:
        assert (await client.post("/v1/serve/quick", json={"key": "a"})).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, HANGS_S) == 0
    assert process.stderr.read() == ""
