"""A few rounds of the fault benchmark: servers, workers, the store's server and connections fail under load."""

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
needs_valkey = pytest.mark.skipif(
    not (shutil.which("valkey-server") or shutil.which("redis-server")),
    reason="neither valkey-server nor redis-server is installed (Debian: apt-get install valkey-server)",
)


def play(folder, *words):
    """Run the benchmark with its files in a test's folder; return its figures and output."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, str(BENCHMARK), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * HANGS_S, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["figures"], done.stdout + done.stderr


@pytest.fixture
def folder():
    """Return a folder with a short path, which is removed after the test."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # avoids a slow disk
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@needs_valkey
@pytest.mark.parametrize("rounds", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_no_fault_breaks_the_promise(folder, rounds):
    """With kills, pauses, cuts and losses no read is older than what was acknowledged before it began."""
    figures, printed = play(folder, "--rounds", str(rounds), "--seed", "20")
    assert figures["violations"] == 0, printed
    assert figures["rounds"] == rounds, printed
    assert figures["reads"] > 0, printed
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("rounds", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_no_fault_of_postgresql_breaks_the_promise(folder, rounds):
    """No crash of the store's server loses anything, and an older copy of its data is noticed before it is read."""
    figures, printed = play(folder, "--stores", "postgresql", "--rounds", str(rounds), "--seed", "22")
    assert figures["violations"] == 0, printed
    assert figures["rounds"] == rounds, printed
    assert figures["reads"] > 0, printed
    assert list(folder.iterdir()) == []


@needs_valkey
def test_a_fence_that_is_off_is_found(folder):
    """With a planted task without invalidation the benchmark finds violations and keeps the history."""
    figures, printed = play(folder, "--rounds", "2", "--seed", "7", "--plant")
    assert figures["violations"] > 0, printed
    assert "seed 7" in printed
    assert list(folder.glob("parbake-faults-*/*-0.jsonl"))
