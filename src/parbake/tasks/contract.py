"""The freshness contract: how old a value may be, what outdates it, what happens then, and who is alerted.

Pure: no clock and no I/O. :func:`parbake.protocol.verdict.judge` judges values by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from parbake.errors import ContractError
from parbake.ports.offers import Port
from parbake.values.checks import check_flag
from parbake.values.duration import Duration, humanize, seconds


@dataclass(frozen=True, slots=True)
class Invalidation:
    """One item of ``invalidated_by``: a tag family or a tag template, and how strongly it binds.

    An item that ignores a family binds nothing, and gives the ``reason``.
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
        """Whether the tag is filled in per key (``user/{user}``); otherwise the views record it as they are read."""
        return "/" in self.template


def fence(tag: str) -> Invalidation:
    """Never serve a value built before an acknowledged change of ``tag`` (a family, or a template over the key)."""
    return Invalidation(tag, "fence")


def refresh(tag: str, *, debounce: Duration = "200ms") -> Invalidation:
    """Recompute soon after a change of ``tag``; until then serve the old value, marked ``degraded``."""
    return Invalidation(tag, "refresh", seconds(debounce, field="debounce"))


def ignore(family: str, reason: str) -> Invalidation:
    """State that the task's own reads of ``family`` do not outdate its value, and give the reason.

    Only the task's own reads are ignored. The fences of its inputs fence this task, too, and a task that reads this one
    may still fence the family.
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
    """The parts of a substitute task that the contract uses."""

    @property
    def name(self) -> str:
        """The name under which it was declared."""
        ...

    @property
    def may_read(self) -> Sequence[Substitute]:
        """The tasks whose values it may read."""
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
    """Serve no value if the stored one may not be served: ``Served.value`` is ``None``, and ``reason`` says why.

    A key that was never computed is nevertheless computed at request time.
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
        """The age in seconds from which the confidence is below the floor."""
        return max((seconds(u, field="confidence.table") for u, c in self.table if c >= self.floor), default=0.0)


Curve = Exponential | Linear | Steps


@dataclass(frozen=True)
class Contract:
    """The promises of a stored artifact: age, invalidation, fallback and owner. Durations are seconds.

    ``defaulted`` are the fields that nobody stated: see :func:`parbake.cached`. ``tolerated_silence_s`` is how long a
    source may be silent until values that depend on it are not served any more.
    """

    freshness_sla_s: float
    invalidated_by: tuple[Invalidation, ...]
    fallback_if_stale: Fallback
    owner: str
    confidence: Curve | None = None
    defaulted: tuple[str, ...] = ()
    tolerated_silence_s: float = 0.0

    @property
    def freshness_sla(self) -> str:
        """The greatest age as people write it, such as ``1h30m``."""
        return humanize(self.freshness_sla_s)

    @property
    def binding(self) -> tuple[Invalidation, ...]:
        """The fences and refreshes, which can outdate a value; without ignored families."""
        return self._binding

    @cached_property
    def _binding(self) -> tuple[Invalidation, ...]:
        return tuple(item for item in self.invalidated_by if item.strength != "ignore")

    @cached_property
    def declared(self) -> frozenset[str]:
        """Every family that the contract names, including ignored ones."""
        return frozenset(item.family for item in self.invalidated_by)

    @cached_property
    def names_keys(self) -> bool:
        """Whether any template contains the key, so that different keys have different tags."""
        return any(item.is_template for item in self.binding)

    def strength(self, family: str) -> str | None:
        """How strongly a tag family binds this task: ``"fence"``, ``"refresh"``, or not at all."""
        return self._strengths.get(family)

    @cached_property
    def _strengths(self) -> dict[str, str]:
        """The strength by family; a fence outranks a refresh."""
        fences = {item.family: "fence" for item in self.binding if item.strength == "fence"}
        return {item.family: item.strength for item in self.binding} | fences

    def accounts_for(self, family: str) -> bool:
        """Whether reads of a family may go without a tag: the family is ignored, or a template names the tag."""
        return any(i.family == family and (i.strength == "ignore" or i.is_template) for i in self.invalidated_by)


@dataclass(frozen=True)
class KeyChoice:
    """Leaves it to a plugin which keys a run computes.

    Attributes:
        label: How the table of tasks names it, such as ``as planned``.
        port: Where the plugin offers its :class:`parbake.lanes.batch.choosing.RefreshPolicy`.
    """

    label: str
    port: Port[Any]


@dataclass(frozen=True, slots=True)
class Every:
    """A batch schedule. ``budget_s`` is how long a run may take; ``off_peak`` lets it look for the cheapest slot.

    With a ``choice``, a plugin decides which of the listed keys a run computes, and whether it computes any.
    """

    period_s: float
    budget_s: float
    off_peak: bool = False
    choice: KeyChoice | None = None


def every(period: Duration, *, budget: Duration | None = None, off_peak: bool = False) -> Every:
    """Run the batch lane once per period.

    Args:
        period: The time between the starts of two runs.
        budget: How long a run may take; by default an eighth of the period.
        off_peak: Whether a run may start earlier, when traffic is lowest. It may start before the end of the period by
            as much as the freshness SLA would let it start after.
    """
    check_flag(off_peak, field="refresh.off_peak", error=ContractError)
    period_s = seconds(period, field="refresh.period")
    return Every(period_s, period_s / 8 if budget is None else seconds(budget, field="refresh.budget"), off_peak)


def fitted(schedule: Every | None, sla_s: float) -> Every | None:
    """Return the schedule; if its period was left open, period and budget fill an SLA of ``sla_s`` seconds."""
    if schedule is None or schedule.period_s:
        return schedule
    period_s = sla_s * 8 / 9 if not schedule.budget_s else sla_s - schedule.budget_s
    return replace(schedule, period_s=period_s, budget_s=schedule.budget_s or sla_s / 9)
