"""``make bench NAME=prompt_plan``: a small run on made traces."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "prompt_plan.py"


@pytest.mark.slow
def test_a_quick_run_holds_the_goals_that_need_no_data():
    """On made traces the plan meets its goals; the goals of absent traces are not met, and say so."""
    done = subprocess.run([sys.executable, str(BENCHMARK), "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SKIPPED: Mooncake's and Azure's traces" in done.stdout
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["name"] == "prompt_plan"
    absent = [goal for goal in found["goals"] if "its trace is absent" in goal["what"]]
    assert [goal["met"] for goal in absent] == [False, False]
    rest = [goal for goal in found["goals"] if goal not in absent]
    assert len(rest) == 5
    assert all(goal["met"] for goal in rest), rest
