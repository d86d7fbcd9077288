"""Hard vetoes: questions that must never get a precompiled answer, however similar they are. Each has a reason code.

A question is screened once by itself. If it passes, it is compared with each wording that it is matched with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from parbake.errors import BadInput
from parbake_semantic.text.contradictions import negations, opposed, quantities
from parbake_semantic.text.normalize import main_script, normalize, unusable, visible


class Veto(msgspec.Struct, frozen=True):
    """A reason code and its rule. A rule reads visible text in lower case (:func:`normalize.visible`).

    Args:
        code: The reason that a reply gives.
        pair: Whether a question must not get the answer to a wording; called with the question and the wording.
        alone: Whether a question must get no precompiled answer at all; called with the question.
    """

    code: str
    pair: Callable[[str, str], bool] | None = None
    alone: Callable[[str], bool] | None = None


class Screened(msgspec.Struct, frozen=True):
    """A question that was screened by itself (:func:`screen`).

    Args:
        text: The question as it was asked.
        visible: The question as a reader sees it, in lower case.
        refusal: The reason why it gets no precompiled answer; empty if it may get one.
    """

    text: str
    visible: str
    refusal: str = ""


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
# Facts from this customer's record. How to change them is a question that all customers ask.
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


def depends_on_context(question: str) -> bool:
    """Whether it is meaningful only after what was said before."""
    return bool(_CONTEXT.search(question)) and not _OWN_ANTECEDENT.search(question)


def asks_for_own_state(question: str) -> bool:
    """Whether it asks about this customer's own order, parcel, refund or account."""
    return bool(_STATE.search(question) or _OWN_RECORD.search(question))


def asks_for_live_data(question: str, alias: str) -> bool:
    """Whether it mentions price, stock or promotions and the matched wording does not."""
    return bool(_LIVE.search(question)) and not _LIVE.search(alias)


def has_question_marks(question: str) -> bool:
    """Whether it contains more than one question mark."""
    return question.count("?") > 1


def asks_several_things(question: str, alias: str) -> bool:
    """Whether it asks or orders a second thing, and the matched wording does not."""
    return bool(_SEVERAL.search(question)) and not _SEVERAL.search(alias)


def looks_injected(question: str) -> bool:
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
    Veto("injection", alone=looks_injected),
    Veto("context_dependent", alone=depends_on_context),
    Veto("own_state", alone=asks_for_own_state),
    Veto("numbers_differ", numbers_differ),
    Veto("polarity_differs", polarity_differs),
    Veto("live_data", asks_for_live_data),
    Veto("several_questions", asks_several_things, has_question_marks),
    Veto("one_word", is_one_word),
    Veto("scripts_differ", scripts_differ),
)


def checked(vetoes: Sequence[Veto]) -> tuple[Veto, ...]:
    """The vetoes as a tuple; raises :class:`BadInput` for anything but vetoes."""
    found = tuple(vetoes)
    for each in found:
        if not isinstance(each, Veto):
            raise BadInput(f"vetoes must contain parbake_semantic.Veto objects; got {each!r}", field="vetoes")
    return found


def screen(question: str, vetoes: Sequence[Veto] = VETOES) -> Screened:
    """Judge a question by itself, before it is matched with anything.

    Args:
        question: The question.
        vetoes: The vetoes to apply. Only their ``alone`` rules are used.
    """
    asked = visible(question)
    reason = unusable(question) or next((v.code for v in vetoes if v.alone is not None and v.alone(asked)), "")
    return Screened(question, asked, reason)


def veto(question: str | Screened, alias: str, vetoes: Sequence[Veto] = VETOES) -> str | None:
    """Return the first reason code why a match may not be served, or ``None``.

    An application adds its own vetoes with ``vetoes=(*VETOES, Veto("other_product", differs))``.

    Args:
        question: The question; one that was screened already is not screened again.
        alias: The matched wording.
        vetoes: The vetoes to apply.
    """
    asked = screen(question, vetoes) if isinstance(question, str) else question
    if asked.refusal:
        return asked.refusal
    known = visible(alias)
    return next((v.code for v in vetoes if v.pair is not None and v.pair(asked.visible, known)), None)
