"""A real Prometheus scrapes the assistant: every query of its dashboard, and of its rules, finds data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import APP, HERE, KEY, Cluster, Process, Server
from tests.servers.launch import free_port
from tests.servers.test_monitoring import answered, find_data, queries_in
from tests.waiting import HANGS_S, eventually

ASKED = ("What is your return window?", "Recommend me a book", "What is popular?", "which promotions run?", "hello")
OF_MODELS = "parbake_tokens_total"
"""Only a hosted model reports tokens, and the tests have none."""


@pytest.fixture
def worker(cluster: Cluster) -> Iterator[str]:
    """Run a worker, and yield where it shows its metrics."""
    port = free_port()
    process = Process(["worker", APP, "--metrics-port", str(port)], cluster.environment)
    yield f"127.0.0.1:{port}"
    process.stop()


@pytest.fixture
def prometheus(cluster: Cluster, server: Server, worker: str, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a Prometheus that scrapes both, and knows the generated rules."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install --no-install-recommends prometheus)")
    for what, file in (("rules", "rules.yml"), ("dashboard", "dashboard.json")):
        command = [sys.executable, "-m", "parbake", "monitoring", what, APP, "-o", str(tmp_path / file)]
        subprocess.run(command, cwd=HERE, env=cluster.environment, check=True, timeout=HANGS_S)
    port, targets = free_port(), [server.url.partition("//")[2], worker]
    job = {"job_name": "parbake", "scrape_interval": "1s", "static_configs": [{"targets": targets}]}
    job["authorization"] = {"credentials": KEY}  # servers that have a token show their metrics to nobody else
    settings = {"rule_files": [str(tmp_path / "rules.yml")], "scrape_configs": [job]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))
    words = ["--config.file=prometheus.yml", "--storage.tsdb.path=series", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen([found, *words], cwd=tmp_path, stderr=log) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: answered(f"{address}/-/ready"))
            yield address
        finally:
            process.kill()


@pytest.mark.slow
def test_every_query_of_the_assistant_finds_data(server: Server, prometheus: str, tmp_path: Path) -> None:
    """While shoppers ask, guests look around and a policy changes, each query has a number; but for tokens."""
    panels, rules = queries_in(tmp_path)
    wanted = {name: query for name, query in {**panels, **rules}.items() if OF_MODELS not in query}
    assert len(wanted) > 150
    days = iter(range(1, 1000))

    def shop() -> None:
        for question in ASKED:
            server.chat(question, user="u00003")
        server.serve("shopper_profile", "u00003")
        assert answered(f"{server.url}/shop/products")  # of a guest, whom an overload would let wait
        server.put("/shop/policies/returns", {"facts": {"window_days": 20 + next(days) % 20}})

    find_data(prometheus, wanted, shop)
