"""From how many reads on a task is cheaper computed ahead, by what its runs and its requests have cost so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from parbake_planner.breakeven import DAY, break_even_volume
from parbake_planner.ledger.costs import BATCH, Cost


class BreakEven(msgspec.Struct, frozen=True):
    """The reads from which computing a task ahead is cheaper than computing each read when it is asked for.

    Attributes:
        task: The task's name.
        window_s: The time from one run to the next, in seconds.
        run_usd: What a run has cost in the mean, in US dollars.
        request_usd: What computing one read has cost in the mean, in US dollars.
        reads: The reads of one window from which on a run is cheaper; ``None`` if a stored read costs as much.
        reads_a_day: The same for a day.
        today: The reads of the last day, from the whole hour.
    """

    task: str
    window_s: float
    run_usd: float
    request_usd: float
    reads: float | None
    reads_a_day: float | None
    today: int


def break_evens(
    costs: Sequence[Cost], windows: Mapping[str, float], runs: Mapping[str, int], today: Mapping[str, int], serve: float
) -> list[BreakEven]:
    """Compute the break-even of each task that was computed both ahead and on request, in the order of the costs.

    A task of which something has no price is left out, because nobody knows what it costs.

    Args:
        costs: What the tasks have cost, by lane.
        windows: The time from one run of a task to the next, in seconds.
        runs: How many runs these costs are of, by task.
        today: The reads of the last day, by task.
        serve: What a stored read costs, in US dollars.
    """
    of, found = {(cost.task, cost.lane): cost for cost in costs if cost.rows and not cost.unpriced}, []
    for task in dict.fromkeys(cost.task for cost in costs):
        ahead, asked = of.get((task, BATCH)), of.get((task, "realtime"))
        if ahead and asked and task in windows and task in runs:
            run, request = ahead.usd / runs[task], asked.usd / asked.rows
            reads = break_even_volume(batch=run, storage=0.0, on_demand=request, serve=serve)
            even, a_day = (reads, reads * DAY / windows[task]) if math.isfinite(reads) else (None, None)
            found.append(BreakEven(task, windows[task], run, request, even, a_day, today.get(task, 0)))
    return found
