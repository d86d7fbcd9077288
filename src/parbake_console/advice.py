"""What should be done with each task: computed ahead, less often, on request, or measured first? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from parbake.tasks.task_types import Stored
from parbake_console.charts import BreakEvenPlot, Computations, break_even_plot
from parbake_console.wording import NONE, count, share, span, unit_usd, usd
from parbake_planner.breakeven import DAY
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import BATCH, Cost

_LEAST_S = 1800.0
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
        on_request: How often a day each task would be computed at most on request only, by task.
        failing: The tasks whose runs fail.
        serve: What a stored read costs, in US dollars.
        covered_s: How much of the day is recorded, in seconds; it is taken for the whole day.
    """

    costs: Sequence[Cost]
    evens: Mapping[str, BreakEven]
    on_request: Mapping[str, float]
    failing: frozenset[str]
    serve: float
    covered_s: float

    @property
    def scale(self) -> float:
        """How many times a day contains what is recorded; 0 if that is too little to tell."""
        return DAY / self.covered_s if self.covered_s >= _LEAST_S else 0.0

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
        to: Where to move it; empty if it is not to be moved.
        sentence: What to do, and why.
        saves: What that saves in a day, in US dollars; 0 if it saves nothing or that is not known.
        plot: The break-even, if the cost of both lanes is known or can be estimated.
        figures: The figures behind it, in words.
        most_reads: The reads a day at the right edge of the plot, in words.
        most_usd: The amount at its top, in words.
        is_estimated: Whether a computation on request is taken to cost as much as a row of a run.
    """

    task: str
    owner: str
    now: str
    advice: str
    sentence: str
    saves: float = 0.0
    to: str = ""
    plot: BreakEvenPlot | None = None
    figures: Mapping[str, str] = {}
    most_reads: str = ""
    most_usd: str = ""
    is_estimated: bool = False

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
    reads = even.today * known.scale
    computed = min(known.on_request.get(task.name, reads), reads)
    again = min(event.rows * known.scale, reads) if event else 0.0
    beside = reads * known.serve + (event.usd * known.scale if event else 0.0)
    runs_usd = even.run_usd * DAY / even.window_s
    now = f"ahead, every {span(even.window_s)}"
    options = {now: runs_usd + beside}
    if (longest_s := _longest_s(task)) >= _LONGER * even.window_s:
        options[f"ahead, every {span(longest_s)}"] = even.run_usd * DAY / longest_s + beside
    options["on request"] = (computed + again) * even.request_usd + reads * known.serve
    costs = "; ".join(f"{name} {usd(amount)}" for name, amount in options.items())
    figures = {
        "again after events": count(again),
        "one run": unit_usd(even.run_usd),
        "wait for a computation": _wait(known.of(task.name, "realtime")),
    }
    verdict = msgspec.structs.replace(_decided(task, options, now, f"A day costs: {costs}."), figures=figures)
    return _drawn(verdict, task, runs_usd=runs_usd, once_usd=even.request_usd, reads=reads, computed=computed)


def _drawn(
    verdict: Verdict, task: Stored, *, runs_usd: float, once_usd: float, reads: float, computed: float
) -> Verdict:
    """Add the picture of runs against requests, and the figures behind it."""
    computations = Computations.through(reads, computed)
    needed = computations.reads_for(runs_usd / once_usd) if once_usd else None
    plot = break_even_plot(runs_usd=runs_usd, once_usd=once_usd, computations=computations, even=needed, today=reads)
    figures = {
        "reads a day": count(reads),
        "of them computed, on request, at most": count(computed),
        "reads from which runs pay": "never" if needed is None else count(needed),
        "one computation on request": unit_usd(once_usd),
        "SLA": span(task.contract.freshness_sla_s),
    }
    return msgspec.structs.replace(
        verdict, plot=plot, most_reads=count(plot.reads), most_usd=usd(plot.usd), figures=figures | {**verdict.figures}
    )


def _decided(task: Stored, options: Mapping[str, float], now: str, sentence: str) -> Verdict:
    """Choose the cheapest option; of those that cost about as much, the one that changes least: they are listed so."""
    enough = min(options.values()) + _ALIKE * options[now]
    best = next(name for name, amount in options.items() if amount <= enough)
    advice, to = ("keep", "") if best == now else ("move", best)
    return Verdict(task.name, task.contract.owner, now, advice, sentence, options[now] - options[best], to)


def _longest_s(task: Stored) -> float:
    """The longest period that the SLA allows; 0 without a schedule."""
    schedule = task.schedule
    return task.contract.freshness_sla_s - schedule.budget_s if schedule is not None else 0.0


def _wait(asked: Cost | None) -> str:
    return f"{1000 * asked.seconds / asked.rows:,.1f} ms" if asked is not None and asked.rows else NONE


def _unmeasured(task: Stored, known: Known) -> Verdict:
    """What is known of a task that only one lane has computed, or too little of."""
    ahead, asked = known.of(task.name, BATCH), known.of(task.name, "realtime")
    now = f"ahead, every {span(task.schedule.period_s)}" if task.schedule else "on request"

    def told(advice: str, sentence: str) -> Verdict:
        return Verdict(task.name, task.contract.owner, now, advice, sentence)

    if ahead is None and asked is None:
        return told("idle", "Nothing was spent on it in the last day.")
    unpriced = ", ".join(filter(None, (cost.unpriced for cost in (ahead, asked) if cost is not None)))
    if unpriced:
        return told("measure", f"There is no price for {unpriced}: add it to the cost book of the ledger.")
    if not known.scale:
        return told("measure", f"Less than {span(_LEAST_S)} is recorded, which is too little to compare lanes by.")
    if asked is not None and task.schedule is None:
        event = known.of(task.name, "event")
        times, day = asked.rows + (event.rows if event else 0), asked.usd + (event.usd if event else 0.0)
        told_of = f"It is computed {count(times * known.scale)} times a day, which costs {usd(day * known.scale)}."
        return told("keep", f"{told_of} Runs could save no more than that.")
    if task.schedule is None:
        return told("measure", "Only runs that somebody has started have computed it, and no request.")
    if ahead is None or not ahead.rows:
        return told("measure", "It is declared to be computed ahead, and no run has computed it.")
    return _estimated(task, known, ahead, task.schedule.period_s)


def _estimated(task: Stored, known: Known, ahead: Cost, period_s: float) -> Verdict:
    """Compare the runs of a task that no request has computed with requests that cost as much as a row of a run."""
    serves = known.of(task.name, "serve")
    reads = (serves.serves if serves else 0) * known.scale
    computed = min(known.on_request.get(task.name, reads), reads)
    runs_usd = ahead.usd / max(1, ahead.calls) * DAY / period_s
    now = f"ahead, every {span(period_s)}"
    options = {now: runs_usd, "on request": computed * ahead.usd / ahead.rows}
    sentence = (
        f"A day costs: {now} {usd(runs_usd)}; on request about {usd(options['on request'])}, if each of at most "
        f"{count(computed)} computations costs as much as a row of a run: no request has computed it yet."
    )
    if ahead.wasted:
        share_of = share(ahead.wasted / ahead.rows)
        sentence += f" {share_of} of the rows of its runs were replaced before anybody read them."
    verdict = msgspec.structs.replace(_decided(task, options, now, sentence), is_estimated=True)
    once_usd = ahead.usd / ahead.rows
    return _drawn(verdict, task, runs_usd=runs_usd, once_usd=once_usd, reads=reads, computed=computed)
