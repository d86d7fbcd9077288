"""Half a minute of the soak: faults strike servers under an even load, and what was seen is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import launch
from tests.waiting import HANGS_S

ROOT = Path(__file__).parents[2]
SHORT = ("--minutes", "0.5", "--every", "10")


def soaked(folder, *words):
    """Run the benchmark with its files in a test's folder; return its figures with its goals, and what it printed."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "tools")}
    command = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), *SHORT, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return told["figures"] | {goal["what"]: goal["value"] for goal in told["goals"]}, done.stdout + done.stderr


@pytest.mark.parametrize("store", ["lmdb", pytest.param("valkey", marks=pytest.mark.slow)])
def test_faults_neither_lose_nor_double_anything(tmp_path, store):
    """Under faults no answer is outdated, and no acknowledged write is lost or done twice."""
    if store == "valkey":
        launch._valkey_binary()
    figures, printed = soaked(tmp_path, "--store", store)
    assert figures["faults"] == 2, printed
    assert figures["answered_percent"] > 50, printed
    assert figures["outdated answers"] == 0, printed
    assert figures["acknowledged writes lost"] == 0, printed
    assert figures["doubled"] == 0, printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_judge_of_the_soak_finds_outdated_answers(tmp_path):
    """With a planted task without invalidation outdated answers and lost changes are found."""
    figures, printed = soaked(tmp_path, "--plant")
    assert figures["outdated answers"] > 0, printed
    assert figures["acknowledged writes lost"] > 0, printed
