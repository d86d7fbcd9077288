"""``POST /v1/serve`` by the server's own CPU, beside Feast's server, a FastAPI route, and uvicorn alone.

A client asks for 100 stored keys over four connections; the figure is requests per second of the server's CPU. Rounds
of all sides alternate, each in a process of its own, so that a machine that slows down slows them all; a ratio is the
median over rounds. Feast's feature server reads the same lists from its sqlite store, in an environment of its own. The
FastAPI route reads them from LMDB, without contract or check. ``uvicorn alone`` answers as many bytes and looks at
nothing: what the HTTP server itself takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import _peers
from _http_load import closed_loop
from _report import Goal, report
from _server import cpu_s
from rich.progress import track

HERE = Path(__file__).parent
KEYS, GOAL = 100, 11_000
WARM_S, ROUND_S = 1.0, 3.0
LEAST = {"Feast's server": 6.0, "FastAPI": 2.0}
"""How many times as many requests per CPU-second parbake has to answer."""
Asking = tuple[str, Callable[[str], Mapping[str, object]]]
OURS: Asking = ("/v1/serve/titles", lambda key: {"key": key})
FEASTS: Asking = ("/get-online-features", lambda key: {"features": ["shelves:titles"], "entities": {"shelf": [key]}})


def side(kind: str) -> list[str]:
    """The command of a side that runs in this environment."""
    return [sys.executable, str(HERE / "_serve_side.py"), kind]


def sides() -> dict[str, tuple[list[str], Asking]]:
    """Each side: the command that serves it, and what it is asked for."""
    feast = [str(_peers.interpreter()), str(HERE / "peers/serve_feast.py"), str(KEYS)]
    return {
        "now": (side("parbake"), OURS),
        "Feast's server": (feast, FEASTS),
        "FastAPI": (side("fastapi"), OURS),
        "uvicorn alone": (side("bare"), OURS),
    }


def round_of(command: list[str], asking: Asking) -> float:
    """Requests per CPU-second of one side, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    env["PYTHONWARNINGS"] = "ignore"
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return asyncio.run(measure(port, server.pid, asking))
        finally:
            server.terminate()


async def measure(port: int, pid: int, asking: Asking) -> float:
    """Requests per CPU-second, after every key was asked for once and more."""
    path, body = asking

    def of(number: int) -> Mapping[str, object]:
        return body(f"s{number % KEYS}")

    await closed_loop(port, path, of, WARM_S)
    before = cpu_s(pid)
    done = await closed_loop(port, path, of, ROUND_S) * ROUND_S
    return done / (cpu_s(pid) - before)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (7)")
    options = parser.parse_args()
    compared = sides()
    found: dict[str, list[float]] = {name: [] for name in compared}
    for _ in track(range(options.rounds), "Rounds"):
        for name, (command, asking) in compared.items():
            found[name].append(round_of(command, asking))
    rates = {name: statistics.median(one) for name, one in found.items()}
    times = {
        name: statistics.median(now / other for now, other in zip(found["now"], one, strict=True))
        for name, one in found.items()
    }
    now = rates["now"]
    report(
        "serve",
        ("side", "requests per CPU-second", "now / side"),
        [(name, rates[name], times[name]) for name in compared],
        figures={"rates": rates, "now_to": times},
        goals=[
            Goal("requests per server-CPU-second", now, "1/s", f">= {GOAL}", now >= GOAL),
            *(
                Goal(f"of the requests of {name}", times[name], "x", f">= {least:g}", times[name] >= least)
                for name, least in LEAST.items()
            ),
        ],
    )


if __name__ == "__main__":
    main()
