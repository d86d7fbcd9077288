"""What a read proves, and the summary of many reads. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from parbake.errors import BadInput
from parbake.values.statistics import percentile

Outcome = Literal["fresh", "behind", "violation", "nothing", "failed"]
_RULE_OF_THREE = 3.0
EXAMPLES = 20
_GONE = object()


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What every read of a key must show once a change was acknowledged.

    Give either ``at_least``, compared with the value at ``path`` (dots between names and positions; empty for the value
    itself), or ``shows``, a function of the value that is true for this change *and for every later one*. With neither,
    the value is judged by the stamp ``stamp`` (incarnation, sequence) of the acknowledgement.
    """

    task: str
    key: Any
    at_least: Any = None
    path: str = ""
    shows: Callable[[Any], bool] | None = None
    stamp: tuple[int, int] = (0, 0)
    tag: str = ""

    @property
    def told(self) -> str:
        """The expectation in words."""
        if self.shows is not None:
            return f"a value of which {getattr(self.shows, '__name__', 'the function')} is true"
        if self.at_least is not None:
            return f"{self.path or 'value'} >= {self.at_least}"
        return f"stamp >= {self.stamp[1]} for {self.tag}"


class ServerAnswer(msgspec.Struct, frozen=True):
    """A server's answer; ``failed`` says why there is none, and ``is_refusal`` that it stays so."""

    value: Any = None
    verdict: str = ""
    stamp: tuple[int, int] = (0, 0)
    task: str = ""
    failed: str = ""
    is_refusal: bool = False


class AuditRead(msgspec.Struct, frozen=True):
    """One read: its begin and end in seconds after the acknowledgement, and what it proved."""

    server: str
    began_s: float
    ended_s: float
    outcome: Outcome
    expected: str = ""
    seen: str = ""


def judge(expected: Expectation, answer: ServerAnswer, *, allow_degraded: bool = False) -> tuple[Outcome, str]:
    """Judge an answer.

    Args:
        expected: What the read must show.
        answer: The server's answer.
        allow_degraded: Whether an older value that is marked as degraded is accepted (for tags that are refreshed, not
            fenced).

    Returns:
        The outcome, and what was seen.
    """
    if answer.failed:
        return "failed", answer.failed
    if answer.value is None:
        return "nothing", answer.verdict
    is_shown, seen = _shown(expected, answer)
    is_degraded = answer.verdict != "fresh"
    if is_shown:
        return ("behind" if is_degraded else "fresh"), seen
    if is_degraded and (allow_degraded or (_by_stamp(expected) and answer.task != expected.task)):
        return "behind", seen
    return "violation", seen


def _by_stamp(expected: Expectation) -> bool:
    return expected.shows is None and expected.at_least is None


def _shown(expected: Expectation, answer: ServerAnswer) -> tuple[bool, str]:
    if expected.shows is not None:
        return bool(expected.shows(answer.value)), repr(answer.value)[:200]
    if expected.at_least is not None:
        found = at(answer.value, expected.path)
        try:
            return bool(found >= expected.at_least), repr(found)[:200]
        except TypeError:
            return False, f"nothing at {expected.path!r}" if found is _GONE else repr(found)[:200]
    return answer.stamp >= expected.stamp, f"stamp {answer.stamp[1]}"


def at(value: Any, path: str) -> Any:
    """The value at a path in plain data: names of members and positions in lists, separated by dots."""
    for name in path.split(".") if path else ():
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _GONE
    return value


class AuditSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit. ``nines`` is a lower bound if there was no violation (``is_bound``)."""

    changes: int
    unacknowledged: int
    reads: int
    answered: int
    violations: int
    unavailable_share: float
    failed: int
    nines: float | None
    is_bound: bool
    fresh_count: int
    never_fresh: int
    fresh_s: dict[str, float]
    examples: list[AuditRead]
    unanswered: list[AuditRead]
    refusals: list[str]

    @property
    def unjudged(self) -> str:
        """Why nothing was judged: the first answer that was neither an acknowledgement nor a value."""
        why = next(iter([*self.refusals, *(read.seen for read in self.unanswered)]), "no read returned a value")
        return f"nothing was judged: {why}"

    @property
    def hint(self) -> str:
        """What to check first if the result looks like a mistake in how the audit was called; otherwise empty."""
        if not self.answered or self.violations < self.answered:
            return ""
        return (
            "Not one read showed a change. Before you blame the servers: is the task invalidated by what was changed "
            "(GET /v1/tasks), and is what --write expects there in the value?"
        )


def nines(violations: int, answered: int) -> tuple[float | None, bool]:
    """Consistency as -log10 of the violations' share, and whether it is only a lower bound.

    Without a violation the share is below 3/n with 95 % confidence (the rule of three).
    """
    if not answered:
        return None, False
    if not violations:
        return max(0.0, -math.log10(_RULE_OF_THREE / answered)), True
    return abs(math.log10(violations / answered)), False


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Nearest-rank percentiles by name; empty if there are no values."""
    ranks = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: found for name, share in ranks.items() if (found := percentile(values, share)) is not None}


class AuditTally:
    """Collects an audit's reads."""

    def __init__(self) -> None:
        self.changes = 0
        self.refusals: Counter[str] = Counter()
        self.never_fresh = 0
        self.fresh_s: list[float] = []
        self.counts: dict[str, int] = dict.fromkeys(("fresh", "behind", "violation", "nothing", "failed"), 0)
        self.examples: list[AuditRead] = []
        self.unanswered: dict[tuple[str, str], AuditRead] = {}

    def add(self, read: AuditRead) -> None:
        """Count a read."""
        self.counts[read.outcome] += 1
        if read.outcome == "violation" and len(self.examples) < EXAMPLES:
            self.examples.append(read)
        if read.outcome in ("nothing", "failed") and len(self.unanswered) < EXAMPLES:
            self.unanswered.setdefault((read.server, read.seen), read)

    @property
    def answered(self) -> int:
        """How many reads returned a value."""
        return sum(self.counts[name] for name in ("fresh", "behind", "violation"))

    def summary(self) -> AuditSummary:
        """Summarise the reads."""
        reads, answered = sum(self.counts.values()), self.answered
        value, is_bound = nines(self.counts["violation"], answered)
        return AuditSummary(
            changes=self.changes,
            unacknowledged=self.refusals.total(),
            reads=reads,
            answered=answered,
            violations=self.counts["violation"],
            unavailable_share=(reads - answered) / reads if reads else 0.0,
            failed=self.counts["failed"],
            nines=value,
            is_bound=is_bound,
            fresh_count=len(self.fresh_s),
            never_fresh=self.never_fresh,
            fresh_s=percentiles(self.fresh_s),
            examples=self.examples,
            unanswered=list(self.unanswered.values()),
            refusals=[why for why, _ in self.refusals.most_common(EXAMPLES)],
        )


def checked(found: Any) -> list[Expectation]:
    """The result of a ``--write`` function as a list; raises :class:`BadInput` if it is anything else."""
    several: Sequence[Any] = found if isinstance(found, list | tuple) else [found]
    if not several or not all(isinstance(one, Expectation) for one in several):
        raise BadInput(
            f"--write must return parbake_lab.audit.Expectation, or a list; got {type(found).__name__}", field="write"
        )
    return list(several)
