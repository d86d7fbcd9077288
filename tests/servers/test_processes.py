"""Several server processes on one socket: they share the load, one that dies is replaced, and all end together."""

import collections
import os
import re
import signal
import subprocess
import sys
import threading

import httpx
import pytest
from tests.servers.launch import free_ports
from tests.waiting import HANGS_S, eventually

SHOP = """
import asyncio
import os
from pathlib import Path

import parbake as pb
from parbake.http import HttpApp, Route, json_response

if Path("broken").exists():
    raise ValueError("the model file is missing")
tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
def word(key: str) -> str:
    return key


async def who(_):
    return json_response(os.getpid())


async def slow(_):
    Path("asked").touch()
    while not Path("told").exists():
        await asyncio.sleep(0.01)
    return json_response("done")


app = HttpApp(pb.App(tasks, store="lmdb://store"), [Route("GET", "/who", who), Route("GET", "/slow", slow)])
"""


class Served:
    """A server of several processes."""

    def __init__(self, folder, *options):
        """Start it, and read what it says."""
        command = [sys.executable, "-m", "parbake", "serve", "manyshop:app", "--port", "0", *options]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def text(self):
        """What was said so far."""
        return "".join(self.lines)

    @property
    def url(self):
        """The address of the shared socket, once the first process serves."""
        eventually(lambda: "serving manyshop:app at " in self.text or self.process.poll() is not None)
        return re.search(r"serving manyshop:app at (\S+)", self.text)[1]

    def who(self, url=""):
        """Return the process that answers a new connection; 0 if none does."""
        try:
            return httpx.get(f"{url or self.url}/who", timeout=HANGS_S).json()
        except httpx.TransportError:
            return 0

    def all_of(self, count):
        """Return the processes once a number of them have answered."""
        seen = set()
        eventually(lambda: seen.add(self.who()) or len(seen - {0}) >= count)
        return seen - {0}

    def end(self):
        """End it, and wait until it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=HANGS_S)
        self._reader.join(timeout=HANGS_S)
        self.process.stderr.close()


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a server; each is ended after the test."""
    (tmp_path / "manyshop.py").write_text(SHOP)
    started = []

    def start(*options):
        started.append(Served(tmp_path, *options))
        return started[-1]

    yield start
    for one in started:
        one.end()


def is_alive(pid):
    """Return whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_processes_answer_and_one_that_dies_is_replaced(serve):
    """New connections reach each of three; after one is killed the others answer all, and a third comes back."""
    server = serve("--processes", "3")
    before = server.all_of(3)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not is_alive(victim))
    answers = collections.Counter(server.who() for _ in range(50))
    assert 0 not in answers
    assert victim not in answers
    after = set()
    eventually(lambda: after.add(server.who()) or len(after) == 3)
    assert len(after & before) == 2
    assert "ended with status -9; another starts in 1 s" in server.text


def test_a_signal_ends_all_after_their_requests(serve, tmp_path):
    """A request that runs is answered, and then no process is left."""
    server = serve("--processes", "2")
    processes = server.all_of(2)
    url, answers = server.url, []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=HANGS_S).json()))
    asking.start()
    eventually((tmp_path / "asked").exists)
    server.process.terminate()
    (tmp_path / "told").touch()
    asking.join(timeout=HANGS_S)
    assert answers == ["done"]
    assert server.process.wait(timeout=HANGS_S) == 0
    assert not any(map(is_alive, processes))


def test_no_process_outlives_one_that_was_killed(serve):
    """If the process that keeps the others is killed, they end by themselves."""
    server = serve("--processes", "2")
    processes = server.all_of(2)
    server.process.kill()
    assert server.process.wait(timeout=HANGS_S) == -signal.SIGKILL
    eventually(lambda: not any(map(is_alive, processes)))
    assert server.who() == 0


def test_an_app_that_cannot_start_is_told_once(serve, tmp_path):
    """The error of the app is one line, the status is 1, and nothing is tried again."""
    (tmp_path / "broken").touch()
    server = serve("--processes", "3")
    assert server.process.wait(timeout=HANGS_S) == 1
    server.end()
    assert server.text.count("the model file is missing") == 1
    assert "another starts" not in server.text


def test_each_process_is_reached_at_a_port_of_its_own(serve):
    """So each can be scraped and probed; the port names the same process every time."""
    port = free_ports(3)
    server = serve("--processes", "2", "--own-ports", str(port))
    both = server.all_of(2)
    found = [{server.who(f"http://127.0.0.1:{port + n}") for _ in range(5)} for n in range(2)]
    assert [len(one) for one in found] == [1, 1]
    assert set.union(*found) == both


def test_the_keeper_says_how_many_processes_run(serve):
    """Behind the ports of the processes their keeper answers probes, and counts one that is gone until it is back."""
    port = free_ports(3)
    server = serve("--processes", "2", "--own-ports", str(port))
    both, seen, keeper = server.all_of(2), [], f"http://127.0.0.1:{port + 2}/healthz"
    assert httpx.get(keeper).json() == {"processes": 2, "running": 2}
    os.kill(min(both), signal.SIGKILL)
    while seen[-2:] != [1, 2]:  # without a pause, because it is gone for a second only
        seen += {httpx.get(keeper, timeout=HANGS_S).json()["running"]} - set(seen[-1:])
        assert len(seen) < 5


def test_a_client_that_keeps_its_connection_reaches_another_process(serve):
    """After two thousand requests the answer ends the connection, and the next one may be taken by another process."""
    server = serve("--processes", "2")
    server.all_of(2)
    with httpx.Client(timeout=HANGS_S) as client:
        answers = [client.get(f"{server.url}/who") for _ in range(2001)]
    assert [n for n, answer in enumerate(answers) if answer.headers.get("connection") == "close"] == [1999]
    assert len({answer.json() for answer in answers[:2000]}) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--processes", "0"), "processes"), (("--processes", "1", "--own-ports", "70000"), "own-ports")],
)
def test_a_number_that_cannot_be_is_refused(serve, options, said):
    """The option is named, and nothing is started."""
    server = serve(*options)
    assert server.process.wait(timeout=HANGS_S) != 0
    server.end()
    assert said in server.text
