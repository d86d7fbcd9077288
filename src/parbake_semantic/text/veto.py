"""Hard vetoes: questions that must never get a precompiled answer, however similar they are. Each has a reason code.

A question is screened once by itself. If it passes, it is compared with each wording that it is matched with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from parbake.errors import BadInput
from parbake_semantic.text.contradictions import negations, opposed, opposites_of, quantities
from parbake_semantic.text.normalize import MOST_LETTERS, main_script, normalize, unusable, visible
from parbake_semantic.vocabulary import GENERAL, NEUTRAL, Vocabulary, any_of


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
        vetoes: The vetoes by which it was screened.
    """

    text: str
    visible: str
    refusal: str = ""
    vetoes: tuple[Veto, ...] = ()


_CONTEXT = re.compile(
    r"^(?:and|but|or|so|then|also|what about|how about|same for|in that case|why|really)\b"
    r"|\b(?:it|that one|this one|those|them|the same|the other one|the first one|the second one|instead)\b"
    r"|^\.\.\.|\.\.\.$"
)
_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|previous|above|rule|prompt)s?\b|\bsystem prompt\b"
    r"|\byou are now\b|\bpretend (?:to be|you)\b|\bjailbreak\b|\bact as (?:if|an?|though)\b"
    r"|</?(?:system|user|assistant)>"
)
_PERSONAL = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[\w-]+\.\w+|(?:\+?\d[\s().-]?){9,}"
    r"|\b(?:my name is|i am called|i live (?:in|at)|my (?:phone|address|email) is)\b"
)


def numbers_differ(question: str, alias: str) -> bool:
    """Whether the two name different numbers, ids or dates."""
    return quantities(question) != quantities(alias)


def _has_question_marks(question: str) -> bool:
    """Whether it contains more than one question mark."""
    return question.count("?") > 1


def _looks_injected(question: str) -> bool:
    """Whether it tries to instruct the assistant rather than ask."""
    return bool(_INJECTION.search(question))


def _is_one_word(question: str, alias: str) -> bool:
    """Whether it is a single word, which could mean anything, and not the matched wording itself."""
    plain = normalize(question)
    return " " not in plain and main_script(plain) == "LATIN" and plain != normalize(alias)


def scripts_differ(question: str, alias: str) -> bool:
    """Whether the two are written in different scripts."""
    return main_script(question) != main_script(alias)


class _Rules:
    """The rules that depend on a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        def either(name: str) -> str:
            return f"(?:{any_of((*getattr(GENERAL, name), *getattr(vocabulary, name)))})"

        # A thing the sentence itself names may be called "it" later in the sentence.
        self._names_a_thing = re.compile(
            rf"\b(?:a|an|the|my|some|any)\s+(?:\w+\s+)?{either('things')}\b.{{0,200}}\bit\b"
        )
        # Facts from this customer's record. How to change them is a question that all customers ask.
        self._own = re.compile(
            rf"\bmy (?:last |latest |recent )?{either('own')}\b.{{0,200}}\b{either('befalls')}\b"
            r"|\bwhere(?:'?s| is| are)\b.{0,200}\bmy\b|\btrack(?:ing)?\b.{0,200}\bmy\b|\bhas my\b|\bdid my\b"
            r"|\b(?:what(?:'?s| is| are| was| were)|which(?: is| are)?|when (?:is|are|was)|show(?: me)?|tell me|give me"
            rf"|list)(?: all)?(?: of)? my (?:\w+ ){{0,2}}{either('records')}\b"
            rf"|\b(?:the )?{either('records')} (?:of|on|in) my {either('holders')}\b"
            r"|\bwhen (?:does|do|will) my\b|\bam i (?:a|an|on)\b"
            rf"|\bdid i (?:ever |already |just |last )?{either('deeds')}\b"
            rf"|\bhave i (?:ever |already |just )?{either('deeds')}\b"
            r"|\bdo i (?:still )?owe\b|\bdo you (?:know|remember) my\b|\bwho am i\b"
            + "".join(rf"|\b{any_of([phrase])}\b" for phrase in vocabulary.own_questions)
        )
        self._live = re.compile(rf"\b{either('live')}\b")
        self._several = re.compile(
            r"[?;.]\s+(?:and|also|plus)\b"
            r"|\b(?:and|also|plus) (?:how|what|when|where|why|which|who|can i|do i|does|is there)\b"
            rf"|\b(?:and|also|plus) (?:then |to |please )?{either('acts')}"
            r" (?:the|my|an?|it|them|this|that|these|those|another|one|some)\b"
        )

        self._opposites = opposites_of((*GENERAL.opposites, *vocabulary.opposites))

    def polarity_differs(self, question: str, alias: str) -> bool:
        """Whether one is negated and the other is not, or one says the opposite of the other."""
        return negations(question) % 2 != negations(alias) % 2 or opposed(question, alias, self._opposites)

    def depends_on_context(self, question: str) -> bool:
        """Whether it is meaningful only after what was said before."""
        return bool(_CONTEXT.search(question)) and not self._names_a_thing.search(question)

    def asks_for_own_state(self, question: str) -> bool:
        """Whether it asks about this customer's own affairs, such as an account."""
        return bool(self._own.search(question))

    def asks_for_live_data(self, question: str, alias: str) -> bool:
        """Whether it mentions what changes from hour to hour and the matched wording does not."""
        return bool(self._live.search(question)) and not self._live.search(alias)

    def asks_several_things(self, question: str, alias: str) -> bool:
        """Whether it asks or orders a second thing, and the matched wording does not."""
        return bool(self._several.search(question)) and not self._several.search(alias)


_rules = lru_cache(16)(_Rules)


@lru_cache(16)
def vetoes_for(vocabulary: Vocabulary) -> tuple[Veto, ...]:
    """The vetoes that also know the words of a field; a bank, a cache, :func:`screen` and :func:`veto` take them."""
    rules = _rules(vocabulary)
    return (
        Veto("injection", alone=_looks_injected),
        Veto("context_dependent", alone=rules.depends_on_context),
        Veto("own_state", alone=rules.asks_for_own_state),
        Veto("numbers_differ", numbers_differ),
        Veto("polarity_differs", rules.polarity_differs),
        Veto("live_data", rules.asks_for_live_data),
        Veto("several_questions", rules.asks_several_things, _has_question_marks),
        Veto("one_word", _is_one_word),
        Veto("scripts_differ", scripts_differ),
    )


VETOES = vetoes_for(NEUTRAL)
"""The vetoes of general English."""


def barred(asked: Screened) -> str:
    """The reason why no shared answer may be given to a screened question; empty if one may."""
    return asked.refusal or ("personal" if is_personal(asked.text) else "")


def is_personal(text: str, vocabulary: Vocabulary = NEUTRAL) -> bool:
    """Whether a text is about one person: an address, a long number, the state of their own affairs.

    Such a text is never added to a bank from which others are answered. A text that is too long for a question counts
    as personal, because it is not read.

    Args:
        text: The text.
        vocabulary: What is a customer's own, besides general English.
    """
    if len(text) > MOST_LETTERS:
        return True
    plain = visible(text)
    return bool(_PERSONAL.search(plain)) or _rules(vocabulary).asks_for_own_state(plain)


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

    Returns:
        The question with its refusal. The visible form of one that is too long is empty: it is not read.
    """
    if len(question) > MOST_LETTERS:
        return Screened(question, "", "too_long", tuple(vetoes))
    asked = visible(question)
    reason = unusable(question) or next((v.code for v in vetoes if v.alone is not None and v.alone(asked)), "")
    return Screened(question, asked, reason, tuple(vetoes))


def veto(question: str | Screened, alias: str, vetoes: Sequence[Veto] = VETOES) -> str | None:
    """Return the first reason code why a match may not be served, or ``None``.

    An application adds its words with ``vetoes=vetoes_for(vocabulary)``, and rules of its own with
    ``vetoes=(*VETOES, Veto("other_product", differs))``.

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
