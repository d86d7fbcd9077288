"""Why a value is not served, or not with full confidence: a cause and its subject.

Code decides by the cause. The sentence for people is made from it only for output, and no code reads it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Cause(StrEnum):
    """The reason code why a record is not served as fresh."""

    NEVER_COMPUTED = "never_computed"
    DAMAGED = "damaged"
    ABSENT = "absent"
    OFF = "off"
    COMPUTE_FAILED = "compute_failed"
    TAG_CHANGED = "tag_changed"
    SOURCE_SILENT = "source_silent"
    STORE_UNTRUSTED = "store_untrusted"
    BELOW_FLOOR = "below_floor"
    INCARNATION_LOST = "incarnation_lost"
    VALID_UNTIL_PASSED = "valid_until_passed"
    GENERATION_WITHDRAWN = "generation_withdrawn"
    INPUT_WITHDRAWN = "input_withdrawn"
    MODEL_REPLACED = "model_replaced"
    QUARANTINED = "quarantined"
    BEFORE_CLEARING = "before_clearing"
    FROM_THE_FUTURE = "from_the_future"
    PAST_SLA = "past_sla"
    CONFIDENCE_TOO_LOW = "confidence_too_low"
    CONFIDENCE_FALLEN = "confidence_fallen"
    REFRESH_PENDING = "refresh_pending"
    BUDGET_EXCEEDED = "budget_exceeded"
    INPUT_MISSING = "input_missing"
    WITHOUT_STORE = "without_store"


UNTRUSTED = frozenset({Cause.SOURCE_SILENT, Cause.STORE_UNTRUSTED})
"""Causes for which it is not known whether the record is still right."""
OVERDUE = frozenset({Cause.PAST_SLA, Cause.CONFIDENCE_TOO_LOW})
"""Causes for which the record is only old: no change has killed it, so ``ServeStale`` may serve it for a while."""
FOR_GOOD = frozenset({Cause.BELOW_FLOOR, Cause.INCARNATION_LOST})
"""Causes for which the record is never served again: the store has lost data since the record was written."""
_SENTENCES = {
    Cause.NEVER_COMPUTED: "never computed",
    Cause.DAMAGED: "the stored record is damaged",
    Cause.ABSENT: "{about}",
    Cause.OFF: "{about}",
    Cause.COMPUTE_FAILED: "{about}",
    Cause.TAG_CHANGED: "{about} changed",
    Cause.SOURCE_SILENT: "unknown: the source of {about} is silent",
    Cause.STORE_UNTRUSTED: "unknown: the store's incarnation is not blessed",
    Cause.BELOW_FLOOR: "below the floor",
    Cause.INCARNATION_LOST: "from an incarnation that was lost",
    Cause.VALID_UNTIL_PASSED: "past valid_until",
    Cause.GENERATION_WITHDRAWN: "its generation is withdrawn",
    Cause.INPUT_WITHDRAWN: "built from a withdrawn generation of {about}",
    Cause.MODEL_REPLACED: "built with an earlier {about}",
    Cause.QUARANTINED: "in quarantine: {about}",
    Cause.BEFORE_CLEARING: "from before its quarantine was cleared",
    Cause.FROM_THE_FUTURE: "computed in the future: check the clocks",
    Cause.PAST_SLA: "past its SLA of {about}",
    Cause.CONFIDENCE_TOO_LOW: "confidence {about}",
    Cause.CONFIDENCE_FALLEN: "confidence has fallen with age",
    Cause.REFRESH_PENDING: "refresh pending",
    Cause.BUDGET_EXCEEDED: "refine budget of {about} exceeded",
    Cause.INPUT_MISSING: "{about}",
    Cause.WITHOUT_STORE: "the store does not answer",
}


class Reason(msgspec.Struct, frozen=True, gc=False):
    """A cause, and the tag, family, task, number or text that it is about.

    ``str()`` makes the sentence for people.
    """

    cause: Cause
    about: str = ""

    def __str__(self) -> str:
        return _SENTENCES[self.cause].format(about=self.about)


def graver_doubt(one: Reason | None, other: Reason | None) -> Reason | None:
    """The doubt that says more of two: a value that was computed without the store is right, but in no store.

    Args:
        one: A doubt, or ``None``.
        other: Another one.
    """
    if one is None or (other is not None and one.cause is Cause.WITHOUT_STORE):
        return other or one
    return one
