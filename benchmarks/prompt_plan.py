"""What planning a prompt cache saves of what could be saved, and that it never costs more than no caching.

Mooncake's and Azure's traces are read from the folder of data sets, which is kept apart from the project. Without it,
the traces made from a seed are measured alone, and the goals that need the folder count as not met.

The plan is also measured at work (`live`): it decides request by request, and a provider that offers no hour answers.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from _prompt_plan.calibration import calibration_error
from _prompt_plan.live import bills
from _prompt_plan.sessions import Habits, sessions
from _report import Goal, report

from parbake_llm.caching.asked import PromptTrace, TraceRow, traced
from parbake_llm.caching.clairvoyant import bound
from parbake_llm.caching.decision import PromptPlan, make_prompt_plan
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.pricing import CachePrices
from parbake_llm.caching.replayed import replay
from parbake_llm.caching.strategy_names import BY_VOLATILITY, CLAIRVOYANT, NONE, PLANNED
from parbake_llm.caching.trace_file import read_trace
from parbake_planner.intervals import Resampler

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PRICES = CachePrices(read=0.1, write=1.25, write_hour=2.0, token_usd=3e-6, warm_up=5.0)
"""Multiples of an input token's price, at $3 and $15 per million tokens of input and output."""
MINUTES = dataclasses.replace(PRICES, write_hour=None)
"""The same prices at a provider without entries for an hour, where only warm-ups hold a prefix for longer."""
QUIET_S = 480.0
"""The mean time between two conversations of a quiet assistant, in seconds."""
GOAL = 0.85
COLUMNS = ("trace", "requests", "none $", "best rule", "of clairvoyant", "planned, of clairvoyant", "whole, of bound",
           "read", "written", "adopted", "planned / rule, upper")  # fmt: skip
Made = dict[str, PromptTrace]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of data sets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="short made traces only")
    chosen = parser.parse_args()
    folder = chosen.data / "prompt_traces"
    has_data = folder.is_dir() and not chosen.quick
    if not has_data:
        print(f"SKIPPED: Mooncake's and Azure's traces, which are read from {folder.name}/ in the folder of data sets")
    repeating, others = _traces(folder if has_data else None, chosen.seed, hours=1.0 if chosen.quick else 6.0)
    rows, figures = [], dict[str, float]()
    for name, trace in {**repeating, **others}.items():
        row, found = _measured(name, trace)
        rows.append(row)
        figures |= {f"{name}: {what}": value for what, value in found.items()}
    live = bills(chosen.seed, MINUTES, hours=8.0 if chosen.quick else 48.0, between_s=QUIET_S)
    for name, one in live.items():
        print(f"live, a conversation each {QUIET_S / 60:g} min, {name}: {one.cost:.3f} of no caching, "
              f"{one.warm_ups} warm-ups")  # fmt: skip
        figures[f"live, {name}: cost / no caching"] = one.cost
    for name, trace in repeating.items():
        figures[f"{name}: calibration error"] = calibration_error(trace, PRICES)
    report(
        "prompt_plan", COLUMNS, rows, figures=figures, goals=list(_goals(figures, repeating, others, has_data=has_data))
    )


def _traces(folder: Path | None, seed: int, *, hours: float) -> tuple[Made, Made]:
    """The traces in which prompts repeat, and those in which caching cannot or can hardly pay."""
    usual = Habits(hours=hours)
    repeating = {
        "sessions, busy": sessions(usual, seed=seed),
        "sessions, slow": sessions(dataclasses.replace(usual, between_s=60.0, think_s=300.0), seed=seed),
        "sessions, sparse": sessions(dataclasses.replace(usual, between_s=600.0, hours=8 * hours), seed=seed),
    }
    others = {"just after 1 h": _late(3_601.0), "just after 1 h, drifting": _late(3_601.0, drift=40.0)}
    if folder is None:
        return repeating, others
    mooncake = read_trace(folder / "mooncake_synthetic.jsonl")
    azure = read_trace(folder / "azure_conv_2023.csv")
    return {"Mooncake": mooncake, **repeating}, {"Azure": azure, "Mooncake, unique ids": _unique(mooncake), **others}


def _unique(trace: PromptTrace) -> PromptTrace:
    """The same requests at the same times, none of which repeats another."""
    rows = [
        TraceRow(one.at, one.tokens, ids=tuple(f"{at} {n}" for n in range(len(one.blocks))))
        for at, one in enumerate(trace.requests)
    ]  # fmt: skip
    return traced(rows, size=trace.requests[0].size)


def _late(gap: float, *, groups: int = 300, times: int = 6, drift: float = 0.0) -> PromptTrace:
    """Prompts that repeat just after the longest time to live has ended, each time ``drift`` seconds later."""
    rows = [
        TraceRow(group * 7.0 + n * gap + n * n * drift, 10_240, ids=tuple(f"{group} {at}" for at in range(20)))
        for group in range(groups) for n in range(times)
    ]  # fmt: skip
    return traced(rows)


def _measured(name: str, trace: PromptTrace) -> tuple[tuple[object, ...], dict[str, float]]:
    plan = make_prompt_plan(trace, PRICES)
    none, planned = plan.used[NONE], plan.used[PLANNED]
    rule, gate = plan.used[plan.best_simple], plan.gates[-1]
    whole, upper = _whole(trace)
    row = (name, plan.requests, none.usd, plan.best_simple, _percent(rule.of_clairvoyant),
           _percent(planned.of_clairvoyant),
           _percent(whole), _percent(planned.read), _percent(planned.written), plan.adopted,
           f"{gate.ratio.value:.3f}, {gate.ratio.upper:.3f}")  # fmt: skip
    figures = {
        "planned, of clairvoyant": planned.of_clairvoyant, "planned, whole trace, of bound": whole,
        "best rule, of clairvoyant": rule.of_clairvoyant, "planned, saving": planned.saving,
        "clairvoyant, saving": plan.used[CLAIRVOYANT].saving, "planned / no caching, upper": upper,
        "planned / best rule, upper": gate.ratio.upper, "adopted / no caching": _adopted(plan),
    }  # fmt: skip
    return row, {what: value for what, value in figures.items() if np.isfinite(value)}


def _whole(trace: PromptTrace) -> tuple[float, float]:
    """Over the whole trace: the plan's saving as a share of the bound's, and its cost / no caching, upper bound."""
    tokens = np.asarray([float(one.tokens) for one in trace.requests])
    cost = replay(trace, Planned(PRICES), PRICES).cost
    best = float((tokens - bound(trace, PRICES)).sum())
    group = trace.groups()
    groups = int(group.max()) + 1
    sums = [np.bincount(np.unique(group, return_inverse=True)[1], values) for values in (cost, tokens)]
    ratio = Resampler(min(groups, len(sums[0]))).ratio(*sums)
    return float((tokens - cost).sum()) / best if best else float("nan"), ratio.upper


def _adopted(plan: PromptPlan) -> float:
    return plan.used[plan.adopted].usd / plan.used[NONE].usd


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "-"


def _goals(figures: dict[str, float], repeating: Made, others: Made, *, has_data: bool) -> Iterator[Goal]:
    """The stated goals with what was measured; a goal whose trace is absent is not met."""

    def over(names: Made, what: str, choose: Callable[[list[float]], float]) -> float:
        return choose([figures[f"{name}: {what}"] for name in names])

    share = "planned, of clairvoyant"
    mooncake = figures.get(f"Mooncake: {share}", 0.0)
    yield _least("Mooncake, newest half: planned saving / clairvoyant's", mooncake, is_known=has_data)
    whole = figures.get("Mooncake: planned, whole trace, of bound", 0.0)
    yield _least("Mooncake, whole trace with its cold start: planned saving / bound's", whole, is_known=has_data)
    made = {name: trace for name, trace in repeating.items() if name != "Mooncake"}
    yield _least("sessions, newest half: planned saving / clairvoyant's, least", over(made, share, min), is_known=True)
    dearest = over(others, "planned / no caching, upper", max)
    yield Goal("no or late repeats: planned cost / no caching, greatest one-sided 95 % bound", dearest, "x", "<= 1",
               dearest <= 1 + 1e-9)  # fmt: skip
    adopted = over({**repeating, **others}, "adopted / no caching", max)
    live = figures["live, planned: cost / no caching"] / figures["live, planned, no warm-ups: cost / no caching"]
    yield Goal("live: cost with warm-ups / without", live, "x", "<= 1", live <= 1)
    usual = figures["live, planned: cost / no caching"] / figures[f"live, {BY_VOLATILITY}: cost / no caching"]
    yield Goal("live: cost of the plan / of breakpoints by volatility", usual, "x", "<= 1", usual <= 1)
    yield Goal("adopted policy's cost / no caching, greatest", adopted, "x", "<= 1", adopted <= 1 + 1e-9)


def _least(what: str, value: float, *, is_known: bool) -> Goal:
    said = what if is_known else f"{what} (its trace is absent)"
    return Goal(said, value, "", f">= {GOAL}", is_known and value >= GOAL)


if __name__ == "__main__":
    main()
