"""A few rounds of the benchmarks that put copies back, and that disturb stores for which a writer waits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copies", "waits"])
def test_no_answer_is_older_than_an_acknowledgement(name):
    """Every kind of copy and every fault is played, and nothing older is served as fresh."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--rounds", "2", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=6 * HANGS_S, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert figures["older"] == 0, done.stdout
    assert figures["rounds"] >= 10, done.stdout
