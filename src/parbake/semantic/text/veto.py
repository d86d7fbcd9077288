"""Hard vetoes: questions that must never get a precompiled answer, however similar they are. Each has a reason code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from parbake.semantic.text.contradictions import negations, opposed, quantities
from parbake.semantic.text.normalize import main_script, normalize, unusable, visible

Veto = tuple[str, Callable[[str, str], bool]]
"""A reason code, and its rule for a question and the matched wording, both as visible text in lower case."""

_CONTEXT = re.compile(
    r"^(?:and|but|or|so|then|also|what about|how about|same for|in that case|why|really)\b"
    r"|\b(?:it|that one|this one|those|them|the same|the other one|the first one|the second one|instead)\b"
    r"|^\.\.\.|\.\.\.$"
)
# A thing the sentence itself names may be called "it" later in the sentence.
_OWN_ANTECEDENT = re.compile(
    r"\b(?:a|an|the|my|some|any)\s+(?:\w+\s+)?(?:book|item|order|parcel|manga|gift|product|copy|refund)s?\b.*\bit\b"
)
_STATE = re.compile(
    r"\bmy (?:last |latest |recent )?"
    r"(?:orders?|parcel|package|delivery|shipment|refund|cart|basket|account|points|payment)\b.*"
    r"\b(?:arrive[ds]?|arriving|status|late|lost|missing|stuck|where|shipped|here|yet|gone|coming|balance|wrong)\b"
    r"|\bwhere(?:'?s| is| are)\b.*\bmy\b|\btrack(?:ing)?\b.*\bmy\b|\bhas my\b|\bdid my\b|\bhow many points do i\b"
)
# What only this customer's record says; how to change it is a question that all customers ask.
_RECORD = (
    r"(?:balance|address|e-?mail|phone|number|name|plan|subscription|points|bills?|orders?|purchases?|cart|basket"
    r"|history|invoices?|payments?|limit|salary|appointments?|data|password)"
)
_OWN_RECORD = re.compile(
    r"\b(?:what(?:'?s| is| are| was| were)|which(?: is| are)?|when (?:is|are|was)|show(?: me)?|tell me|give me|list)"
    rf"(?: all)?(?: of)? my (?:\w+ ){{0,2}}{_RECORD}\b"
    rf"|\b(?:the )?{_RECORD} (?:of|on|in) my (?:account|card|order)\b|\bwhen (?:does|do|will) my\b|\bam i (?:a|an|on)\b"
    r"|\bdid i (?:ever |already |just |last )?(?:order|buy|spend|pay|return|earn|say|ask|tell|book)\b"
    r"|\bhave i (?:ever |already |just )?(?:ordered|bought|spent|paid|returned|earned|said|asked|told|booked)\b"
    r"|\bdo i (?:still )?owe\b|\bdo you (?:know|remember) my\b|\bwho am i\b"
)
_LIVE = re.compile(
    r"\b(?:in stock|out of stock|sold out|available|availability|price|prices|cheap(?:er|est)?|discount(?:s|ed)?|sale"
    r"|promotions?|promo code|deals?|coupons?|delivery date|arrival date|when will .* (?:arrive|be delivered))\b"
)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|previous|above|rule|prompt)s?\b|\bsystem prompt\b"
    r"|\byou are now\b|\bpretend (?:to be|you)\b|\bjailbreak\b|\bact as (?:if|an?|though)\b"
    r"|</?(?:system|user|assistant)>"
)
_SEVERAL = re.compile(
    r"[?;.]\s+(?:and|also|plus)\b|\b(?:and|also|plus) (?:how|what|when|where|why|which|who|can i|do i|does|is there)\b"
    r"|\b(?:and|also|plus) (?:then |to |please )?(?:activate|apply|buy|cancel|change|check|claim|close|delete|exchange"
    r"|find|get|move|open|order|pay|redeem|replace|report|reset|return|send|stop|swap|track|update|use|verify)"
    r" (?:the|my|an?|it|them|this|that|these|those|another|one|some)\b"
)
_PERSONAL = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+|(?:\+?\d[\s().-]?){9,}"
    r"|\b(?:my name is|i am called|i live (?:in|at)|my (?:phone|address|email) is)\b"
)


def numbers_differ(question: str, alias: str) -> bool:
    """Whether the two name different numbers, ids or dates."""
    return quantities(question) != quantities(alias)


def polarity_differs(question: str, alias: str) -> bool:
    """Whether one is negated and the other is not, or one says the opposite of the other."""
    return negations(question) % 2 != negations(alias) % 2 or opposed(question, alias)


def depends_on_context(question: str, alias: str) -> bool:  # noqa: ARG001 - every veto has one signature
    """Whether it is meaningful only after what was said before."""
    return bool(_CONTEXT.search(question)) and not _OWN_ANTECEDENT.search(question)


def asks_for_own_state(question: str, alias: str) -> bool:  # noqa: ARG001 - as above
    """Whether it asks about this customer's own order, parcel, refund or account."""
    return bool(_STATE.search(question) or _OWN_RECORD.search(question))


def asks_for_live_data(question: str, alias: str) -> bool:
    """Whether it mentions price, stock or promotions and the matched wording does not."""
    return bool(_LIVE.search(question)) and not _LIVE.search(alias)


def asks_several_things(question: str, alias: str) -> bool:
    """Whether it contains more than one question."""
    return question.count("?") > 1 or (bool(_SEVERAL.search(question)) and not _SEVERAL.search(alias))


def looks_injected(question: str, alias: str) -> bool:  # noqa: ARG001 - as above
    """Whether it tries to instruct the assistant rather than ask."""
    return bool(_INJECTION.search(question))


def is_one_word(question: str, alias: str) -> bool:
    """Whether it is a single word, which could mean anything, and not the matched wording itself."""
    plain = normalize(question)
    return " " not in plain and main_script(plain) == "LATIN" and plain != normalize(alias)


def scripts_differ(question: str, alias: str) -> bool:
    """Whether the two are written in different scripts."""
    return main_script(question) != main_script(alias)


def is_personal(text: str) -> bool:
    """Whether a text is about one person: an address, a long number, the state of their own order.

    Such a text is never added to a bank from which others are answered.
    """
    plain = visible(text)
    return bool(_PERSONAL.search(plain) or _STATE.search(plain) or _OWN_RECORD.search(plain))


VETOES: tuple[Veto, ...] = (
    ("injection", looks_injected),
    ("context_dependent", depends_on_context),
    ("own_state", asks_for_own_state),
    ("numbers_differ", numbers_differ),
    ("polarity_differs", polarity_differs),
    ("live_data", asks_for_live_data),
    ("several_questions", asks_several_things),
    ("one_word", is_one_word),
    ("scripts_differ", scripts_differ),
)


def veto(question: str, alias: str, vetoes: Sequence[Veto] = VETOES) -> str | None:
    """Return the first reason code why a match may not be served, or ``None``.

    An application adds its own vetoes with ``vetoes=(*VETOES, ("other_product", differs))``.

    Args:
        question: The question.
        alias: The matched wording.
        vetoes: The vetoes to apply.
    """
    return _usual(question, alias) if vetoes is VETOES else _first(question, alias, vetoes)


def _first(question: str, alias: str, vetoes: Sequence[Veto]) -> str | None:
    reason = unusable(question)
    if reason:
        return reason
    asked, known = visible(question), visible(alias)
    return next((code for code, applies in vetoes if applies(asked, known)), None)


@lru_cache(4_096)  # a question is judged several times, and the same questions return
def _usual(question: str, alias: str) -> str | None:
    return _first(question, alias, VETOES)
