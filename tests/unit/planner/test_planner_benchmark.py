"""``make bench NAME=planner``: a small run, and a run on a trace from a file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "planner.py"


def bench(*arguments):
    """Run the benchmark; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_its_watches_hold_their_goals():
    """A quick run of the watches has no false flip and meets every goal."""
    found = bench("--quick", "--only", "watches")
    assert found["name"] == "planner"
    assert found["figures"]["triggers: false flips"] == 0
    assert found["figures"]["triggers: hourly check, median flips"] > 100
    assert all(goal["met"] for goal in found["goals"]), found["goals"]


def test_a_trace_is_planned_on_its_past_and_paid_for_later(tmp_path):
    """Planned on the past, each price ratio later costs at most 1 % more than the best simple rule."""
    rng = np.random.default_rng(0)
    rate = np.arange(1, 1_001.0) ** -1.0
    users = rng.choice(1_000, 9_000, p=rate / rate.sum())
    times = np.sort(1_760_054_400 + rng.random(9_000) * 150 * 86_400)
    log = tmp_path / "trace.csv"
    log.write_text("key,timestamp\n" + "".join(f"user{u},{t:.0f}\n" for u, t in zip(users, times, strict=True)))
    figures = bench("--log", log, "--sla", "7d")["figures"]
    assert len(figures) == 8
    assert max(figures.values()) <= 1.01
    assert figures["trace 5x: cost / best simple rule"] < 0.8
