"""This code against an earlier revision of it, in one run: a read, an event, a publication, and a computed read.

Rounds of both alternate in processes of their own, so that a machine that slows down slows both down. The figures are
medians over rounds of the medians of each; a goal is the median of the ratios of rounds that were next to each other.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from _report import Goal, report
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
WORDS = {
    "read": "read, 50 strings with 2 tags",
    "invalidate": "touch until durable",
    "publish": "publish until durable",
    "compute": "read that computes and stores",
}
MOST = 1.05
JUDGED = ("read", "invalidate", "publish")


def source_of(revision: str, folder: str) -> Path:
    """The package as a revision has it."""
    packed = subprocess.run(["git", "archive", revision, "src"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return Path(folder, "src")


def round_of(source: Path) -> dict[str, float]:
    """One round in a process that imports the package from a folder."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "_against_round.py")],
        env={**os.environ, "PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default="HEAD~1", help="the revision to compare with, such as HEAD~1")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each side")
    options = parser.parse_args()
    before: list[dict[str, float]] = []
    after: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        sides = [(before, source_of(options.revision, folder)), (after, ROOT / "src")]
        for n in track(range(options.rounds), description="rounds"):
            for kept, source in sides if n % 2 else reversed(sides):
                kept.append(round_of(source))
    rows = []
    for name, words in WORDS.items():
        old, new = (statistics.median(found[name] for found in side) for side in (before, after))
        ratio = statistics.median(two[name] / one[name] for one, two in zip(before, after, strict=True))
        rows.append((words, old, new, ratio))
    ratios = dict(zip(WORDS, (row[3] for row in rows), strict=True))
    goals = [
        Goal(f"{WORDS[name]}, against {options.revision}", ratios[name], "x", f"<= {MOST}", met=ratios[name] <= MOST)
        for name in JUDGED
    ]
    figures = {
        f"{name}_{side}_us": row[1 + at]
        for name, row in zip(WORDS, rows, strict=True)
        for at, side in enumerate(("before", "after"))
    }
    report("against", ("p50, us", options.revision, "now", "ratio"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
