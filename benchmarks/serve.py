"""``POST /v1/serve`` by the server's own CPU, beside uvicorn with nothing behind it.

A client asks for 100 stored keys over four connections; the figure is requests per second of the server's CPU. Rounds
of both alternate, each in a process of its own, so that a machine that slows down slows both; the ratio is the median
over rounds. ``uvicorn alone`` answers as many bytes and looks at nothing: what the HTTP server itself takes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from _http_load import closed_loop
from _report import Goal, report
from _shop import cpu_s
from rich.progress import track

SIDE = Path(__file__).parent / "_serve_side.py"
PATH = "/v1/serve/titles"
KEYS, GOAL = 100, 11_000
WARM_S, ROUND_S = 1.0, 3.0


def round_of(kind: str) -> float:
    """Requests per CPU-second of one side, in a process of its own."""
    command = [sys.executable, SIDE, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
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
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (7)")
    options = parser.parse_args()
    sides = {"now": "parbake", "uvicorn alone": "bare"}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in track(range(options.rounds), "Rounds"):
        for name, kind in sides.items():
            found[name].append(round_of(kind))
    ratio = statistics.median(now / bare for now, bare in zip(*found.values(), strict=True))
    now, bare = map(statistics.median, found.values())
    report(
        "serve",
        ("side", "requests per CPU-second", "now / side"),
        [("now", now, 1.0), ("uvicorn alone", bare, ratio)],
        figures={"now": now, "uvicorn_alone": bare, "now_to_uvicorn_alone": ratio},
        goals=[Goal("requests per server-CPU-second", now, "1/s", f">= {GOAL}", now >= GOAL)],
    )


if __name__ == "__main__":
    main()
