"""The freshness contract: how old a value may be, what kills it, what happens then, and who is told.

Pure: no clock and no I/O. Ages and confidences come in as numbers; :func:`judge` turns them into a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Protocol

import msgspec

from parbake.errors import ContractError
from parbake.fence.cause import OVERDUE, UNTRUSTED, Cause, Reason
from parbake.fence.record import FUTURE_S
from parbake.values.checks import check_flag
from parbake.values.duration import Duration, humanize, seconds


class Verdict(StrEnum):
    """What a read may do with what it found."""

    FRESH = "fresh"
    DEGRADED = "degraded"
    STALE = "stale"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Invalidation:
    """One item of ``invalidated_by``: a tag family or a tag template, and how strongly it binds.

    An item that ignores a family binds nothing, and says why in ``reason``.
    """

    template: str
    strength: Literal["fence", "refresh", "ignore"]
    debounce_s: float = 0.2
    reason: str = ""

    @property
    def family(self) -> str:
        """The part before the first slash."""
        return self.template.partition("/")[0]

    @property
    def is_template(self) -> bool:
        """Whether the tag is spelled out per key (``user/{user}``) rather than recorded by the views read."""
        return "/" in self.template


def fence(tag: str) -> Invalidation:
    """Never serve a value built before an acknowledged change of ``tag`` (a family, or a template over the key)."""
    return Invalidation(tag, "fence")


def refresh(tag: str, *, debounce: Duration = "200ms") -> Invalidation:
    """Recompute soon after a change of ``tag``; until then serve the old value, marked ``degraded``."""
    return Invalidation(tag, "refresh", seconds(debounce, field="debounce"))


def ignore(family: str, reason: str) -> Invalidation:
    """Say that a change of what the task itself reads of ``family`` does not outdate its value, and why.

    Only the task's own reads are ignored. What its inputs are fenced by fences this task too, and a task that reads
    this one may still fence the family.
    """
    return Invalidation(family, "ignore", reason=reason)


@dataclass(frozen=True, slots=True)
class Recompute:
    """Compute a value that may not be served at request time, and write it back."""


@dataclass(frozen=True, slots=True)
class ServeStale:
    """Serve a value that is only past its SLA, by at most ``within``; compute at request time after that.

    A value that a change has outdated is computed at request time, too. While an old value is served, nothing is
    computed.
    """

    within: Duration

    @property
    def within_s(self) -> float:
        """The allowed age beyond the SLA, in seconds."""
        return seconds(self.within, field="fallback_if_stale.within")


class Substitute(Protocol):
    """A task that answers in another's place, as its contract knows it."""

    @property
    def name(self) -> str:
        """The name it was declared by."""
        ...

    @property
    def may_read(self) -> Sequence[Substitute]:
        """The tasks that its values may be made of."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """Serve another task's value in place of one that may not be served, or that could not be computed.

    Attributes:
        task: The other task, an artifact.
        key: Maps this task's key to the other task's; by default they are equal.
    """

    task: Substitute
    key: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Serve nothing in place of a value that may not be served: ``Served.value`` is ``None``, the reason says why.

    A key that was never computed is computed at request time all the same.
    """


Fallback = Recompute | ServeStale | Use | Refuse


@dataclass(frozen=True, slots=True)
class Exponential:
    """Confidence ``c0 * 2 ** (-age / half_life)``; below ``floor`` the value counts as stale."""

    half_life: Duration
    c0: float = 1.0
    floor: float = 0.5

    def at(self, age_s: float) -> float:
        """Confidence at an age in seconds."""
        return self.c0 * math.pow(2.0, -age_s / seconds(self.half_life, field="confidence.half_life"))

    def max_age_s(self) -> float:
        """The age in seconds at which confidence reaches the floor."""
        return seconds(self.half_life, field="confidence.half_life") * math.log2(self.c0 / self.floor)


@dataclass(frozen=True, slots=True)
class Linear:
    """Confidence ``c0 * (1 - age / zero_at)``; below ``floor`` the value counts as stale."""

    zero_at: Duration
    c0: float = 1.0
    floor: float = 0.5

    def at(self, age_s: float) -> float:
        """Confidence at an age in seconds."""
        return max(0.0, self.c0 * (1.0 - age_s / seconds(self.zero_at, field="confidence.zero_at")))

    def max_age_s(self) -> float:
        """The age in seconds at which confidence reaches the floor."""
        return seconds(self.zero_at, field="confidence.zero_at") * (1.0 - self.floor / self.c0)


@dataclass(frozen=True, slots=True)
class Steps:
    """A step table: ``[("1h", 1.0), ("6h", 0.8)]`` means 1.0 up to one hour, 0.8 up to six, then stale."""

    table: Sequence[tuple[Duration, float]]
    floor: float = 0.0
    c0: float = 1.0

    def at(self, age_s: float) -> float:
        """Confidence at an age in seconds; 0 after the last step."""
        for until, confidence in self.table:
            if age_s <= seconds(until, field="confidence.table"):
                return confidence
        return 0.0

    def max_age_s(self) -> float:
        """The age in seconds of the last step that is not below the floor."""
        return max((seconds(u, field="confidence.table") for u, c in self.table if c >= self.floor), default=0.0)


Curve = Exponential | Linear | Steps


@dataclass(frozen=True)
class Contract:
    """What a stored artifact promises. Durations are seconds."""

    freshness_sla_s: float
    invalidated_by: tuple[Invalidation, ...]
    fallback_if_stale: Fallback
    owner: str
    confidence: Curve | None = None

    @property
    def binding(self) -> tuple[Invalidation, ...]:
        """The fences and refreshes: what can outdate a value."""
        return self._binding

    @cached_property
    def _binding(self) -> tuple[Invalidation, ...]:
        return tuple(item for item in self.invalidated_by if item.strength != "ignore")

    @cached_property
    def declared(self) -> frozenset[str]:
        """Every family that the contract names, ignored ones included."""
        return frozenset(item.family for item in self.invalidated_by)

    @cached_property
    def names_keys(self) -> bool:
        """Whether some template names tags by the key, so that keys are bound by different ones."""
        return any(item.is_template for item in self.binding)

    def strength(self, family: str) -> str | None:
        """How strongly a tag family binds this task: ``"fence"``, ``"refresh"``, or not at all."""
        return self._strengths.get(family)

    @cached_property
    def _strengths(self) -> dict[str, str]:
        """By family; a fence is the stronger of two."""
        fences = {item.family: "fence" for item in self.binding if item.strength == "fence"}
        return {item.family: item.strength for item in self.binding} | fences

    def accounts_for(self, family: str) -> bool:
        """Whether reads of a family need no tag of their own: it is ignored, or a template names what is read."""
        return any(i.family == family and (i.strength == "ignore" or i.is_template) for i in self.invalidated_by)


@dataclass(frozen=True, slots=True)
class Every:
    """A batch schedule. ``budget_s`` is how long a run may take; ``off_peak`` lets it look for the cheapest slot.

    A ``planned`` one computes the keys that the task's adopted plan picks; one that ``reverses`` follows a real-time
    plan as soon as a trigger surely speaks for it.
    """

    period_s: float
    budget_s: float
    off_peak: bool = False
    planned: bool = False
    reverses: bool = False


def every(period: Duration, *, budget: Duration | None = None, off_peak: bool = False) -> Every:
    """Run the batch lane once per period.

    Args:
        period: The time between the starts of two runs.
        budget: How long a run may take; by default an eighth of the period.
        off_peak: Whether a run may start earlier, when traffic is lowest. It may start as long before the end of the
            period as the freshness SLA would let it start after.
    """
    check_flag(off_peak, field="refresh.off_peak", error=ContractError)
    period_s = seconds(period, field="refresh.period")
    return Every(period_s, period_s / 8 if budget is None else seconds(budget, field="refresh.budget"), off_peak)


def planned(
    period: Duration | None = None,
    *,
    budget: Duration | None = None,
    off_peak: bool = True,
    reverses: bool = False,
) -> Every:
    """Compute ahead what the adopted plan picks; without a plan, everything is left to requests.

    Plans are made from the task's own requests, and are adopted or rolled back with ``parbake planned``.

    Args:
        period: The time between the starts of two runs; by default period and budget fill the freshness SLA.
        budget: How long a run may take.
        off_peak: Whether a run may start earlier, when traffic is lowest.
        reverses: Whether a worker applies hour by hour what ``parbake triggers`` proposes. Otherwise a person does,
            with ``--apply``.
    """
    check_flag(reverses, field="refresh.reverses", error=ContractError)
    if period is None:
        check_flag(off_peak, field="refresh.off_peak", error=ContractError)
        budget_s = 0.0 if budget is None else seconds(budget, field="refresh.budget")
        return Every(0.0, budget_s, off_peak, planned=True, reverses=reverses)
    return replace(every(period, budget=budget, off_peak=off_peak), planned=True, reverses=reverses)


def fitted(schedule: Every | None, sla_s: float) -> Every | None:
    """A schedule whose period, where it was left open, fills an SLA of so many seconds."""
    if schedule is None or schedule.period_s:
        return schedule
    period_s = sla_s * 8 / 9 if not schedule.budget_s else sla_s - schedule.budget_s
    return replace(schedule, period_s=period_s, budget_s=schedule.budget_s or sla_s / 9)


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """A verdict with the confidence left at that age (0 to 1) and, unless fresh, the reason."""

    verdict: Verdict
    confidence: float
    reason: Reason | None = None

    @property
    def is_overdue(self) -> bool:
        """Whether the record is only too old: no change has killed it."""
        return self.verdict is Verdict.STALE and self.reason is not None and self.reason.cause in OVERDUE


SERVABLE = (Verdict.FRESH, Verdict.DEGRADED)
"""The verdicts under which a record is served as it is."""
_FRESH = Judgement(Verdict.FRESH, 1.0)
_REFRESH_PENDING = Reason(Cause.REFRESH_PENDING)
_PENDING = Judgement(Verdict.DEGRADED, 1.0, _REFRESH_PENDING)
_FALLEN = Reason(Cause.CONFIDENCE_FALLEN)


def judge(contract: Contract, *, age_s: float, killed_by: Reason | None, pending: bool) -> Judgement:
    """Judge a record that was found.

    Args:
        contract: The contract of the record's task.
        age_s: The record's age in seconds. Below ``-FUTURE_S`` the clock that dated it counts as wrong.
        killed_by: The fence's reason not to serve it; ``None`` when it passed.
        pending: Whether a tag that only refreshes was raised after the record's stamp.

    Returns:
        The verdict, the confidence that is left, and the reason unless it is fresh.
    """
    if killed_by is not None:
        verdict = Verdict.UNKNOWN if killed_by.cause in UNTRUSTED else Verdict.STALE
        return Judgement(verdict, 0.0, killed_by)
    if age_s < -FUTURE_S:
        return Judgement(Verdict.STALE, 0.0, Reason(Cause.FROM_THE_FUTURE))
    if age_s > contract.freshness_sla_s:
        return Judgement(Verdict.STALE, 0.0, Reason(Cause.PAST_SLA, humanize(contract.freshness_sla_s)))
    if contract.confidence is None:
        return _PENDING if pending else _FRESH
    left = contract.confidence.at(age_s)
    if left < contract.confidence.floor or left <= 0:
        about = f"{left:.2f} is below {contract.confidence.floor}"
        return Judgement(Verdict.STALE, left, Reason(Cause.CONFIDENCE_TOO_LOW, about))
    if pending:
        return Judgement(Verdict.DEGRADED, left, _REFRESH_PENDING)
    return (
        Judgement(Verdict.FRESH, left) if left >= contract.confidence.c0 else Judgement(Verdict.DEGRADED, left, _FALLEN)
    )
