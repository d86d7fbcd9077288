"""This tree against an earlier commit, or two, in one run: the engine, its HTTP server, and the assistant.

Each side is a tree with its own lock, assistant and round script (``_against/round.py``); this driver knows no name of
theirs. In a round each side has fresh processes, which are measured one right after another. A figure is the median
over rounds and blocks; a goal is the median of the ratios of neighbours. What waits for the disk, or passes from thread
to thread, is judged by the CPU time of its process, because its wall time on a shared machine depends on the others:
beside it stands its wall time, with a goal that only one more wait misses. The assistant's processes embed each text
once and remember it, because the encoder would drown the rest. The first run makes an environment, kept in
``.against``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _against.rounds import Found, Part, nothing_found, play
from _against.sides import CACHE, Side, commit_of, earlier, present
from _report import Goal, report
from rich.progress import Progress

BASE = "e1486a05"
"""The commit with which all later work is compared."""
MOST, MOST_WALL = 1.05, 1.25
"""What waits for the disk or for a core takes as long as others let it; one more wait costs more than a quarter."""
LEAST = 2
"""Rounds of each part, however long they take."""
PARTS = {
    "core": (Part("core", ("read", "touch", "publish", "compute"), blocks=100, warm=5, times=3, weight=2),),
    "http": (Part("http", ("serve",), blocks=40, warm=2, times=2, weight=2),),
    "assistant": (
        Part("inside", ("faq_hit", "recommendation"), blocks=80, warm=2),
        Part("demo", ("chat_turn",), blocks=200, warm=40, last=("memory",)),
    ),
}


@dataclass(frozen=True)
class Figure:
    """What a figure is called, and the most that it may grow to."""

    words: str
    most: float | None = MOST
    unit: str = "us"


FIGURES = {
    "read_wall": Figure("read, 50 strings with 2 tags"),
    "touch_cpu": Figure("touch until durable, CPU"),
    "touch_wall": Figure("touch until durable", MOST_WALL),
    "publish_cpu": Figure("publish until durable, CPU"),
    "publish_wall": Figure("publish until durable", MOST_WALL),
    "compute_wall": Figure("read that computes and stores", None),
    "serve_cpu": Figure("serve over HTTP, CPU"),
    "faq_hit_cpu": Figure("FAQ hit in process, CPU"),
    "recommendation_cpu": Figure("recommendation in process, CPU"),
    "chat_turn_cpu": Figure("chat turn over HTTP, CPU"),
    "chat_turn_wall": Figure("chat turn over HTTP", MOST_WALL),
    "memory_mib": Figure("resident, demo and worker", unit="MiB"),
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--begun", default=BASE, metavar="REV", help=f"a second commit, beside {BASE}")
    parser.add_argument("--rounds", type=int, help="rounds of the slowest parts (4; 3 beside a second commit)")
    parser.add_argument(
        "--minutes", type=float, default=8, help="after which no round begins, but two of each part (8)"
    )
    parser.add_argument("--only", choices=PARTS, help="a part of the figures")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    parts = [part for name, some in PARTS.items() if options.only in (None, name) for part in some]
    commits = dict.fromkeys(map(commit_of, (BASE, options.begun)))
    with tempfile.TemporaryDirectory() as homes:
        sides = [present(Path(homes)), *(earlier(commit, Path(homes)) for commit in commits)]
        rounds = options.rounds or 9 // len(sides)
        show(measure(parts, sides, rounds, ends), [side.name for side in sides[1:]])


def measure(parts: Sequence[Part], sides: Sequence[Side], rounds: int, ends: float) -> Found:
    """All rounds of all parts, or as many as fit into a part's share of the time; at least two."""
    found = nothing_found()
    with Progress() as bars:
        if any(part.kind in ("inside", "demo") for part in parts):
            prepare(sides, bars)
        for at, part in enumerate(parts):
            share = part.weight / sum(later.weight for later in parts[at:])
            until, most = time.monotonic() + share * (ends - time.monotonic()), rounds * part.times
            for turn in bars.track(range(most), description=part.kind):
                if turn >= LEAST and time.monotonic() > until:
                    bars.console.print(f"{part.kind}: {turn} of {most} rounds in its share of the time")
                    break
                play(part, sides, found, turn=turn)
    return found


def prepare(sides: Sequence[Side], bars: Progress) -> None:
    """Make the shop of every side, all at the same time."""
    bar = bars.add_task("shops", total=len(sides))
    started = [side.started("prepare") for side in sides]
    for process, side in zip(started, sides, strict=True):
        process.communicate()
        if process.returncode:
            raise SystemExit(f"the shop of {side.name} could not be made; its log is below {CACHE}")
        bars.advance(bar)


def show(found: Found, names: Sequence[str]) -> None:
    """Report the figures of the present side beside those of earlier ones."""
    shown = [name for name in FIGURES if name in found["now"]]
    middle = {side: {name: statistics.median(of[name]) for name in shown} for side, of in found.items()}
    ratios = {side: {name: ratio(found["now"][name], found[side][name]) for name in shown} for side in names}
    goals = [
        Goal(f"{FIGURES[name].words}, against {side}", grown, "x", f"<= {most}", met=grown <= most)
        for side in names
        for name, grown in ratios[side].items()
        if (most := FIGURES[name].most) is not None
    ]
    figures = {f"{name}_{side}": middle[side][name] for name in shown for side in found}
    figures |= {f"{name}_to_{side}": grown for side in names for name, grown in ratios[side].items()}
    rows = [
        (
            *(FIGURES[name].words, FIGURES[name].unit, middle["now"][name]),
            *(cell for side in names for cell in (middle[side][name], ratios[side][name])),
        )
        for name in shown
    ]
    columns = ("p50", "unit", "now", *(word for side in names for word in (side, "ratio")))
    report("against", columns, rows, figures=figures, goals=goals)


def ratio(now: Sequence[float], before: Sequence[float]) -> float:
    """The median ratio of neighbours."""
    return statistics.median(new / old for new, old in zip(now, before, strict=True))


if __name__ == "__main__":
    main()
