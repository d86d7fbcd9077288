"""A few rounds of the fault benchmark: servers, workers, Valkey and connections that end while clients go on."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "faults.py"
pytestmark = pytest.mark.skipif(
    not (shutil.which("valkey-server") or shutil.which("redis-server")),
    reason="neither valkey-server nor redis-server is installed (Debian: apt-get install valkey-server)",
)


def play(folder, *words):
    """Run the benchmark and return its figures and what it printed; its files go to a folder of the test's."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, str(BENCHMARK), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["figures"], done.stdout + done.stderr


@pytest.fixture
def folder():
    """Return a folder with a short path that is removed after the test."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # no waiting for a slow disk
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


def test_no_fault_breaks_the_promise(folder):
    """In a dozen rounds of kills, pauses, cuts and losses no read shows less than was acknowledged before it began."""
    figures, printed = play(folder, "--rounds", "12", "--seed", "20", "--seconds", "250")
    assert figures["violations"] == 0, printed
    assert figures["rounds"] >= 4, printed
    assert figures["reads"] > 100, printed
    assert list(folder.iterdir()) == []


def test_a_fence_that_is_off_is_found(folder):
    """With a task that hears of no change the same rounds find violations, name the seed and keep the history."""
    figures, printed = play(folder, "--rounds", "2", "--seed", "7", "--plant")
    assert figures["violations"] > 0, printed
    assert "seed 7" in printed
    assert list(folder.glob("parbake-faults-*/*-0.jsonl"))
