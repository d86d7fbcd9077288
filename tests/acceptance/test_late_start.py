"""A server starts over values that have all expired; a refresh follows in the background."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster import Cluster
from tests.signals import born_with
from tests.waiting import HANGS_S, eventually

DAYS = 86_400.0
QUESTION = "How many days do I have to send a book back?"


@pytest.mark.slow
def test_a_server_over_a_ten_days_old_store_is_ready_and_answers(cluster: Cluster) -> None:
    """Ten days later a server without a worker is ready and answers, and a worker refreshes afterwards."""
    cluster.clock.advance(10 * DAYS)
    server = cluster.server()
    assert eventually(lambda: server.client.get("/readyz").status_code == 200)
    for message in (QUESTION, "Recommend me a book", "What is popular?", "What promotions do you have?", "hello"):
        assert server.chat(message, user="u00003").text
    assert "30 days" in server.chat(QUESTION).text
    cluster.worker()
    reply = eventually(lambda: (r := server.chat(QUESTION)).is_precompiled and r)
    assert "30 days" in reply.text


@pytest.mark.slow
def test_the_demo_prepares_once(tmp_path: Path) -> None:
    """The demo's processes end with it on any signal, and a restart generates nothing again."""
    sizes = {"RETAIL_PRODUCTS": "200", "RETAIL_SHOPPERS": "200", "RETAIL_HOME": str(tmp_path / "data")}
    first, again, last = (
        _start_and_stop({**os.environ, **sizes}, end) for end in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
    )
    assert [run.status for run in (first, again, last)] == [0, 130, -signal.SIGKILL]
    both = _start_and_stop({**os.environ, **sizes}, signal.SIGTERM, "--processes", "2")
    assert both.status == 0
    assert "generating" in first.said
    assert "generating" not in again.said + last.said + both.said


def test_a_taken_port_is_said_and_ends_with_1(tmp_path: Path) -> None:
    """If the port is in use, the demo exits with one line before it prepares anything."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "retail_assistant", "demo", "--port", str(taken.getsockname()[1])]
        environment = {**os.environ, "RETAIL_HOME": str(tmp_path / "data")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


class Run(NamedTuple):
    """One demo: its output until it was ready, and its exit status."""

    said: str
    status: int


def _start_and_stop(environment: dict[str, str], end: signal.Signals, *words: str) -> Run:
    """Start a demo as a background job, end it when it is ready, and wait until its processes have ended."""
    command = [sys.executable, "-m", "retail_assistant", "demo", "--port", "0", *words]
    said = ""
    with born_with(signal.SIG_IGN):
        demo = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with demo:
        assert demo.stdout is not None
        try:
            for line in demo.stdout:
                said += line
                if "ready in" in line:
                    break
            else:
                raise AssertionError("the demo never said that it is ready")
            children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        finally:
            demo.send_signal(end)
    for place in [Path(f"/proc/{child}/cmdline") for child in children]:
        eventually(lambda place=place: not place.exists() or not place.read_text())
    return Run(said, demo.returncode)
