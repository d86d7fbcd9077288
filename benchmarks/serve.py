"""``POST /v1/serve`` by the server's own CPU, beside an earlier revision and beside uvicorn with nothing behind it.

A client asks for 100 stored keys over four connections; the figure is requests per second of the server's CPU. Rounds
of all sides alternate, each in a process of its own, so that a machine that slows down slows all of them; a ratio is
the median over rounds. ``uvicorn alone`` answers as many bytes and looks at nothing: what the HTTP server itself takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _http_load import closed_loop
from _report import Goal, report
from _shop import cpu_s
from against import ROOT, source_of
from rich.progress import track

PATH = "/v1/serve/titles"
KEYS, GOAL = 100, 11_000
WARM_S, ROUND_S = 1.0, 3.0


def round_of(kind: str, source: Path) -> float:
    """Requests per CPU-second of one side, in a process that imports the package from a folder."""
    command = [sys.executable, ROOT / "benchmarks/_serve_side.py", kind]
    env = {**os.environ, "PYTHONPATH": str(source), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return asyncio.run(measure(port, server.pid))
        finally:
            server.terminate()


async def measure(port: int, pid: int) -> float:
    """Requests per CPU-second, after every key was asked for once and more."""

    def body(number: int) -> Mapping[str, str]:
        return {"key": f"s{number % KEYS}"}

    await closed_loop(port, PATH, body, WARM_S)
    before = cpu_s(pid)
    done = await closed_loop(port, PATH, body, ROUND_S) * ROUND_S
    return done / (cpu_s(pid) - before)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default="HEAD~1", help="the revision to compare with (HEAD~1)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (7)")
    options = parser.parse_args()
    found: dict[str, list[float]] = {"now": [], options.revision: [], "uvicorn alone": []}
    with tempfile.TemporaryDirectory() as folder:
        before = source_of(options.revision, folder)
        for _ in track(range(options.rounds), "Rounds"):
            found["now"].append(round_of("parbake", ROOT / "src"))
            found[options.revision].append(round_of("parbake", before))
            found["uvicorn alone"].append(round_of("bare", ROOT / "src"))
    ratios = {
        name: statistics.median(now / other for now, other in zip(found["now"], values, strict=True))
        for name, values in found.items()
    }
    middle = {name: statistics.median(values) for name, values in found.items()}
    report(
        "serve",
        ("side", "requests per CPU-second", "now / side"),
        [(name, middle[name], ratios[name]) for name in found],
        figures={
            "now": middle["now"],
            "before": middle[options.revision],
            "uvicorn_alone": middle["uvicorn alone"],
            "now_to_before": ratios[options.revision],
            "now_to_uvicorn_alone": ratios["uvicorn alone"],
        },
        goals=[Goal("requests per server-CPU-second", middle["now"], "1/s", f">= {GOAL}", middle["now"] >= GOAL)],
    )


if __name__ == "__main__":
    main()
