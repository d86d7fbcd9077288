"""Runs a peer of a benchmark in an environment of its own, so that no peer's packages meet parbake's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = ".venv-bench"


@cache
def interpreter() -> Path:
    """The peers' interpreter; makes the environment when it is absent or not what the lock file says."""
    made = [ROOT / "scripts/venv.sh", sys.executable, FOLDER, "bench"]
    # Progress is for people: stdout belongs to the result.
    if subprocess.run(made, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
        raise SystemExit(f"{FOLDER} could not be made: the packages of requirements/bench.txt are needed")
    return ROOT / FOLDER / "bin/python"


def run(script: str, *arguments: str, timeout_s: float = 120.0) -> dict[str, Any]:
    """Run ``benchmarks/peers/<script>`` and return the JSON object on its last line of stdout."""
    env = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"}
    command = [interpreter(), HERE / "peers" / script, *arguments]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"peers/{script} took longer than {timeout_s:.0f} s") from error
    if done.returncode:
        raise SystemExit(f"peers/{script} failed:\n{done.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
