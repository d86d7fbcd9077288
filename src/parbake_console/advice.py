"""What should be done with each task: computed ahead, less often, on request, or measured first? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from parbake.tasks.task_types import Stored
from parbake_console.charts import BreakEvenPlot, break_even_plot
from parbake_console.wording import count, span, usd
from parbake_planner.breakeven import DAY
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import BATCH, Cost

LEAST_S = 1800.0
"""From less than this, the reads of a day are not estimated."""
_ALIKE = 0.1
"""Two costs that differ by less than this share are called alike."""
_LONGER = 1.2
"""A period that is not at least this many times as long is not worth a change."""


class Known(msgspec.Struct, frozen=True):
    """What the ledger knows of the last day.

    Attributes:
        costs: What each task has cost in each lane.
        evens: What a run and a request of a task have cost, where both were measured, by task.
        on_request: How often each task would have been computed on request only, by task.
        failing: The tasks whose runs fail.
        serve: What a stored read costs, in US dollars.
        covered_s: How much of the day is recorded, in seconds; it is taken for the whole day.
    """

    costs: Sequence[Cost]
    evens: Mapping[str, BreakEven]
    on_request: Mapping[str, int]
    failing: frozenset[str]
    serve: float
    covered_s: float

    @property
    def scale(self) -> float:
        """How many times a day contains what is recorded; 0 if that is too little to tell."""
        return DAY / self.covered_s if self.covered_s >= LEAST_S else 0.0

    def of(self, task: str, lane: str) -> Cost | None:
        """What a task has cost in a lane."""
        return next((cost for cost in self.costs if (cost.task, cost.lane) == (task, lane)), None)


class Verdict(msgspec.Struct, frozen=True):
    """What should be done with one task, and why.

    Attributes:
        task: The task's name.
        owner: Who pays.
        now: Where it is computed now.
        advice: ``move``, ``keep``, ``measure`` or ``idle``.
        sentence: What to do, and why.
        saves: What that saves in a day, in US dollars; 0 if it saves nothing or that is not known.
        plot: The break-even, if both lanes were measured.
        figures: The figures behind it, in words.
        most_reads: The reads a day at the right edge of the plot, in words.
        most_usd: The amount at its top, in words.
    """

    task: str
    owner: str
    now: str
    advice: str
    sentence: str
    saves: float = 0.0
    plot: BreakEvenPlot | None = None
    figures: Mapping[str, str] = {}
    most_reads: str = ""
    most_usd: str = ""

    @property
    def saved(self) -> str:
        """What it saves, in words."""
        return f"{usd(self.saves)} a day" if self.saves else ""


def verdicts(tasks: Iterable[Stored], known: Known) -> list[Verdict]:
    """Say what to do with each task: what saves most comes first, and what needs no decision last.

    Args:
        tasks: The tasks.
        known: What is known of them.
    """
    found = [_verdict(task, known) for task in tasks]
    order = ("move", "measure", "keep", "idle")
    return sorted(found, key=lambda one: (order.index(one.advice), -one.saves, one.task))


def _verdict(task: Stored, known: Known) -> Verdict:
    made = _measured if task.name in known.evens and known.scale else _unmeasured
    verdict = made(task, known)
    if task.name in known.failing:
        told = f"{verdict.sentence} Its run fails now (see Freshness): mend that first."
        return msgspec.structs.replace(verdict, sentence=told)
    return verdict


def _measured(task: Stored, known: Known) -> Verdict:
    """Compare the lanes, and runs as seldom as the SLA allows, at the reads of a day as they are now."""
    even, event = known.evens[task.name], known.of(task.name, "event")
    reads, serves = even.today * known.scale, even.today * known.scale * known.serve
    computed = min(known.on_request.get(task.name, even.today) * known.scale, reads)
    event_usd = event.usd * known.scale if event else 0.0
    again = min(event.rows * known.scale, reads) if event else 0.0
    run_a_day = even.run_usd * DAY
    every = f"ahead, every {span(even.window_s)}"
    options = {every: run_a_day / even.window_s + event_usd + serves}
    if (longest_s := _longest_s(task)) >= _LONGER * even.window_s:
        options[f"ahead, every {span(longest_s)}"] = run_a_day / longest_s + event_usd + serves
    options["on request"] = (computed + again) * even.request_usd + serves
    best = min(options, key=lambda name: options[name])
    is_kept = options[every] <= options[best] * (1 + _ALIKE)
    share = computed / reads if reads else 1.0
    runs_usd = run_a_day / even.window_s
    needed = runs_usd / (share * even.request_usd) if share * even.request_usd else None
    costs = "; ".join(f"{name} {usd(amount)}" for name, amount in options.items())
    told = f"A day costs: {costs}. "
    told += "Keep it as it is." if is_kept else f"Compute it {best}."
    plot = break_even_plot(runs_usd=runs_usd, request_usd=share * even.request_usd, even=needed, today=reads)
    return Verdict(
        task=task.name,
        owner=task.contract.owner,
        now=every,
        advice="keep" if is_kept else "move",
        sentence=told,
        saves=0.0 if is_kept else options[every] - options[best],
        plot=plot,
        most_reads=count(plot.reads),
        most_usd=usd(plot.usd),
        figures={
            "reads a day": count(reads),
            "of them computed, on request": count(computed),
            "again after events": count(again),
            "reads from which runs pay": "never" if needed is None else count(needed),
            "one run": usd(even.run_usd),
            "one computation on request": usd(even.request_usd),
            "SLA": span(task.contract.freshness_sla_s),
            "wait for a computation": _wait(known.of(task.name, "realtime")),
        },
    )


def _longest_s(task: Stored) -> float:
    """The longest period that the SLA allows; 0 without a schedule."""
    schedule = task.schedule
    return task.contract.freshness_sla_s - schedule.budget_s if schedule is not None else 0.0


def _wait(asked: Cost | None) -> str:
    return f"{1000 * asked.seconds / asked.rows:,.1f} ms" if asked is not None and asked.rows else "-"


def _unmeasured(task: Stored, known: Known) -> Verdict:
    """What is known of a task that only one lane has computed, or too little of."""
    ahead, asked = known.of(task.name, BATCH), known.of(task.name, "realtime")
    now = f"ahead, every {span(task.schedule.period_s)}" if task.schedule else "on request"

    def told(advice: str, sentence: str, saves: float = 0.0) -> Verdict:
        return Verdict(task.name, task.contract.owner, now, advice, sentence, saves)

    if ahead is None and asked is None:
        return told("idle", "Nothing was spent on it in the last day.")
    unpriced = ", ".join(filter(None, (cost.unpriced for cost in (ahead, asked) if cost is not None)))
    if unpriced:
        return told("measure", f"There is no price for {unpriced}: add it to the cost book of the ledger.")
    if not known.scale:
        return told("measure", f"Less than {span(LEAST_S)} is recorded, which is too little to compare lanes by.")
    if asked is not None and task.schedule is None:
        day = asked.usd * known.scale
        return told("keep", f"Computed on request {count(asked.rows)} times, which costs {usd(day)} a day at most.")
    if ahead is None or not ahead.rows:
        return told("measure", "It is declared to be computed ahead, and no run has computed it.")
    return _estimated(task, known, ahead)


def _estimated(task: Stored, known: Known, ahead: Cost) -> Verdict:
    """Compare the runs of a task that no request has computed with requests that cost as much as a row of a run."""
    serves = known.of(task.name, "serve")
    reads, runs_usd = (serves.serves if serves else 0) * known.scale, ahead.usd * known.scale
    computed = min(known.on_request.get(task.name, 0) * known.scale, reads)
    asked_usd = computed * ahead.usd / ahead.rows
    now = f"ahead, every {span(task.schedule.period_s)}" if task.schedule else "on request"
    sentence = (
        f"Only runs have computed it, for {usd(runs_usd)} a day. On request its {count(reads)} reads a day would cost "
        f"about {usd(asked_usd)}, if one costs as much as a row of a run."
    )
    if ahead.wasted:
        sentence += f" {count(ahead.wasted)} of its {count(ahead.rows)} rows were replaced before anybody read them."
    is_kept = asked_usd >= (1 - _ALIKE) * runs_usd
    advice, saves = ("keep", 0.0) if is_kept else ("move", runs_usd - asked_usd)
    return Verdict(task.name, task.contract.owner, now, advice, sentence, saves)
