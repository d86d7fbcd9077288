"""Whether evidence supports a sentence that was worded freely: each number with its subject, its polarity, its words.

A number is supported only by a statement about the same thing: "express costs €7.50" does not support "standard
delivery costs €7.50".
A sentence whose negation differs from that of the nearest statement says the opposite of it. And a
sentence with several content words that neither the evidence nor the question has comes from nowhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from parbake.guard.claims import FREE, NUMBER_WORDS, Claim, claims
from parbake.guard.release import sentences

Fault = Literal["number", "subject", "polarity", "nowhere"]
MOST_FOREIGN, FOREIGN = 2, 0.4
"""How many content words from nowhere a sentence may have, and which share of its words they may be."""
CLEARLY = 0.45
"""By how much nearer a statement about something else must be; a word that only one statement has counts 1."""
FEW, ECHOED = 3, 0.5
"""A yes or no with fewer content words says what the question says, of which the evidence must have this share."""
SAME = 0.02
"""By which share two durations may differ and still be the same, such as two years and 24 months."""
_DENIALS = frozenset({"no", "nope", "unfortunately"})
_COUNT = re.compile(
    rf"\b(\d{{1,6}}|{'|'.join(word for word, n in NUMBER_WORDS.items() if n > 1)})\s+(?:\w+\s+)?"
    r"(copies|countries|payments|instalments|points|exchanges?|photos?|books?|titles?|items?|volumes?|cards?|orders?|times)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s*(am|pm|o'clock)\b|\b(\d{1,2}):(\d{2})\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|nobody|neither|nor|without|cannot|unable|impossible|forbidden|excluded|except|refused?"
    r"|(?:ca|wo|do|does|is|are|was|were|did|has|have|had|could|should|would)n['\u2019]t)\b",
    re.IGNORECASE,
)
_NOT_ONLY = re.compile(
    r"\bnot only\b|\bno (?:problem|worries|matter|later|more|longer|fault)\b|\bwithout (?:asking|interest)\b"
    r"|\bif (?:it|that|you|they|the \w+) (?:does|do|is|are|can)(?:n['\u2019]t| not)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(r"^\W*(yes|yep|sure|of course|certainly|absolutely|no|nope|unfortunately)\b[,.!:]?", re.IGNORECASE)
_UNTIL = re.compile(r"\b(?:until|till|before|as long as)\b", re.IGNORECASE)
_AFTER = re.compile(r"\b(?:after|once|since|any more|afterwards)\b", re.IGNORECASE)
_HALF_A_DAY = 12
_SHORTEST = 3
_FREE_CLAIM = Claim("money", "free")
_CLAUSE = re.compile(r"[;:]\s+|,\s+(?=(?:but|except|unless|however|although|or|and|never|not)\b)|\bbut\b")
_PLAIN = frozenset(
    """
    a able about after all also am an and any anything are as ask at back be because been before being both but by can
    case certainly course could day days did do does done each either else even ever every feel find for free from get
    gets give given glad go got had happy has have having he hello help here hi his hope how i if in into is it its just
    keep know let like long make makes many may me means might more most much must my need needs new no nor not note now
    of off okay on once one only or order other our out over own please possible put same see shall she should so some
    sorry such sure take takes tell than thank thanks that the their them then there these they thing this those time to
    too under unfortunately until up us use using very want was way we well were what when where whether which while who
    will with within without would yes yet you your yours yourself here's it's that's we're you're don't doesn't can't
    """.split()
)
_SUFFIX = re.compile(r"(?<=\w{3})(?:ies|ing|ed|es|s|e|y|ly|ment|ions?|ation)$")


class Unsupported(msgspec.Struct, frozen=True):
    """Why a sentence is not supported: the fault, and the number or the words that show it."""

    fault: Fault
    what: str = ""


class _Said(NamedTuple):
    """A statement taken apart."""

    numbers: frozenset[Claim]
    words: frozenset[str]
    is_negated: bool
    until: bool
    after: bool


def unsupported(sentence: str, evidence: Sequence[str], question: str = "") -> Unsupported | None:
    """Find out why evidence does not support a sentence.

    It is strict: what is merely put in quite other words than the evidence is not supported either. A false alarm costs
    a quotation of the evidence, and a missed one tells a customer something wrong.

    Args:
        sentence: What was worded.
        evidence: The texts that it was worded from.
        question: The question that it answers: a mere "Yes, you can" affirms it.

    Returns:
        The first fault, ``None`` if the sentence is supported.
    """
    said = _said(sentence)
    stated = [one for text in evidence for one in _statements(text)]
    if fault := _numbers(said, stated):
        return fault
    lead = _YES_NO.match(sentence)
    if not stated:
        return Unsupported("nowhere") if said.words or lead is not None else None
    affirms = lead is not None and lead[1].lower() not in _DENIALS
    asked = _words(question)
    known = frozenset[str]().union(*(one.words for one in stated))
    if len(said.words) < FEW and lead is not None:  # "Yes, you can." says what the question says
        return _echo(asked, known, stated, affirms=affirms)
    foreign = said.words - known
    if len(foreign) > MOST_FOREIGN or len(foreign) > FOREIGN * len(said.words):
        return Unsupported("nowhere", " ".join(sorted(foreign)))
    return _polarity(said, stated, asked, affirms=affirms)


def _numbers(said: _Said, stated: Sequence[_Said]) -> Unsupported | None:
    """A number that no statement has, or that only statements about something else have."""
    holders = Counter(word for one in stated for word in one.words)

    def nearness(one: _Said) -> float:
        return sum(1.0 / holders[word] for word in one.words & said.words)

    for claim in said.numbers:
        having = [one for one in stated if _has(one, claim)]
        if not having:
            return Unsupported("number", f"{claim.kind} {claim.value}")
        others = [one for one in stated if not _has(one, claim) and any(c.kind == claim.kind for c in one.numbers)]
        if others and max(map(nearness, others)) > max(map(nearness, having)) + CLEARLY:
            return Unsupported("subject", f"{claim.kind} {claim.value}")
    return None


def _has(one: _Said, claim: Claim) -> bool:
    """Whether a statement has a number; 24 months are two years."""
    if claim in one.numbers:
        return True
    if claim.kind != "duration":
        return False
    days = float(claim.value)
    return any(c.kind == "duration" and abs(float(c.value) - days) <= SAME * days for c in one.numbers)


def _echo(
    asked: frozenset[str], known: frozenset[str], stated: Sequence[_Said], *, affirms: bool
) -> Unsupported | None:
    """Whether a mere yes or no fits: the evidence must be about what is asked, and affirm or deny it."""
    if len(asked & known) < ECHOED * len(asked):
        return Unsupported("nowhere")
    nearest = max(stated, key=lambda one: len(one.words & asked))
    return Unsupported("polarity") if affirms == nearest.is_negated else None


def _polarity(said: _Said, stated: Sequence[_Said], asked: frozenset[str], *, affirms: bool) -> Unsupported | None:
    """A negation that the nearest statement does not have, or the other way round."""
    if not said.words:
        return None
    nearest = max(stated, key=lambda one: len(one.words & said.words) / (4 + len(one.words)))
    is_negated = said.is_negated
    if (said.after and nearest.until and not nearest.after) or (said.until and nearest.after and not nearest.until):
        is_negated = not is_negated
    if is_negated != nearest.is_negated:
        return Unsupported("polarity")
    about = max(stated, key=lambda one: len(one.words & asked))
    return Unsupported("polarity") if affirms and about is nearest and nearest.is_negated else None


@lru_cache(4_096)  # evidence is public text, the same few policies again and again
def _statements(text: str) -> tuple[_Said, ...]:
    """The clauses of a text, each taken apart."""
    return tuple(_said(clause) for one in sentences(text) for clause in _CLAUSE.split(one) if clause.strip())


def _said(text: str) -> _Said:
    plain = _NOT_ONLY.sub(" ", _YES_NO.sub(" ", text))
    return _Said(
        claims(text) | _counts(text) | ({_FREE_CLAIM} if FREE.search(text) else set()),
        _words(text),
        len(_NEGATION.findall(plain)) % 2 == 1,
        _UNTIL.search(text) is not None,
        _AFTER.search(text) is not None,
    )


def _counts(text: str) -> frozenset[Claim]:
    """Numbers of things, and times of the day."""
    found = {
        Claim("count", f"{NUMBER_WORDS.get(n.lower(), n)} {_stem(noun.lower())}") for n, noun in _COUNT.findall(text)
    }
    for hour, minute, half, plain_hour, plain_minute in _CLOCK.findall(text):
        past_noon = {"am": 0, "pm": _HALF_A_DAY}.get(half.lower())
        at = int(hour or plain_hour) if past_noon is None else int(hour) % _HALF_A_DAY + past_noon
        found.add(Claim("clock", f"{at}:{minute or plain_minute or '00'}"))
    return frozenset(found)


def _words(text: str) -> frozenset[str]:
    """The stems of the content words of a text."""
    lowered = text.lower().replace("\u2019", "'")
    return frozenset(_stem(word) for word in _WORD.findall(lowered) if len(word) >= _SHORTEST and word not in _PLAIN)


def _stem(word: str) -> str:
    return _SUFFIX.sub("", word.removesuffix("'s"))
