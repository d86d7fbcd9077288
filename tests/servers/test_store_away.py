"""A real Valkey that is stopped, killed and out of reach: requests are answered, and none with an old value."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "away.py"


@pytest.mark.slow
def test_requests_are_answered_while_the_store_is_away():
    """Nearly all reads are right, none waits for more than two seconds, and none is older than an acknowledgement."""
    done = subprocess.run([sys.executable, BENCHMARK, "--seconds", "5"], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    assert [goal["what"] for goal in measured["goals"] if not goal["met"]] == [], done.stdout + done.stderr
    assert len(measured["goals"]) == 14
