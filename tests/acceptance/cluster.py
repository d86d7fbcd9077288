"""Processes over one data folder: servers and workers on free loopback ports, each ended by its own process id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import HANGS_S, eventually

from parbake.testing import FileClock

HERE = Path(__file__).parent
APP = "app_under_test:app"
KEY = "the-key-of-the-tests"
"""The operators' key, which may act for any shopper."""
_HANGS = pytest.mark.timeout(3600)  # this includes the first batch runs on a server
ON_EVERY_STORE = [
    pytest.mark.parametrize(
        "store", ["lmdb", "valkey", pytest.param("dynamodb", marks=pytest.mark.slow)], indirect=True, scope="module"
    ),
    _HANGS,
]
"""Marks the tests of a module that show the same on the embedded store and on both kinds of server."""
ON_TWO_STORES = [pytest.mark.parametrize("store", ["lmdb", "valkey"], indirect=True, scope="module"), _HANGS]
"""Marks the tests of a module that show the same on the embedded store and on one kind of server."""


class Process:
    """A started process with its log."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        """Start it in the folder of the app under test."""
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "parbake", *arguments], cwd=HERE, env=environment, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stderr or ():
            self.lines.append(line)

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(timeout=HANGS_S)
        self._close()

    def stop(self) -> None:
        """Terminate it, or kill it if it hangs."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout=HANGS_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def _close(self) -> None:
        self._reader.join(timeout=HANGS_S)
        if self.popen.stderr is not None:
            self.popen.stderr.close()


class Server(Process):
    """A server with a client."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Wait until it is ready, which takes a store in which every artifact is."""
        super().__init__(["serve", APP, "--port", "0"], environment)
        self.url = eventually(self._address)
        own = {"authorization": f"Bearer {KEY}"}
        self.client = httpx.Client(base_url=self.url, timeout=HANGS_S, headers=own)
        eventually(self._is_ready)

    def _address(self) -> str | None:
        if self.popen.poll() is not None:
            raise AssertionError("the server ended: " + "".join(self.lines))
        found = [m[1] for line in self.lines if (m := re.search(r"(http://127\.0\.0\.1:\d+)", line))]
        return found[0] if found else None

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _close(self) -> None:
        self.client.close()
        super()._close()

    def chat(self, message: str, **members: Any) -> Chat:
        """Send one message, after the messages in ``history``."""
        history = members.pop("history", [])
        body = {"model": "retail-assistant", "messages": [*history, {"role": "user", "content": message}], **members}
        response = self.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        return Chat(response.json())

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a write to the shop that must be acknowledged."""
        response = self.client.put(path, json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send an action to the shop that must be acknowledged."""
        response = self.client.post(path, json=body)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def serve(self, task: str, key: str) -> dict[str, Any]:
        """Serve an artifact by key."""
        response = self.client.post(f"/v1/serve/{task}", json={"key": key})
        assert response.status_code == 200, response.text
        return dict(response.json())


class Chat:
    """A chat completion."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Take the parts that tests look at."""
        self.text: str = document["choices"][0]["message"]["content"]
        self.made: dict[str, Any] = document["parbake"]
        self.lane: str = self.made["lane"]
        self.cards: list[dict[str, Any]] = self.made["cards"]

    @property
    def is_precompiled(self) -> bool:
        """Whether the reply is a FAQ answer that was computed ahead."""
        return any(s["task"] == "faq_answers" for s in self.made["steps"]) and self.lane in ("batch", "event")


class Cluster:
    """Processes over one data folder and one clock."""

    def __init__(self, home: Path, **environment: str) -> None:
        """Set up the folder and the environment without starting a process."""
        self.home = home
        self.clock = FileClock(home / "clock")
        self.environment = {
            **os.environ,
            "RETAIL_HOME": str(home),
            "TEST_CLOCK": str(home / "clock"),
            "LLM": "extractive",
            "PARBAKE_TOKEN": KEY,
            **environment,
        }
        self._started: list[Process] = []

    def server(self) -> Server:
        """Start a server."""
        return self._keep(Server(self.environment))

    def worker(self) -> Process:
        """Start a worker."""
        return self._keep(Process(["worker", APP], self.environment))

    def stop(self) -> None:
        """End every process that was started."""
        for process in self._started:
            process.stop()

    def _keep(self, process: Any) -> Any:
        self._started.append(process)
        return process
