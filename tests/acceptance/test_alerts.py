"""Acceptance 8: an artifact past its SLA sends its owner an alert, and another one when it has recovered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from tests.waiting import eventually


class Receiver:
    """A webhook endpoint on loopback that records what it is sent."""

    def __init__(self) -> None:
        """Listen on a free port."""
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self.received = received
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield a running receiver."""
    found = Receiver()
    yield found
    found.close()


def test_an_owner_hears_once_that_it_is_stale_and_once_that_it_recovered(
    prepared: Path, tmp_path: Path, receiver: Receiver
) -> None:
    """Past its SLA trending sends one stale alert, and one recovered alert after a worker's run."""
    import shutil

    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    cluster = Cluster(home, ALERT_WEBHOOK=receiver.url)
    try:
        cluster.server()
        cluster.clock.advance(2 * 3600)

        def said(kind: str) -> list[dict[str, Any]]:
            return [a for a in receiver.received if a["task"] == "trending" and a["kind"] == kind]

        stale = eventually(lambda: said("stale"))
        assert stale[0]["owner"] == "merchandising"
        assert not said("recovered")
        cluster.worker()
        recovered = eventually(lambda: said("recovered"))
        assert recovered[0]["owner"] == "merchandising"
        assert len(said("stale")) == len(said("recovered")) == 1
    finally:
        cluster.stop()
