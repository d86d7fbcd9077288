"""Fixtures of the unit tests: the source files, an embedder, a small world, and a server that receives alerts."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from tests.unit.shopfloor import World

from parbake.process.actions import ACTOR
from parbake_semantic.embedders.minilm import MiniLm

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "assistant/src", "tests", "benchmarks", "tools")


@pytest.fixture(scope="session")
def root():
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def source_files():
    """Return every Python file that the size budgets apply to."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="session")
def embedder():
    """Return the real embedder; a text takes about 3 ms."""
    return MiniLm()


@pytest.fixture(autouse=True)
def nobody_in_particular():
    """Forget who has acted in this process before: a command that ran in it has named its user."""
    ACTOR.set("the program")


@pytest.fixture
def world(tmp_path):
    """Return a fresh database with its source and clock."""
    found = World(tmp_path)
    yield found
    found.close()


@pytest.fixture
def receiver():
    """Return the URL of a loopback server and the list of bodies that it has received."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Log nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
        server.shutdown()
