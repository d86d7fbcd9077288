"""What reads of this process got that they were not promised: late, degraded or missing values, and waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from parbake.process.counters import Counters
from parbake.protocol.verdict import Verdict

_SAID = {
    Verdict.DEGRADED: "served degraded",
    Verdict.STALE: "served late",
    Verdict.MISSING: "without a value",
    Verdict.UNKNOWN: "in doubt",
}
_COMPUTED = "computed on request"


def tally(counters: Counters) -> Counter[tuple[str, str]]:
    """Count by task and what happened, since this process started.

    Args:
        counters: The app's counters.
    """
    found: Counter[tuple[str, str]] = Counter()
    for (task, verdict, _), number in counters.serves.items():
        if verdict != Verdict.FRESH:
            found[task, _SAID[Verdict(verdict)]] += number
    for (task, lane, _), number in list(counters.computes.items()):
        if lane == "realtime":
            found[task, _COMPUTED] += number
    return found


def between(
    before: Counter[tuple[str, str]], after: Counter[tuple[str, str]], tasks: Collection[str]
) -> tuple[tuple[str, str, int], ...]:
    """Return what has happened between two counts, the most frequent first.

    Args:
        before: The earlier count.
        after: The later one.
        tasks: The tasks to tell of; all if it is empty.
    """
    more = [(*name, number) for name, number in (after - before).most_common()]
    return tuple(one for one in more if not tasks or one[0] in tasks)
