"""``parbake plan`` on a log of the example's full size: how long it takes, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import Goal, show

from parbake_planner.forecast.request_log import DAY

from .world import MONDAY, PAUSE_S, SESSION

DAYS, BLOCK = 28, 200_000
REQUESTS_A_DAY_AND_USER = 0.08
SECONDS, GIGABYTES = 300, 8
FULL = 5_000_000
BACK = 365 * DAY
"""The log lies in the past, as a log does."""


def scaled(users: int) -> tuple[dict[str, float], list[Goal]]:
    """Write a log, plan from it in a process of its own, and measure that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        rows = _write(path, users, np.random.default_rng(0))
        command = [Path(sys.executable).with_name("parbake"), "plan", path, "--keys", str(users), "--sla", "6h"]
        before = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - before
    if process.returncode:
        raise SystemExit(f"parbake plan ended with {process.returncode}")
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
    print(f"parbake plan: {users:,} keys, {DAYS} days, {rows:,} rows, windows of 6 h")
    show(("seconds", "CPU seconds", "memory, GB"), [(took, cpu, peak)])
    figures = {"scale: keys": float(users), "scale: seconds": took, "scale: CPU seconds": cpu, "scale: GB": peak}
    if users < FULL:
        return figures, []
    return figures, [
        Goal("scale: planning 5M keys x 28 days", took, "s", f"<= {SECONDS}", took <= SECONDS),
        Goal("scale: its memory", peak, "GB", f"<= {GIGABYTES}", peak <= GIGABYTES),
    ]


def _write(path: Path, users: int, rng: np.random.Generator) -> int:
    weight = np.cumsum(np.arange(1, users + 1.0) ** -1.0)
    sessions = int(REQUESTS_A_DAY_AND_USER * users * DAYS / SESSION)
    who = rng.permutation(users)[np.searchsorted(weight, rng.random(sessions) * weight[-1]).clip(0, users - 1)]
    start = MONDAY - BACK + rng.integers(0, DAYS, sessions) * DAY + rng.normal(18, 5, sessions) % 24 * 3600
    length = rng.geometric(1 / SESSION, sessions)
    key = np.repeat(who, length)
    moment = np.repeat(start, length) + rng.random(len(key)) * 2 * PAUSE_S
    order = np.argsort(moment)
    with path.open("w", encoding="utf-8") as file:
        file.write("key,timestamp\n")
        for begin in range(0, len(order), BLOCK):
            rows = order[begin : begin + BLOCK]
            pairs = zip(key[rows].tolist(), moment[rows].tolist(), strict=True)
            file.write("".join(f"u{user},{at:.2f}\n" for user, at in pairs))
    return len(order)
