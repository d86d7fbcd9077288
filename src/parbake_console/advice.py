"""What should be done with each task: computed ahead, on request, or measured first? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from parbake.tasks.task_types import Stored
from parbake_console.charts import BreakEvenPlot, break_even_plot
from parbake_console.wording import count, span, usd
from parbake_planner.breakeven import DAY
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import BATCH, Cost

_LEAST_S = 600.0
"""From less than this, the reads of a day are not estimated."""
_ALIKE = 0.1
"""Two costs that differ by less than this share are called alike."""


class Verdict(msgspec.Struct, frozen=True):
    """What should be done with one task, and why.

    Attributes:
        task: The task's name.
        owner: Who pays.
        lane: Where it is computed now.
        advice: ``keep``, ``move``, ``measure`` or ``idle``.
        sentence: What to do, and why.
        difference: What that saves in a day, in words; empty if it is not known.
        plot: The break-even, if both lanes were measured.
        figures: The figures of the plot, in words.
        most_reads: The reads a day at the right edge of the plot, in words.
        most_usd: The amount at its top, in words.
    """

    task: str
    owner: str
    lane: str
    advice: str
    sentence: str
    difference: str = ""
    plot: BreakEvenPlot | None = None
    figures: Mapping[str, str] = {}
    most_reads: str = ""
    most_usd: str = ""


def verdicts(
    tasks: Iterable[Stored], costs: Sequence[Cost], evens: Sequence[BreakEven], *, serve: float, covered_s: float
) -> list[Verdict]:
    """Say what to do with each task: those with a measured break-even first, those that need no decision last.

    Args:
        tasks: The tasks.
        costs: What they have cost in the last day.
        evens: The break-evens that were measured.
        serve: What a stored read costs, in US dollars.
        covered_s: How much of the last day is recorded, in seconds; it is taken for the whole day.
    """
    of = {(cost.task, cost.lane): cost for cost in costs}
    known = {even.task: even for even in evens}
    found = []
    for task in tasks:
        if task.name in known and covered_s >= _LEAST_S:
            event = of.get((task.name, "event"))
            found.append(_measured(task, known[task.name], serve, event.usd if event else 0.0, covered_s))
        else:
            found.append(_unmeasured(task, of, covered_s))
    order = ("move", "keep", "measure", "idle")
    return sorted(found, key=lambda one: (one.plot is None, order.index(one.advice), one.task))


def _measured(task: Stored, even: BreakEven, serve: float, event_usd: float, covered_s: float) -> Verdict:
    """Compare both lanes at the reads of a day as they are now; refreshes after events are told beside them."""
    reads, event_usd = even.today * DAY / covered_s, event_usd * DAY / covered_s
    runs_usd = even.run_usd * DAY / even.window_s
    ahead, asked = runs_usd + reads * serve, reads * even.request_usd
    cheaper, dearer = min(ahead, asked), max(ahead, asked)
    verb, needed = "That would save", count(even.reads_a_day or 0)
    pays = f"A run every {span(even.window_s)} pays from {needed} reads a day; it has {count(reads)}."
    if even.reads_a_day is None:
        advice, sentence = "move", "A stored read costs as much as computing it: compute it on request."
    elif dearer - cheaper <= _ALIKE * dearer:
        advice, sentence, verb = "keep", f"{pays} Both lanes cost about the same.", "They differ by"
    elif ahead < asked:
        advice, sentence, verb = "keep", f"{pays} Keep it computed ahead.", "That saves"
    else:
        advice, sentence = "move", f"{pays} Compute it on request, or less often."
    if event_usd > dearer - cheaper:
        sentence += f" Refreshes after events cost {usd(event_usd)} a day on top: look at what its tags cover first."
    plot = break_even_plot(
        runs_usd=runs_usd, request_usd=even.request_usd, serve_usd=serve, even=even.reads_a_day, today=reads
    )
    return Verdict(
        task=task.name,
        owner=task.contract.owner,
        lane=f"ahead, every {span(even.window_s)}",
        advice=advice,
        sentence=sentence,
        difference=f"{verb} {usd(dearer - cheaper)} a day.",
        plot=plot,
        most_reads=count(plot.reads),
        most_usd=usd(plot.usd),
        figures={
            "reads a day": count(reads),
            "break-even a day": "never" if even.reads_a_day is None else count(even.reads_a_day),
            "ahead a day": usd(ahead),
            "on request a day": usd(asked),
            "on events a day": usd(event_usd),
            "one run": usd(even.run_usd),
            "one request": usd(even.request_usd),
        },
    )


def _unmeasured(task: Stored, of: Mapping[tuple[str, str], Cost], covered_s: float) -> Verdict:
    """What is known of a task that only one lane has computed."""
    ahead, asked = of.get((task.name, BATCH)), of.get((task.name, "realtime"))
    scale = DAY / covered_s if covered_s >= _LEAST_S else 0.0
    lane = f"ahead, every {span(task.schedule.period_s)}" if task.schedule else "on request"
    if ahead is None and asked is None:
        return Verdict(task.name, task.contract.owner, lane, "idle", "Nothing was spent on it in the last day.")
    unpriced = ", ".join(filter(None, (cost.unpriced for cost in (ahead, asked) if cost is not None)))
    if unpriced:
        sentence = f"There is no price for {unpriced}: add it to the cost book of the ledger."
        return Verdict(task.name, task.contract.owner, lane, "measure", sentence)
    if asked is not None and task.schedule is None:
        most = f"at most {usd(asked.usd * scale)} a day" if scale else "not known yet"
        sentence = (
            f"Computed on request {count(asked.rows)} times. Computing it ahead can save only what these cost. "
            "To measure a run, give it keys= and a refresh= for a day."
        )
        return Verdict(task.name, task.contract.owner, lane, "measure", sentence, most)
    return _estimated(task, lane, ahead, of.get((task.name, "serve")), scale)


def _estimated(task: Stored, lane: str, ahead: Cost | None, serves: Cost | None, scale: float) -> Verdict:
    """Compare the runs of a task that no request has computed with requests that cost as much as a row of a run."""
    sentence = "Only runs have computed it, so nobody knows what a request would cost."
    if ahead is None or not ahead.rows or not scale:
        return Verdict(task.name, task.contract.owner, lane, "measure", sentence)
    reads, runs_usd = (serves.serves if serves else 0) * scale, ahead.usd * scale
    asked_usd = reads * ahead.usd / ahead.rows
    sentence = (
        f"Only runs have computed it, for {usd(runs_usd)} a day. At what a row of a run costs, its {count(reads)} "
        f"reads a day would cost {usd(asked_usd)} on request."
    )
    if ahead.wasted:
        sentence += f" {count(ahead.wasted)} of its {count(ahead.rows)} rows were replaced before anybody read them."
    if asked_usd >= (1 - _ALIKE) * runs_usd:
        return Verdict(task.name, task.contract.owner, lane, "keep", sentence)
    saved = f"about {usd(runs_usd - asked_usd)} a day"
    return Verdict(task.name, task.contract.owner, lane, "move", sentence, saved)
