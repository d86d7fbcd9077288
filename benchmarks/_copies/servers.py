"""Real servers over one store, the database that they read, and what they serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg
from _faults_world import Process, free_port
from tests.servers import pg

import parbake_capture
from _copies.tasks import make_app
from parbake.errors import NotAcknowledged

BENCHMARKS = Path(__file__).parents[1]
PATH = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
TABLE = "CREATE TABLE facts(id TEXT PRIMARY KEY, n BIGINT NOT NULL)"
LONGEST_S = 60.0


def eventually(look: Callable[[], Any], what: str, longest_s: float = LONGEST_S) -> Any:
    """Look until it is true, and return what was seen; raises :class:`TimeoutError`."""
    until = time.monotonic() + longest_s
    while not (seen := look()):
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.02)
    return seen


class Forwarder:
    """Forwards connections to a port, which may be changed, until it is cut off; then packets go nowhere."""

    def __init__(self, target: int) -> None:
        """Listen on a port of its own."""
        self.target = target
        self._is_open = threading.Event()
        self._is_open.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let nothing pass any more, without a word to either side."""
        self._is_open.clear()

    def mend(self) -> None:
        """Break what was cut off, and let new connections pass."""
        self._break()
        self._is_open.set()

    def switch(self, target: int) -> None:
        """Break all connections, and forward new ones elsewhere."""
        self.target = target
        self.mend()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        self.mend()

    def _break(self) -> None:
        while self._sockets:
            one = self._sockets.pop()
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._is_open.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._sockets.append(far)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._is_open.wait()
                other.sendall(data)
        for ended in (one, other):
            with contextlib.suppress(OSError):
                ended.shutdown(socket.SHUT_RDWR)


class Shop:
    """A database with an outbox whose run was noticed long ago."""

    def __init__(self, server: pg.Postgresql, *settings: str) -> None:
        """Create it; ``settings`` are further statements."""
        self.server, self.port = server, server.port
        server.sql("CREATE DATABASE shop")
        server.sql(TABLE, dbname="shop")
        parbake_capture.install(self.address(), "facts:fact/{id}")
        server.sql(*settings, pg.BEGIN_RUN_EARLIER, dbname="shop")

    def address(self, port: int | None = None, user: str = "postgres") -> str:
        """Its address, on the port of something that forwards to it if one is given."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/shop?connect_timeout=5"

    def change(self, key: str, number: int) -> int:
        """Commit a row, and return the transaction's id."""
        upsert = "INSERT INTO facts VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
        with psycopg.connect(self.address()) as connection:
            connection.execute(upsert, (key, number))
            (ticket,) = connection.execute("SELECT pg_current_xact_id()::TEXT::BIGINT").fetchone()
        return int(ticket)

    def answer(self, ticket: int) -> bool | None:
        """Ask once whether every store has applied a transaction."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            return connection.execute("SELECT parbake_wait(%s::TEXT::XID8, '20 ms')", (str(ticket),)).fetchone()[0]

    def wait(self, ticket: int) -> bool | None:
        """Ask until the answer is not "not yet", and return it."""
        return eventually(lambda: [answer] if (answer := self.answer(ticket)) is not False else [], "parbake_wait")[0]


class Part:
    """A process of ``parbake`` that opens the app, such as a worker."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start it; its log lies in a folder."""
        log = folder / f"{command[0]}{free_port()}.log"
        words = [sys.executable, "-m", "parbake", command[0], "_copies.app:app", *command[1:]]
        self._process = Process(words, log, {**os.environ, **environment, "PYTHONPATH": PATH})

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process.popen.poll() is None

    def start(self) -> None:
        """Start it unless it runs."""
        if not self.is_running:
            self._process.start()

    def end(self, how: signal.Signals) -> None:
        """End it as an operator or a crash does."""
        if self.is_running:
            self._process.send(how)
            self._process.popen.wait(LONGEST_S)

    def send(self, number: signal.Signals) -> None:
        """Suspend it, or let it go on."""
        self._process.send(number)

    def close(self) -> None:
        """End it for good."""
        if self.is_running:
            self._process.kill()


class Server(Part):
    """A process of ``parbake serve``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it; its log lies in a folder."""
        port = free_port()
        self._address = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(timeout=10.0)
        super().__init__(["serve", "--port", str(port)], folder, environment)

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        super().start()
        eventually(self._answers, "a server does not start")

    def _answers(self) -> bool:
        self._process.must_run()
        with contextlib.suppress(httpx.HTTPError):
            return self._client.get(f"{self._address}/healthz").status_code == httpx.codes.OK
        return False

    def read(self, task: str, key: str) -> int | None:
        """Return the number that it serves as fresh; ``None`` if it serves none."""
        with contextlib.suppress(httpx.HTTPError):
            answer = self._client.post(f"{self._address}/v1/serve/{task}", json={"key": key})
            if answer.status_code == httpx.codes.OK and answer.json()["verdict"] == "fresh":
                return int(answer.json()["value"])
        return None

    def tell(self, tag: str, number: int) -> bool:
        """Send an event, and return whether it was acknowledged."""
        event = {"specversion": "1.0", "id": f"{number}", "source": "bench", "type": "changed", "subject": tag}
        headers = {"content-type": "application/cloudevents+json"}
        with contextlib.suppress(httpx.HTTPError):
            answer = self._client.post(f"{self._address}/v1/events", json=event, headers=headers)
            return answer.status_code == httpx.codes.ACCEPTED
        return False

    def close(self) -> None:
        """End it for good."""
        super().close()
        self._client.close()


def touch(tag: str, environment: Mapping[str, str]) -> bool:
    """Touch a tag from a process that opens the store, as a job of the owner does; returns whether it counts."""

    async def run() -> bool:
        app = make_app(environment)
        try:
            await app.touch(tag)
        except NotAcknowledged:  # the store is being recovered
            return False
        finally:
            await app.close()
        return True

    return asyncio.run(run())
