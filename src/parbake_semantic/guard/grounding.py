"""Whether evidence supports a sentence that was worded freely: each number with its subject, its polarity, its words.

A number is supported only by a statement about the same thing: "express costs €7.50" does not support "standard
delivery costs €7.50". A word that the sentence denies and the nearest statement affirms, or the other way round, makes
it say the opposite. And a sentence with several content words that the evidence does not have comes from nowhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from parbake_semantic.guard.claims import Claim
from parbake_semantic.guard.courtesy import is_courtesy
from parbake_semantic.guard.statements import FREE_CLAIM, Reader, Statement, numbers_in, reader, rephrased
from parbake_semantic.vocabulary import NEUTRAL, Vocabulary

Fault = Literal["number", "subject", "polarity", "nowhere"]
_MOST_FOREIGN, FOREIGN = 2, 0.4
"""How many content words from nowhere a sentence may have, and which share of its words they may be."""
_DESCRIBING = 0.6
"""The share of words from nowhere from which a description is of something else."""
_CLEARLY, _CLEARLY_OTHER, _CLEARLY_TEXT = 0.45, 0.9, 1.2
"""By how much nearer a statement about something else must be, with a number of the same kind and without, or its whole
text; a word that only one statement has counts 1."""
FEW, _ECHOED = 3, 0.5
"""A yes or no with fewer content words says what the question says, of which the evidence must have this share."""
_LENGTH = 4
"""Added to the length of a statement when it is compared by the share of its words, so that short ones do not win."""
_SAME = 0.02
"""By which share two durations may differ and still be the same, such as two years and 24 months."""
_LEAD = re.compile(r"^\W*(yes|yep|sure|of course|certainly|absolutely|no|nope|unfortunately)\b[,.!:]?", re.IGNORECASE)
_I = re.compile(r"\bI(?:['\u2019]|\b)")
"""Whoever words the evidence neither is nor does anything that the evidence states."""
_DENIALS = frozenset({"no", "nope", "unfortunately"})


class Unsupported(msgspec.Struct, frozen=True):
    """Why a sentence is not supported: the fault, and the number or the words that show it."""

    fault: Fault
    what: str = ""


def unsupported(
    sentence: str,
    evidence: Sequence[str],
    question: str = "",
    *,
    vocabulary: Vocabulary = NEUTRAL,
    may_describe: bool = False,
) -> Unsupported | None:
    """Find out why evidence does not support a sentence.

    It is strict: what is put in quite other words than the evidence is not supported either. A false alarm costs a
    quotation of the evidence, and a missed fault tells a customer something wrong. A courtesy needs no support.

    Args:
        sentence: What was worded.
        evidence: The texts that it was worded from.
        question: The question that it answers: a mere "Yes, you can" affirms it.
        vocabulary: What a reply counts and which words mean the same, besides general English.
        may_describe: Whether the sentence may have more words that the evidence does not have, such as what a book is
            like; most of its words must be the evidence's.

    Returns:
        The first fault, ``None`` if the sentence is supported.
    """
    if is_courtesy(sentence):
        return None
    if (_I.search(sentence) and not may_describe) or _goes_round(sentence):
        return Unsupported("nowhere")
    lead = _LEAD.match(sentence)
    read = reader(vocabulary)
    said = read.statements(sentence[lead.end() :] if lead else sentence)
    told = _told(tuple(evidence), read)
    numbers = told.numbers | numbers_in(question)
    if fault := _first(_number(one, told, numbers) for one in said):
        return fault
    spoken = frozenset[str]().union(*(one.words for one in said))
    has_number = any(one.numbers for one in said)
    if not told.statements:
        return Unsupported("nowhere") if spoken or lead is not None else None
    affirms = lead is not None and lead[1].lower() not in _DENIALS
    asked = read.words(rephrased(question))
    if lead is not None and len(spoken) < FEW and not has_number:
        return _echo(said, asked | spoken, told, affirms=affirms)
    foreign = spoken - told.words
    is_only_number = len(spoken) < FEW and has_number
    if may_describe:
        comes_from_nowhere = len(foreign) > _MOST_FOREIGN and len(foreign) >= _DESCRIBING * len(spoken)
    else:
        comes_from_nowhere = len(foreign) > _MOST_FOREIGN or (
            len(foreign) > FOREIGN * len(spoken) and not is_only_number
        )
    if comes_from_nowhere:
        return Unsupported("nowhere", " ".join(sorted(foreign)))
    if fault := _first(_polarity(one, told, may_describe=may_describe) for one in said if one.words):
        return fault
    return _denies_yes(said, asked, told) if affirms and not has_number else None


def _goes_round(sentence: str) -> bool:
    """Whether a sentence says the same three words twice, as small models do."""
    said = sentence.lower().split()
    threes = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(threes)) < len(threes)


def _first(faults: Iterable[Unsupported | None]) -> Unsupported | None:
    return next(filter(None, faults), None)


class _Told:
    """The evidence: its statements, its numbers, and how near it is to what is said.

    A word that several statements have says less about which one is meant.
    """

    def __init__(self, texts: Sequence[str], read: Reader) -> None:
        self.read = read
        self.statements = [one for text in texts for one in read.known_statements(text)]
        self.numbers = frozenset[str]().union(*map(numbers_in, texts))
        self._holders = Counter(word for one in self.statements for word in one.words)
        self.words = frozenset(self._holders)

    def weight(self, shared: Iterable[str]) -> float:
        """What the words count that two statements share."""
        return sum(1.0 / self._holders.get(word, 1) for word in shared)

    def share(self, said: Statement, one: Statement) -> float:
        """The same, as a share of a statement's length."""
        return self.weight(one.words & said.words) / (_LENGTH + len(one.words))


@lru_cache(256)
def _told(evidence: tuple[str, ...], read: Reader) -> _Told:
    """The evidence of a reply, whose sentences are checked one after another."""
    return _Told(evidence, read)


def _number(said: Statement, told: _Told, numbers: frozenset[str]) -> Unsupported | None:
    """A number that no statement has, or that only statements about something else have."""
    if made_up := sorted(said.figures - numbers):
        return Unsupported("number", made_up[0])
    for claim in sorted(said.numbers, key=lambda c: (c.kind, c.value)):
        having = [one for one in told.statements if _has(one, claim)]
        if not having:
            return Unsupported("number", f"{claim.kind} {claim.value}")
        if _is_of_another(claim, said, told, having):
            return Unsupported("subject", f"{claim.kind} {claim.value}")
        if said.under and not any(one.under or one.until for one in having):
            return Unsupported("number", f"{claim.kind} below {claim.value}")
    return None


def _is_of_another(claim: Claim, said: Statement, told: _Told, having: Sequence[Statement]) -> bool:
    """Whether what is said is clearly nearer to a statement, or a text, without the number than to those with it."""
    about = said.words - _own(claim, told.read)
    nearest = max(told.weight(one.around & about) for one in having)
    nearest_text = max(told.weight(one.text & about) for one in having)
    for other in told.statements:
        margin = _CLEARLY if any(c.kind == claim.kind for c in other.numbers) else _CLEARLY_OTHER
        is_nearer = (
            told.weight(other.words & about) > nearest + margin
            or told.weight(other.text & about) > nearest_text + _CLEARLY_TEXT
        )
        if is_nearer and other not in having:
            return True
    return False


def _own(claim: Claim, read: Reader) -> set[str]:
    """The words that are a claim themselves, and so say nothing of its subject."""
    if claim.kind == "count":
        return {claim.value.partition(" ")[2]}
    return {read.free} if claim == FREE_CLAIM else {read.times} if claim.kind == "times" else set()


def _has(one: Statement, claim: Claim) -> bool:
    """Whether a statement has a number; 24 months are two years, and 3 parts are 3 payments."""
    if claim in one.numbers:
        return True
    if claim.kind == "count":
        number = claim.value.partition(" ")[0]
        counts = {c.value.partition(" ")[0] for c in one.numbers if c.kind == "count"}
        return number in counts or number in one.figures
    if claim.kind != "duration":
        return False
    days = float(claim.value)
    return any(c.kind == "duration" and abs(float(c.value) - days) <= _SAME * days for c in one.numbers)


def _echo(said: Sequence[Statement], asked: frozenset[str], told: _Told, *, affirms: bool) -> Unsupported | None:
    """Whether a mere yes or no fits: the evidence must be about what is asked, and affirm or deny it."""
    if len(asked & told.words) < _ECHOED * len(asked):
        return Unsupported("nowhere")
    nearest = max(told.statements, key=lambda one: len(one.words & asked))
    affirms = affirms and not any(one.denied for one in said)
    return Unsupported("polarity") if affirms == bool(nearest.denied & asked) else None


def _polarity(said: Statement, told: _Told, *, may_describe: bool) -> Unsupported | None:
    """A word, a time or a price of which the nearest statement says the opposite."""
    nearest = max(told.statements, key=lambda one: told.share(said, one))
    if shared := said.words & nearest.words:
        is_priced = any(claim.kind == "money" for claim in said.numbers)
        if not (said.denied | nearest.denied) & shared and _is_reversed(said, nearest):
            return Unsupported("polarity", "before or after")
        if said.just and nearest.open and not (nearest.just or said.open):
            return Unsupported("polarity", "only")
        if FREE_CLAIM in nearest.numbers and told.read.pay in said.words - said.denied and not is_priced:
            return Unsupported("polarity", "free")
        if not may_describe and said.denied and not nearest.denied and said.denied.isdisjoint(told.words):
            return Unsupported("polarity", " ".join(sorted(said.denied)))
    opposed = (word for word in sorted(said.words) if _is_opposed(word, said, told, nearest))
    return next((Unsupported("polarity", word) for word in opposed), None)


def _is_opposed(word: str, said: Statement, told: _Told, nearest: Statement) -> bool:
    """Whether exactly one side denies a word, compared with the nearest statements that have it."""
    having = [
        (told.share(said, one), one)
        for one in told.statements
        if word in one.words and (one is nearest or len(one.words & said.words) > 1)
    ]
    best = max((share for share, _ in having), default=0.0)
    return bool(having) and all(_opposes(said, one, word) for share, one in having if share >= best)


def _opposes(said: Statement, one: Statement, word: str) -> bool:
    """Whether exactly one of two statements denies a word: "not unless" is "only if", "not after" is "until"."""
    if (word in said.denied) == (word in one.denied):
        return False
    denying, other = (said, one) if word in said.denied else (one, said)
    if word in other.perhaps_denied or (denying.unless and (other.only or other.unless)):
        return False
    return not _is_reversed(said, one)


def _is_reversed(said: Statement, one: Statement) -> bool:
    """Whether one of two statements holds until some time, and the other only after it."""
    if (said.until and said.after) or (one.until and one.after):
        return False
    return (said.after and one.until) or (said.until and one.after)


def _denies_yes(said: Sequence[Statement], asked: frozenset[str], told: _Told) -> Unsupported | None:
    """A yes to something that the nearest statement denies, although the rest of the sentence does not."""
    spoken = asked.union(*(one.words for one in said))
    nearest = max(told.statements, key=lambda one: len(one.words & spoken))
    denied = (nearest.denied & asked).difference(*(one.denied for one in said))
    return Unsupported("polarity", " ".join(sorted(denied))) if denied else None
