"""Pairs of questions that lie near but need different answers: what a cache serves, with and without vetoes.

The pairs are those of the package fow-cache (CC BY 4.0), which is installed into the benchmarks' environment: 300 pairs
with the same answer and 300 traps. A pair is served when the cosine of its questions is high enough and no veto holds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import _peers
import numpy as np
from _faq.data import embedded
from _report import Goal, report

import parbake_semantic
from parbake_semantic.embedders.minilm import MiniLm

THRESHOLDS = (0.8, 0.85, 0.9)
JUDGED = 0.9
JUDGES = ("numbers_differ", "polarity_differs")
Rule = Callable[[str, str], bool]
PAIRS = {veto.code: veto.pair for veto in parbake_semantic.VETOES}
RULES: dict[str, Rule] = {
    "cosine alone": lambda _a, _b: False,
    "numbers and polarity": lambda a, b: any(rule(a, b) for code, rule in PAIRS.items() if rule and code in JUDGES),
    "all vetoes": lambda a, b: parbake_semantic.veto(b, a) is not None,
}


def pairs() -> list[tuple[str, str, bool, str]]:
    """Stored question, new question, whether one answer serves both, and the kind of pair."""
    rows = [json.loads(line) for line in _peers.run("traps.py")["lines"]]
    return [(row["a"], row["b"], row["same_answer"], row["category"]) for row in rows]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--int8", action="store_true", help="embed in int8, as ENCODER=int8 does")
    chosen = parser.parse_args()
    found = pairs()
    embedder = MiniLm(int8=chosen.int8)
    cosines = np.sum(embedded([a for a, *_ in found], embedder) * embedded([b for _, b, *_ in found], embedder), axis=1)
    same = np.array([s for _, _, s, _ in found])
    rows, figures = [], {}
    for name, rule in RULES.items():
        vetoed = np.array([rule(a.lower(), b.lower()) for a, b, *_ in found])
        for threshold in THRESHOLDS:
            served = (cosines >= threshold) & ~vetoed
            hits, wrong = 100.0 * float(served[same].mean()), 100.0 * float(served[~same].mean())
            rows.append([name, threshold, hits, wrong])
            figures |= {f"{name} at {threshold}: hits": hits, f"{name} at {threshold}: wrong": wrong}
    hits, wrong = (figures[f"numbers and polarity at {JUDGED}: {what}"] for what in ("hits", "wrong"))
    goals = [
        Goal("traps that get a wrong answer", wrong, "%", "<= 12", wrong <= 12),
        Goal("same answer, served", hits, "%", ">= 47", hits >= 47),
    ]
    report("traps", ("rule", "cosine", "served of same %", "wrong of traps %"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
