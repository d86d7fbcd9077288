"""How benchmarks speak: a table for people, then one JSON object on the last line of stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Goal:
    """One stated goal with the figure that was measured."""

    what: str
    value: float
    unit: str
    goal: str
    met: bool


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, ``share`` in 0..100."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def report(
    name: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    figures: Mapping[str, float],
    goals: Sequence[Goal],
) -> None:
    """Print the table and the goals, then the JSON line."""
    show(columns, rows)
    for goal in goals:
        sys.stdout.write(
            f"{'met ' if goal.met else 'NOT met'}: {goal.what} {goal.value:.3g} {goal.unit} (goal {goal.goal})\n"
        )
    sys.stdout.write(json.dumps({"name": name, "figures": dict(figures), "goals": [asdict(g) for g in goals]}) + "\n")


def show(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    cells = [list(columns), *([_cell(c) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        sys.stdout.write("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n")


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
