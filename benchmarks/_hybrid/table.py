"""What is printed, and the goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from _report import Goal, percentile, show

from .cost import FULL_BLAS, FULL_INDEX, Costs
from .cost import HYBRID as BY_HYBRID
from .cost import STORED as BY_STORED
from .data import Data
from .judge import Interval
from .methods import (
    AGES,
    BASE,
    COUNTS,
    EVENTS,
    FULL,
    HYBRID,
    LINEAR,
    STORED,
    STORED_FILTERED,
    TREES,
    TRENDING,
    Way,
)
from .prices import Prices, months
from .quality import Slice
from .rolling import Outcome

AGE, MOST, FEW = 5, 200, 50
LABELS = ("NDCG@5 [95 %]", "hit@5", "to full real-time")


def about(data: Data, outcome: Outcome, slices: Mapping[str, Slice], delay_s: float) -> None:
    """Say what was measured."""
    left = ", ".join(f"{count:,} {what}" for what, count in data.left_out.items())
    print(f"{data.name}: {len(data.ts):,} interactions, {data.users:,} users, {data.items:,} items (left out: {left})")
    chosen = outcome.settings
    print(
        f"chosen before the first test fold: ALS regularization {chosen.regularization:g}, confidence"
        f" {chosen.confidence:g}; half-life of trending {chosen.half_life_days:g} days"
    )
    print(f"NDCG@5 there: {', '.join(f'{name} {score:.4f}' for name, score in outcome.tried.items())}")
    print(f"{', '.join(f'{part.requests:,} {name} requests of {part.users:,} users' for name, part in slices.items())}")
    print(f"{outcome.known / outcome.following:.0%} of the next 10 items were known when their fold began")
    print(
        f"an event refresh takes {delay_s:g} s here; {outcome.lag.mean():.2f} interactions before a request are younger"
        " on average, so its list does not know them\n"
    )


def quality(slices: Mapping[str, Slice]) -> None:
    """The story's methods, by scorer, all, cold and warm."""
    for name, part in slices.items():
        print(f"quality, {name} ({part.requests:,} requests of {part.users:,} users)")
        show(("method", "scorer", "candidates", *LABELS), [_quality_row(part, way) for way in _main_ways()])
        print()


def _main_ways() -> list[Way]:
    scored = [(LINEAR, MOST), (TREES, FEW), (TREES, MOST)]
    ways = [Way(approach, *s, 0) for approach in (FULL,) for s in scored]
    ways += [Way(approach, *s, AGE) for approach in (HYBRID, EVENTS, STORED, STORED_FILTERED) for s in scored]
    return [*ways, Way(BASE), Way(TRENDING)]


def _quality_row(part: Slice, way: Way) -> tuple[object, ...]:
    label = f"{way.approach}, {way.age} interactions old" if way.age else way.approach
    best = Way(FULL, LINEAR, MOST)
    to_full = part.ratio(way) if way.scorer else part.ratio(way, best)
    return (label, way.scorer, way.count if way.scorer else "", str(part.ndcg(way)), part.hit(way), str(to_full))


def ages(part: Slice) -> None:
    """How quality falls with the age of the list, and what refreshing on events does about it."""
    print(f"NDCG@5 to full real-time with as many candidates, {part.name}, by the list's age in interactions")
    rows = []
    for scorer in (LINEAR, TREES):
        for count in COUNTS:
            for approach in (HYBRID, EVENTS):
                ratios = [part.ratio(Way(approach, scorer, count, age)) for age in AGES]
                rows.append((scorer, count, "on" if approach == EVENTS else "off", *map(str, ratios)))
    show(("scorer", "candidates", "events", *(f"age {age}" for age in AGES)), rows)
    print()


def counts(part: Slice) -> None:
    """What a shorter list loses even when it is fresh."""
    print(f"full real-time by the number of candidates, {part.name}")
    rows = []
    for scorer in (LINEAR, TREES):
        for count in COUNTS:
            way = Way(FULL, scorer, count)
            rows.append((scorer, count, str(part.ndcg(way)), str(part.ratio(way, Way(FULL, scorer, MOST)))))
    show(("scorer", "candidates", LABELS[0], f"to {MOST} candidates"), rows)
    print()


def preconditions(part: Slice) -> list[Goal]:
    """Full real-time must beat the simple things, or a ratio to it says nothing."""
    goals = []
    for scorer, count in ((LINEAR, MOST), (TREES, MOST)):
        for name in (TRENDING, BASE):
            gain = part.gain(Way(FULL, scorer, count), Way(name))
            print(f"full real-time, {scorer}, minus {name}: {gain.value:.4f} [{gain.low:.4f}, {gain.high:.4f}]")
            what = f"full real-time ({scorer}) minus {name}: {gain.value:.4f}, 95 % from"
            goals.append(Goal(what, gain.low, "NDCG@5", "> 0", gain.low > 0))
    return goals


def ablation(outcome: Outcome, part: Slice) -> dict[str, float]:
    """What each kind of feature adds."""
    found = {name: float(part.per_user(scores).mean()) for name, scores in outcome.ablation.items()}
    print(f"features, full real-time, linear: {', '.join(f'{name} {mean:.4f}' for name, mean in found.items())}\n")
    return found


def quality_goals(part: Slice) -> tuple[list[Goal], dict[str, float]]:
    """The ratios that are promised, with their intervals among the figures."""
    goals: list[Goal] = []
    figures: dict[str, float] = {}
    for scorer in (LINEAR, TREES):
        plain, refreshed = (part.ratio(Way(approach, scorer, MOST, AGE)) for approach in (HYBRID, EVENTS))
        figures |= _interval(f"ratio_age5_{scorer.lower()}", plain)
        figures |= _interval(f"ratio_age5_events_{scorer.lower()}", refreshed)
        where = f"{scorer}, {part.name}, {MOST} candidates"
        goals += [
            Goal(f"hybrid to full, age {AGE}, {where}", plain.value, "", ">= 0.97", plain.value >= 0.97),
            Goal(f"the same with events, {where}", refreshed.value, "", ">= 0.99", refreshed.value >= 0.99),
            Goal(f"its lower bound, {where}", refreshed.low, "", ">= 0.975", refreshed.low >= 0.975),
        ]
    return goals, figures


def _interval(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def costs(found: Sequence[Costs]) -> None:
    """CPU per request, step by step and as a whole."""
    print("CPU us per request; steps are measured by themselves, on warm caches, and add up to less than the whole")
    rows = []
    for cost in found:
        full, hybrid = cost.ways[FULL_BLAS].us, cost.ways[BY_HYBRID].us
        index = cost.ways[FULL_INDEX].us if FULL_INDEX in cost.ways else None
        rows.append((
            f"{cost.items:,}", cost.scorer, cost.count, f"{full:.0f}", f"{hybrid:.0f}",
            f"{cost.ways[BY_STORED].us:.0f}",
            *((f"{index:.0f}", hybrid / full, f"{hybrid / index:.2f}") if index else ("-", hybrid / full, "-")),
            f"{cost.build_us:.0f}", f"{hybrid + 4 * cost.build_us:.0f}", f"{cost.event_us:.0f}",
        ))  # fmt: skip
    show(
        ("items", "scorer", "candidates", FULL_BLAS, BY_HYBRID, BY_STORED, FULL_INDEX, "hybrid/BLAS", "hybrid/index",
         "one list in the batch", "hybrid with 4 rebuilds per request", "one list for an event"),
        rows,
    )  # fmt: skip
    if all(FULL_INDEX not in cost.ways for cost in found):
        print("the assistant has no exact index of its own here: that column stays empty")
    print("\nsteps, CPU us")
    show(("items", "scorer", *found[0].steps), [
        (f"{c.items:,}", c.scorer, *(f"{us:.0f}" for us in c.steps.values())) for c in found
    ])  # fmt: skip
    print("\nlatency, ms")
    show(("items", "scorer", "method", "p50", "p99"), [
        (f"{c.items:,}", c.scorer, name, *(f"{percentile(t.seconds, p) * 1e3:.3f}" for p in (50, 99)))
        for c in found for name, t in c.ways.items()
    ])  # fmt: skip
    print()


def cost_goals(found: Sequence[Costs]) -> tuple[list[Goal], dict[str, float]]:
    """The shares of full real-time's CPU that are promised at 50,000 items."""
    limits = {TREES: 0.25, LINEAR: 0.12}
    goals: list[Goal] = []
    figures: dict[str, float] = {}
    for cost in found:
        share = cost.ways[BY_HYBRID].us / cost.ways[FULL_BLAS].us
        figures |= {f"{way}_{cost.scorer}_{cost.items}_us": timed.us for way, timed in cost.ways.items()}
        figures[f"build_{cost.scorer}_{cost.items}_us"] = cost.build_us
        if cost.items == 50_000:
            what = f"CPU of hybrid to {FULL_BLAS}, {cost.scorer} over {cost.count}, 50,000 items"
            goals.append(Goal(what, share, "", f"<= {limits[cost.scorer]}", share <= limits[cost.scorer]))
    return goals, figures


def money(cost: Costs, prices: Prices, shoppers: Sequence[int], events_a_day: int) -> None:
    """The story's monthly column, for the recommendation alone."""
    print(
        f"US dollars a month for 1M requests and {events_a_day:,} events a day, {cost.items:,} items, {cost.scorer}"
        f" over {cost.count}, four rebuilds a day for every shopper\nprices of {prices.as_of}: {prices.vcpu_hour_usd} a"
        f" vCPU-hour, {prices.store_gb_month_usd} a GB-month of store ({prices.source})"
    )
    rows = [
        (m.approach, f"{m.shoppers:,}", m.answering, m.generation, m.store, m.total)
        for count in shoppers
        for m in months(cost, prices, count, events_a_day)
    ]
    show(("method", "shoppers", "answering", "generation", "store", "total"), rows)
    print()


SUMMARY = (
    "method",
    "scorer",
    "candidates",
    "CPU us",
    "p50 ms",
    "p99 ms",
    "USD a month",
    "NDCG@5 [95 %]",
    "hit@5",
    "of full",
)


def summary(
    part: Slice, found: Sequence[Costs], prices: Prices, shoppers: int, events_a_day: int
) -> list[tuple[object, ...]]:
    """The story's table: cost, latency and quality of each approach, lists five interactions old."""
    approaches = (
        (FULL_BLAS, FULL_BLAS, FULL, 0),
        (FULL_INDEX, FULL_INDEX, FULL, 0),
        (BY_HYBRID, BY_HYBRID, HYBRID, AGE),
        (EVENTS, BY_HYBRID, EVENTS, AGE),
        (BY_STORED, BY_STORED, STORED_FILTERED, AGE),
    )
    rows: list[tuple[object, ...]] = []
    for cost in found:
        totals = {month.approach: month.total for month in months(cost, prices, shoppers, events_a_day)}
        for label, timed, approach, age in approaches:
            if timed in cost.ways:
                way, times = Way(approach, cost.scorer, cost.count, age), cost.ways[timed]
                rows.append((
                    label, cost.scorer, cost.count, f"{times.us:.0f}",
                    *(f"{percentile(times.seconds, p) * 1e3:.3f}" for p in (50, 99)), totals[label],
                    str(part.ndcg(way)), part.hit(way), str(part.ratio(way)),
                ))  # fmt: skip
    return rows


def goals(whole: Slice, judged: Slice, found: Sequence[Costs]) -> tuple[list[Goal], dict[str, float]]:
    """Every goal, with the figures that go into the last line."""
    stated = preconditions(whole)
    features = ablation(whole.outcome, whole)
    of_quality, ratios = quality_goals(judged)
    of_cost, measured = cost_goals(found)
    ways = {f"ndcg5_{w.approach}_{w.scorer}_{w.count}": whole.ndcg(w).value for w in _main_ways()}
    named = {f"features_{name}": mean for name, mean in features.items()}
    size = {"requests": float(whole.requests), "users": float(whole.users)}
    return [*stated, *of_quality, *of_cost], {**size, **ways, **ratios, **named, **measured}
