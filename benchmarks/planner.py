"""What planning saves, and whether it can be trusted: the design's example, CDNOW, any trace, refresh, triggers.

The example's economics run at one hundredth of its size: the dollars are scaled up again, the shares need no scale.
CDNOW's purchases come with the PyPI package ``lifetimes``, which lives in the peers' environment.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _planner import economics, traces, watches
from _planner.scale import scaled
from _report import Goal, report

from parbake.values.duration import seconds
from parbake_planner.forecast.log_file import read
from parbake_planner.forecast.request_log import DAY


def main() -> None:
    """Measure what was asked for and report it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, no CDNOW, and a small log for the scale")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", choices=("economics", "cdnow", "watches", "scale"), help="one part")
    parser.add_argument("--log", type=Path, help="a trace of yours, key,timestamp: only that is measured")
    parser.add_argument("--sla", default="7d", help="its freshness window")
    chosen = parser.parse_args()
    seeds = 1 if chosen.quick else chosen.seeds
    figures: dict[str, float] = {}
    goals: list[Goal] = []
    if chosen.log:
        log = read(chosen.log, now=time.time())
        parts = [lambda: traces.measure(chosen.log.stem, log, seconds(chosen.sla, field="sla"), is_cdnow=False)]
    else:
        every = {
            "economics": lambda: economics.measure(seeds),
            "cdnow": lambda: traces.measure("CDNOW", traces.cdnow(), 7 * DAY, is_cdnow=True),
            "watches": lambda: _watches(seeds),
            "scale": lambda: scaled(50_000 if chosen.quick else 5_000_000),
        }
        parts = [run for name, run in every.items() if name == chosen.only or not chosen.only]
        if chosen.quick and not chosen.only:
            del parts[1]
    for part in parts:
        more, stated = part()
        figures |= more
        goals += stated
        print()
    report("planner", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


def _watches(seeds: int) -> tuple[dict[str, float], list[Goal]]:
    figures: dict[str, float] = {}
    goals: list[Goal] = []
    for part in (watches.refreshing, watches.triggers, watches.off_peak):
        more, stated = part(seeds)
        figures |= more
        goals += stated
    return figures, goals


if __name__ == "__main__":
    main()
