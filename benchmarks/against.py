"""This tree against two earlier commits, in one run: the engine, its HTTP server, and the assistant.

Each side is a tree with its own lock, assistant and round script (``_against/round.py``); this driver knows no name of
theirs. In a round each side has fresh processes, which are measured one right after another. A figure is the median
over rounds and blocks; a goal is the median of the ratios of neighbours. What passes from thread to thread is measured
by the CPU time of its process, because its wall time on a shared machine is also that of waiting for a core; beside a
chat turn's CPU time stands its wall time, without a goal. The assistant's processes embed each text once and remember
it, because the encoder would drown the rest. The first run makes an environment, kept in ``.against``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _against.rounds import Found, Part, nothing_found, play
from _against.sides import CACHE, Side, commit_of, earlier, present
from _report import Goal, report
from rich.progress import Progress

BASE = "1fadcc1"
BEGUN = "1fadcc1"
"""The last commit before the present work; move it when a piece of work is done and another begins."""
MOST = 1.05
PARTS = {
    "core": (Part("core", ("read", "touch", "publish", "compute"), blocks=250, warm=10),),
    "http": (Part("http", ("serve",), blocks=80, warm=2),),
    "assistant": (
        Part("inside", ("faq_hit", "recommendation"), blocks=80, warm=2),
        Part("demo", ("chat_turn",), blocks=200, warm=40, last=("memory",)),
    ),
}


@dataclass(frozen=True)
class Figure:
    """What a figure is called, and whether it has a goal."""

    words: str
    unit: str = "us"
    is_judged: bool = True


FIGURES = {
    "read": Figure("read, 50 strings with 2 tags"),
    "touch": Figure("touch until durable"),
    "publish": Figure("publish until durable"),
    "compute": Figure("read that computes and stores", is_judged=False),
    "serve": Figure("serve over HTTP, CPU"),
    "faq_hit": Figure("FAQ hit in process, CPU"),
    "recommendation": Figure("recommendation in process, CPU"),
    "chat_turn": Figure("chat turn over HTTP, CPU"),
    "chat_wall": Figure("chat turn over HTTP, until the answer", is_judged=False),
    "memory": Figure("resident, demo and worker", "MiB"),
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--begun", default=BEGUN, metavar="REV", help=f"where the present work began ({BEGUN})")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each part (4)")
    parser.add_argument("--only", choices=PARTS, help="a part of the figures")
    options = parser.parse_args()
    parts = [part for name, some in PARTS.items() if options.only in (None, name) for part in some]
    commits = dict.fromkeys(map(commit_of, (BASE, options.begun)))
    with tempfile.TemporaryDirectory() as homes:
        sides = [present(Path(homes)), *(earlier(commit, Path(homes)) for commit in commits)]
        show(measure(parts, sides, options.rounds), [side.name for side in sides[1:]])


def measure(parts: Sequence[Part], sides: Sequence[Side], rounds: int) -> Found:
    """All rounds of all parts."""
    found = nothing_found()
    with Progress() as bars:
        if any(part.kind in ("inside", "demo") for part in parts):
            prepare(sides, bars)
        for part in parts:
            for turn in bars.track(range(rounds), description=part.kind):
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
    now = found["now"]
    middle = {side: {name: statistics.median(values) for name, values in of.items()} for side, of in found.items()}
    ratios = {
        side: {
            name: statistics.median(new / old for new, old in zip(now[name], found[side][name], strict=True))
            for name in now
        }
        for side in names
    }
    goals = [
        Goal(f"{FIGURES[name].words}, against {side}", ratio, "x", f"<= {MOST}", met=ratio <= MOST)
        for side in names
        for name, ratio in ratios[side].items()
        if FIGURES[name].is_judged
    ]
    figures = {f"{name}_{side}_{FIGURES[name].unit.lower()}": middle[side][name] for name in now for side in found}
    figures |= {f"{name}_to_{side}": ratio for side in names for name, ratio in ratios[side].items()}
    rows = [
        (
            *(FIGURES[name].words, FIGURES[name].unit, middle["now"][name]),
            *(cell for side in names for cell in (middle[side][name], ratios[side][name])),
        )
        for name in now
    ]
    columns = ("p50", "unit", "now", *(word for side in names for word in (side, "ratio")))
    report("against", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
