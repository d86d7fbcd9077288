"""Hard vetoes: questions that no precompiled answer may meet, however near it lies. Each has a reason code."""

from __future__ import annotations

import re
from collections.abc import Callable

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|cannot|can'?t|won'?t|don'?t|doesn'?t|isn'?t|aren'?t|un(?:opened|used|read))\b"
)
_CONTEXT = re.compile(
    r"^(?:and|but|or|so|then|also|what about|how about|same for|in that case|why|really)\b"
    r"|\b(?:it|that one|this one|those|them|the same|the other one|the first one|the second one|instead)\b"
)
# A thing the sentence itself names may be called "it" later in the sentence.
_OWN_ANTECEDENT = re.compile(
    r"\b(?:a|an|the|my|some|any)\s+(?:\w+\s+)?(?:book|item|order|parcel|manga|gift|product|copy|refund)s?\b.*\bit\b"
)
_STATE = re.compile(
    r"\bmy (?:last |latest |recent )?"
    r"(?:orders?|parcel|package|delivery|shipment|refund|cart|basket|account|points|payment)\b.*"
    r"\b(?:arrive[ds]?|arriving|status|late|lost|missing|stuck|where|shipped|here|yet|gone|coming|balance|wrong)\b"
    r"|\bwhere(?:'s| is| are)\b.*\bmy\b|\btrack(?:ing)?\b.*\bmy\b|\bhas my\b|\bdid my\b|\bhow many points do i\b"
)
_LIVE = re.compile(
    r"\b(?:in stock|available|availability|price|cheap(?:er|est)?|discount|sale|promotion|deal|coupon)\b"
)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instruction|previous|above|rule|prompt)s?\b|\bsystem prompt\b"
    r"|\byou are now\b"
)


def numbers_differ(question: str, alias: str) -> bool:
    """Whether the question names numbers that the matched wording does not."""
    return set(_NUMBER.findall(question)) != set(_NUMBER.findall(alias))


def polarity_differs(question: str, alias: str) -> bool:
    """Whether one is negated and the other is not."""
    return bool(_NEGATION.search(question)) != bool(_NEGATION.search(alias))


def depends_on_context(question: str, alias: str) -> bool:  # noqa: ARG001 - every veto has one signature
    """Whether it means something only after what was said before."""
    return bool(_CONTEXT.search(question)) and not _OWN_ANTECEDENT.search(question)


def asks_for_own_state(question: str, alias: str) -> bool:  # noqa: ARG001 - as above
    """Whether it asks about this customer's own order, parcel, refund or account."""
    return bool(_STATE.search(question))


def asks_for_live_data(question: str, alias: str) -> bool:
    """Whether it names price, stock or promotions, which the matched wording does not."""
    return bool(_LIVE.search(question)) and not _LIVE.search(alias)


def asks_several_things(question: str, alias: str) -> bool:  # noqa: ARG001 - as above
    """Whether it holds more than one question."""
    return question.count("?") > 1


def looks_injected(question: str, alias: str) -> bool:  # noqa: ARG001 - as above
    """Whether it tries to instruct the assistant rather than ask."""
    return bool(_INJECTION.search(question))


VETOES: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("injection", looks_injected),
    ("context_dependent", depends_on_context),
    ("own_state", asks_for_own_state),
    ("numbers_differ", numbers_differ),
    ("polarity_differs", polarity_differs),
    ("live_data", asks_for_live_data),
    ("several_questions", asks_several_things),
)


def veto(question: str, alias: str) -> str | None:
    """The first reason code why a match may not be served, or ``None``."""
    asked, known = question.strip().lower(), alias.lower()
    return next((code for code, applies in VETOES if applies(asked, known)), None)
