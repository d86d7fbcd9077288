"""The verdict on a stored value: its age and its confidence under a contract, and the fence's reason against it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from parbake.protocol.cause import OVERDUE, UNTRUSTED, Cause, Reason
from parbake.protocol.record import FUTURE_S


class Verdict(StrEnum):
    """The judgement of a stored value; it decides whether a read may serve it."""

    FRESH = "fresh"
    DEGRADED = "degraded"
    STALE = "stale"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Falling(Protocol):
    """How confidence falls with age."""

    @property
    def c0(self) -> float:
        """The confidence at the age of 0."""
        ...

    @property
    def floor(self) -> float:
        """The confidence below which a value counts as stale."""
        ...

    def at(self, age_s: float) -> float:
        """Confidence at an age in seconds."""
        ...


class AgeTerms(Protocol):
    """The terms of a contract by which a value's age is judged."""

    @property
    def freshness_sla_s(self) -> float:
        """The greatest age at which a value is fresh, in seconds."""
        ...

    @property
    def freshness_sla(self) -> str:
        """The same as people write it, such as ``1h30m``."""
        ...

    @property
    def confidence(self) -> Falling | None:
        """How confidence falls with age; ``None`` if it does not."""
        ...


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """A verdict, the confidence at the record's age (0 to 1) and, unless it is fresh, the reason.

    ``doubt`` names the silent source if the value is served although changes may not have been heard.
    """

    verdict: Verdict
    confidence: float
    reason: Reason | None = None
    doubt: Reason | None = None

    @property
    def is_overdue(self) -> bool:
        """Whether the record is only too old, and not killed by a change."""
        return self.verdict is Verdict.STALE and self.reason is not None and self.reason.cause in OVERDUE


SERVABLE = (Verdict.FRESH, Verdict.DEGRADED)
"""The verdicts under which a record is served as it is."""
_FRESH = Judgement(Verdict.FRESH, 1.0)
_REFRESH_PENDING = Reason(Cause.REFRESH_PENDING)
_PENDING = Judgement(Verdict.DEGRADED, 1.0, _REFRESH_PENDING)
_FALLEN = Reason(Cause.CONFIDENCE_FALLEN)


def judge(terms: AgeTerms, *, age_s: float, killed_by: Reason | None, pending: bool) -> Judgement:
    """Judge a stored record by its age, the fence and pending refreshes.

    Args:
        terms: The terms of the contract of the record's task.
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
    if age_s > terms.freshness_sla_s:
        return Judgement(Verdict.STALE, 0.0, Reason(Cause.PAST_SLA, terms.freshness_sla))
    if terms.confidence is None:
        return _PENDING if pending else _FRESH
    left = terms.confidence.at(age_s)
    if left < terms.confidence.floor or left <= 0:
        about = f"{left:.2f} is below {terms.confidence.floor}"
        return Judgement(Verdict.STALE, left, Reason(Cause.CONFIDENCE_TOO_LOW, about))
    if pending:
        return Judgement(Verdict.DEGRADED, left, _REFRESH_PENDING)
    return Judgement(Verdict.FRESH, left) if left >= terms.confidence.c0 else Judgement(Verdict.DEGRADED, left, _FALLEN)


def doubted(judgement: Judgement, family: str, silence_s: float, tolerated_s: float) -> Judgement:
    """Judge a record that nothing known forbids to serve, but whose source is silent.

    Args:
        judgement: The judgement as if the source had been heard: servable, or only overdue.
        family: The family whose source is silent.
        silence_s: For how long it has been, in seconds.
        tolerated_s: The longest silence that the contracts of the task and of its consumers tolerate.

    Returns:
        An unknown verdict; or within the tolerated silence the judgement, in doubt and at most degraded.
    """
    doubt = Reason(Cause.SOURCE_SILENT, family)
    if silence_s > tolerated_s:
        return Judgement(Verdict.UNKNOWN, 0.0, doubt)
    if judgement.verdict in SERVABLE:
        return Judgement(Verdict.DEGRADED, judgement.confidence, doubt, doubt)
    return Judgement(judgement.verdict, judgement.confidence, judgement.reason, doubt)
