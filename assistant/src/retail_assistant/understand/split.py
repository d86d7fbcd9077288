"""Cuts a message into the questions that it asks; what only tells something goes with the question that follows it."""

from __future__ import annotations

import re
from typing import NamedTuple

_ASKS = (
    r"(?:how|what|whats|when|where|which|who|why|can|could|do|does|did|is|are|will|would|may|should|am i|have you|has"
    r"|(?:from|by|until|at|in|for|to|on|with) (?:how|what|which|when)"
    r"|shall|tell me|show me|recommend|suggest|find me|please)"
)
_SENTENCE = re.compile(
    r"(?<=[?!])\s+|(?<!\bvol)(?<!\bno)(?<!\bnr)(?<=[a-z0-9)]\.)\s+(?=\S)|\n+|;\s+"
    r"|(?<=\bthings:)\s+|(?<=\bquestions:)\s+"
)
_SUBJECT = r"(?:i|we|you|it|they|he|she|this|that|there|these|those|the|an?|my|your|our|any|some|books?|all)"
_STATES = r"(?!(?:does|did|is|are|will|would|has|may|should|could|can|do) (?!SUBJECT\b))".replace("SUBJECT", _SUBJECT)
"""Not before a verb whose subject is named before it: "and is still sealed" asks nothing."""
_JOINED = re.compile(
    rf"(?:,|(?<!\s))\s+(?:and also|and|also|plus|or also|as well as|&|\+)\s+(?={_ASKS}\b){_STATES}"
    rf"|,\s+and\s+(?={_ASKS}\b)",
    re.IGNORECASE,
)
_QUESTION = re.compile(rf"^(?:(?:and|so|ok|okay|but|also|then|well|or)[, ]+)*{_ASKS}\b|\?\s*$", re.IGNORECASE)
_ANNOUNCED = re.compile(r"\b(?:\d|two|three|few|couple of) (?:things|questions)\b")
_LISTED = re.compile(rf"(?:,\s++|(?:,|(?<!\s))\s++and\s++)(?={_ASKS}\b)", re.IGNORECASE)
"""Stands between things that are announced. A run of blanks is tried from its start only, and as a whole."""
_WHOLE = re.compile(r"\b(?:cheaper|better|difference|compare|between|both|either)\b", re.IGNORECASE)
_ABBREVIATED = re.compile(r"\b(vol|no|nr)\. ?(?=\d)")
MOST = 3


class Part(NamedTuple):
    """One question: the words that ask, and all words that belong to it."""

    core: str
    whole: str


def questions(text: str) -> list[Part]:
    """The questions of a message in lower case, in order, at most three."""
    text = _ABBREVIATED.sub(r"\1 ", text.strip())
    pieces: list[str] = []
    joined = _LISTED if _ANNOUNCED.search(text) else _JOINED
    for part in (p.strip() for p in _SENTENCE.split(text) if p.strip(" .?!,")):
        pieces += [part] if _WHOLE.search(part) else [p for p in joined.split(part) if p.strip(" .?!,")]
    asked = [i for i, piece in enumerate(pieces) if _QUESTION.search(piece)]
    if not asked or len(asked) > MOST:
        return [Part(text, text)]
    found: list[Part] = []
    told: list[str] = []
    for i, piece in enumerate(pieces):
        if i in asked:
            found.append(Part(piece, " ".join([*told, piece])))
            told = []
        else:
            told.append(piece)
    if told:
        last = found[-1]
        found[-1] = Part(last.core, f"{last.whole} {' '.join(told)}")
    return found
