"""The assistant as a process over a generated shop, and a client with as little around it as there is."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from _server import running

SIZES = {"RETAIL_PRODUCTS": "2000", "RETAIL_SHOPPERS": "2000"}
KEY, BACKEND_KEY = "the-operators-of-benchmarks", "the-backend-of-benchmarks"
"""Operators' requests are never queued, a backend's are; both may act for any shopper, and neither is limited."""
KEYS = {"PARBAKE_TOKEN": KEY, "RETAIL_VOUCHES": "key", "RETAIL_BACKEND_KEY": BACKEND_KEY}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **SIZES, **KEYS}
APP = "retail_assistant.compose:served"


def prepare(home: str) -> None:
    """Generate a shop in a folder and compute every first generation."""
    command = [sys.executable, "-m", "retail_assistant", "prepare"]
    subprocess.run(command, env=environment(home), check=True, capture_output=True)


def environment(home: str) -> dict[str, str]:
    """Return the environment of a process over the shop in a folder, with one thread for linear algebra."""
    return {**os.environ, **ENVIRONMENT, "RETAIL_HOME": home}


@contextlib.contextmanager
def serving(home: str, *, app: str = APP, **settings: str) -> Iterator[tuple[int, str]]:
    """Run a server of an app on a free port, with more settings in its environment.

    Gives its process number and its address, once it answers.
    """
    with running(app, environment=environment(home) | settings) as server:
        with contextlib.closing(Client(server.address)) as client:
            client.wait()
        yield server.pid, server.address


@contextlib.contextmanager
def working(home: str) -> Iterator[None]:
    """Run a worker."""
    command = [sys.executable, "-m", "parbake", "worker", APP]
    with subprocess.Popen(command, env=environment(home), stderr=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.terminate()


def change_beside(asks: Sequence[Callable[[], None]], change: Callable[[threading.Event], None]) -> None:
    """Run each of ``asks`` in a thread until all have returned, and ``change`` beside them while its event is set."""
    asking = threading.Event()
    asking.set()
    askers, changer = [threading.Thread(target=ask) for ask in asks], threading.Thread(target=change, args=(asking,))
    for thread in (*askers, changer):
        thread.start()
    for thread in askers:
        thread.join()
    asking.clear()
    changer.join()


class Client:
    """One connection that stays open."""

    def __init__(self, address: str, *, timeout_s: float = 30) -> None:
        """Not connected yet."""
        self._connection = http.client.HTTPConnection(address.partition("//")[2], timeout=timeout_s)

    def wait(self) -> None:
        """Until the server is ready, as a balancer waits."""
        for _ in range(600):
            try:
                if self.get("/readyz"):
                    return
            except OSError:
                self.close()
            time.sleep(0.1)
        raise SystemExit("the server is not ready")

    def get(self, path: str) -> bool:
        """Whether the path answers."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        return response.status == http.HTTPStatus.OK

    def send(self, method: str, path: str, body: object) -> Any:
        """Send JSON; returns what is answered. Raises :class:`RuntimeError` for an error."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        self._connection.request(method, path, msgspec.json.encode(body), headers)
        response = self._connection.getresponse()
        document = response.read()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {response.status} {document[:200]!r}")
        return msgspec.json.decode(document)

    def ask(self, question: str) -> tuple[str, dict[str, Any]]:
        """Ask; returns the reply and what it was made of."""
        answer = self.send("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": question}]})
        return answer["choices"][0]["message"]["content"], answer["parbake"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
