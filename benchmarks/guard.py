"""Does the guard stop sentences that say something else than their evidence, and let the others pass?

Two kinds, labelled by people who did not write the rules: ``made`` are sentences written to be right or wrong in one
way, ``real`` are what a small local model said of one policy section. The rules were written with the sets ``building``
in view, and without ``blind`` and ``fresh``; ``fresh`` was written last.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
from _report import Goal, percentile, report

from parbake_semantic.guard import Unsupported, unsupported
from retail_assistant.shop.shop_words import VOCABULARY

SETS = Path(__file__).parent / "_answers"
FAULTS = ("number", "subject", "polarity", "stale", "invented", "other")


class Sentence(msgspec.Struct):
    """A sentence with the texts that it was worded from; ``fault`` says in which way a wrong one is wrong."""

    question: str
    evidence: list[str]
    sentence: str
    label: str
    fault: str = ""


class Judged(msgspec.Struct):
    """A sentence with what the guard found, and how long it took."""

    told: Sentence
    found: Unsupported | None
    us: float


def judge(name: str) -> list[Judged]:
    """Check every sentence of a set, a second time with its evidence known, as in a running server."""
    told = [msgspec.json.decode(line, type=Sentence) for line in (SETS / f"{name}.jsonl").read_bytes().splitlines()]
    for one in told:
        unsupported(one.sentence, one.evidence, one.question, vocabulary=VOCABULARY)
    judged = []
    for one in told:
        started = time.perf_counter()
        found = unsupported(one.sentence, one.evidence, one.question, vocabulary=VOCABULARY)
        judged.append(Judged(one, found, (time.perf_counter() - started) * 1e6))
    return judged


def share(judged: Iterable[Judged]) -> float:
    """The share of sentences that the guard stops, in percent."""
    stopped = [one.found is not None for one in judged]
    return 100 * sum(stopped) / len(stopped) if stopped else 0.0


def main() -> None:
    """Check both sets and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="building", choices=("building", "blind", "fresh"), help="which (building)")
    parser.add_argument("--show", type=int, default=0, help="print so many sentences that are judged differently")
    options = parser.parse_args()
    rows: list[tuple[str, float, int]] = []
    goals: list[Goal] = []
    figures: dict[str, float] = {}
    times: list[float] = []
    for kind, least, most in (("made", 97.0, 3.0), ("real", 90.0, 10.0)):
        judged = judge(f"guard_{kind}_{options.set}")
        times += [one.us for one in judged]
        wrong, right = [j for j in judged if j.told.label == "wrong"], [j for j in judged if j.told.label == "ok"]
        by_fault = defaultdict(list)
        for one in wrong:
            by_fault[one.told.fault].append(one)
        for fault in FAULTS:
            if by_fault[fault]:
                rows.append((f"{kind}, {fault}: stopped", share(by_fault[fault]), len(by_fault[fault])))
                figures[f"{kind}_{fault}"] = share(by_fault[fault])
        rows += [
            (f"{kind}, wrong: stopped", share(wrong), len(wrong)),
            (f"{kind}, right: stopped", share(right), len(right)),
        ]
        figures |= {f"{kind}_recall": share(wrong), f"{kind}_false_alarms": share(right)}
        goals.append(
            Goal(f"{kind}: wrong sentences stopped", share(wrong), "%", f">= {least:g}", share(wrong) >= least)
        )
        goals.append(Goal(f"{kind}: false alarms", share(right), "%", f"<= {most:g}", share(right) <= most))
        _show(wrong, right, options.show)
    figures["p50_us"] = percentile(times, 50)
    goals.append(Goal("time a sentence, p50", figures["p50_us"], "us", "<= 100", figures["p50_us"] <= 100))
    report("guard", ("sentences", "share", "count"), rows, figures=figures, goals=goals)


def _show(wrong: Iterable[Judged], right: Iterable[Judged], most: int) -> None:
    missed = [j for j in wrong if j.found is None][:most]
    alarms = [j for j in right if j.found is not None][:most]
    for one in (*missed, *alarms):
        told = one.told
        print(f"[{told.fault or 'right'}] {told.question} | {told.sentence} | {told.evidence} | {one.found}")


if __name__ == "__main__":
    main()
