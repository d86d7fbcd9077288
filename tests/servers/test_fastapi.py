"""The guide's application: FastAPI under uvicorn with a mounted parbake app."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.servers.launch import free_port
from tests.waiting import HANGS_S

TEXT = "Books can be returned within 30 days."
TOKEN = "the-token-of-operators"
GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "fastapi.md"


@pytest.fixture(scope="module", params=[1, 2], ids=["our lifespan", "its own lifespan"])
def server(request, tmp_path_factory):
    """Serve the guide's code up to its first or second block."""
    folder = tmp_path_factory.mktemp("api")
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks[: request.param])
    if request.param == 2:  # the second application has no routes: mount those of the first
        code += """
api.add_middleware(MeasuredRequests, counters=app.counters)
api.add_exception_handler(ParbakeError, answer_problem)
api.mount("/pb", served)
api.get("/policies/{name}")(policy)
"""
    (folder / "shop.py").write_text(code)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:api", "--port", str(port), "--log-level", "info"]
    environment = {**os.environ, "PARBAKE_TOKEN": TOKEN}  # operators see the counters as they are now
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "Uvicorn running" in line:
            break
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANGS_S, headers=headers) as client:
        yield client
    process.terminate()
    assert "Application shutdown complete" in process.stderr.read()
    process.wait(HANGS_S)
    process.stderr.close()


def test_its_own_endpoints_and_the_mounted_ones_serve_the_same(server):
    """A value that FastAPI's endpoint computed is served by the mounted app."""
    assert server.get("/policies/returns").json() == {"text": TEXT, "verdict": "fresh"}
    served = server.post("/pb/v1/serve/sentence", json={"key": "returns"}).json()
    assert (served["value"], served["verdict"]) == (TEXT, "fresh")
    assert re.search(r'parbake_computes_total\{.*task="sentence".*\} 1\.0', server.get("/pb/metrics").text)


def test_the_mounted_part_answers_under_its_path_only(server):
    """The mounted app has its routes, errors and refusals under its path only."""
    assert server.get("/pb/healthz").json() == {"status": "alive"}
    assert server.get("/healthz").status_code == 404
    missing = server.get("/pb/nothing")
    assert (missing.status_code, missing.json()["field"]) == (404, "path")
    assert server.post("/pb/v1/serve/sentence", content=b"{}").status_code == 415
    assert server.get("/pb/v1/tasks", headers={"host": "evil.example"}).status_code == 421


def test_a_change_that_is_told_there_is_seen_here(server):
    """An event that is posted to the mounted app outdates the value."""
    before = server.post("/pb/v1/serve/sentence", json={"key": "refunds"}).json()
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "policy.changed", "subject": "policy/refunds"}
    acked = server.post("/pb/v1/events", json=event)
    assert acked.status_code == 202
    assert server.post("/pb/v1/serve/sentence", json={"key": "refunds"}).json()["stamp"] > before["stamp"]


def counted(server):
    """Return how many requests the app has measured."""
    found = re.findall(r"^parbake_request_seconds_count\{.*\} (.+)$", server.get("/pb/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_its_own_requests_are_measured_and_those_of_the_mounted_part_once(server):
    """Requests for FastAPI's endpoints count, those for the mounted app count once, and probes and scrapes do not."""
    before = counted(server)
    server.get("/policies/returns")
    server.get("/policies/nothing")
    server.post("/pb/v1/serve/sentence", json={"key": "returns"})
    server.get("/pb/healthz")
    assert counted(server) == before + 3


def test_its_own_endpoints_answer_errors_as_the_mounted_part_does(server):
    """An error of parbake in FastAPI's endpoint becomes the problem document that the mounted app sends for it."""
    own, mounted = server.get("/policies/nothing"), server.post("/pb/v1/serve/sentence", json={"key": "nothing"})
    assert own.status_code == mounted.status_code == 404
    assert own.json() == mounted.json()
    for name in ("content-type", "x-content-type-options", "cache-control"):
        assert own.headers[name] == mounted.headers[name]
