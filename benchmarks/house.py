"""The house: code lines of each package, rooms and floors of the core, and what importing it costs.

Lines of code are counted without blank lines, comments and docstrings. A room is a folder or a loose module of the
core, a floor the longest way down from a room by imports. Importing is timed beside ``import httpx``, in the same run.
The front door is lazy, so the import is timed with the app and the registry, too.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from _report import Goal, report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.import_graph import circles, modules, room_graph  # noqa: E402  # found by the line above
from tests.unit.test_budgets import code_lines  # noqa: E402  # (the same)

FIVE = ("parbake", "parbake_lab", "parbake_llm", "parbake_planner", "parbake_semantic")
DOORS = ("parbake.__main__", "parbake")
ROUNDS = 15
WITH_APP = "import parbake; parbake.App, parbake.Registry"
ADDED = "import sys; before = set(sys.modules); import parbake; print(len(set(sys.modules) - before))"


def lines(folder: str) -> int:
    """Count the lines of code below a folder."""
    return sum(code_lines(path) for path in (ROOT / folder).rglob("*.py"))


def floors(rooms: dict[str, set[str]]) -> int:
    """Return the number of rooms on the longest way down by imports."""
    known: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in known:
            known[room] = 1 + max(map(height, rooms[room]), default=0)
        return known[room]

    return max(map(height, rooms))


def seconds(code: str) -> float:
    """Return how long a new interpreter takes to run some code."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Count, time and print."""
    sizes = {package: lines(f"src/{package}") for package in FIVE} | {"assistant": lines("assistant/src")}
    graph = room_graph(modules(ROOT / "src", "parbake"), folded=True)
    inner = {room: targets - set(DOORS) for room, targets in graph.items() if room not in DOORS}
    added = int(subprocess.run([sys.executable, "-c", ADDED], check=True, capture_output=True, text=True).stdout)
    timed: dict[str, list[float]] = {code: [] for code in ("pass", "import parbake", WITH_APP, "import httpx")}
    for _ in range(ROUNDS):
        for code, took in timed.items():
            took.append(seconds(code))
    median = {code: statistics.median(took) for code, took in timed.items()}
    ratio = (median["import parbake"] - median["pass"]) / (median["import httpx"] - median["pass"])
    five = sum(sizes[package] for package in FIVE)
    counted = {
        "lines of the core": (sizes["parbake"], "lines", 16_000),
        "lines of all five packages": (five, "lines", 29_000),
        "lines of the assistant": (sizes["assistant"], "lines", 15_000),
        "rooms of the core, besides its doors": (len(inner), "rooms", 14),
        "floors of the core": (floors(inner), "floors", 9),
        "circles": (len(circles(inner)), "circles", 0),
        "modules that an import adds": (added, "modules", 90),
        "import beside httpx": (ratio, "x", 1),
    }
    report(
        "house",
        ("what", "figure"),
        [
            *((f"lines of {package}", size) for package, size in sizes.items()),
            *((f"{code}, ms (median)", took * 1000) for code, took in median.items()),
        ],
        figures={what: value for what, (value, _, _) in counted.items()},
        goals=[Goal(what, value, unit, f"<= {most}", value <= most) for what, (value, unit, most) in counted.items()],
    )


if __name__ == "__main__":
    main()
