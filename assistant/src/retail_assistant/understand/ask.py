"""One question as the assistant understands it."""

from __future__ import annotations

from typing import Literal

import msgspec

from retail_assistant.understand.premises import Premise
from retail_assistant.understand.wishes import NO_WISHES, Wishes

Kind = Literal[
    "policy", "offer", "facts", "list", "compare", "promotion", "reviews", "trending", "cart", "orders", "points",
    "action", "social", "off_topic", "unclear",
]  # fmt: skip
ALONE = 1.7
"""The weight from which a reading needs no earlier question to be understood."""
_NEVER_POLICY = frozenset({"orders", "cart", "points", "action", "social"})
Source = Literal["message", "page", "shown", "focus"]


class Subject(msgspec.Struct, frozen=True):
    """A product that a question is about: a title, or one product by its asin, and where that was found.

    ``name`` is the title of a series or a single book; ``volume`` and ``format`` narrow it.
    """

    name: str
    source: Source
    asin: str = ""
    volume: int | None = None
    format: str | None = None
    whole: bool = True


class Reading(msgspec.Struct, frozen=True):
    """A kind of question that a message may be, which of its parts is asked for, and how strongly its words say so."""

    kind: Kind
    slot: str
    weight: float


class Ask(msgspec.Struct, frozen=True):
    """One question.

    Args:
        text: Its words, spelled correctly and put as shops put them.
        said: The whole message, as it was typed.
        spelled: The whole message, spelled correctly but otherwise in the customer's words.
        readings: The kinds of question that it may be, the likeliest first.
        subjects: The products that it is about.
        wishes: The constraints on products that it states.
        like: Whether products like the subject are wanted, rather than the subject.
        follows: Whether it means something only after what was said before.
        leftover: Its content words that name nothing the shop knows by name.
        hints: Those of them that say something of a book: no common word that the shop does not use.
        copies: The number of copies that it names. It is negative for "-5 copies", and NaN for a fraction such as 2.5.
        owned: The volumes of its subject that the shopper says to have.
        premise: A price or a stock of the one product that it names, which it states as a fact.
        corrects: Whether it corrects what was understood before.
        off_topic: Whether it asks for something that a shop of this kind does not answer.
    """

    text: str
    said: str = ""
    readings: tuple[Reading, ...] = ()
    subjects: tuple[Subject, ...] = ()
    wishes: Wishes = NO_WISHES
    like: bool = False
    follows: bool = False
    leftover: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    off_topic: bool = False
    copies: float | None = None
    spelled: str = ""
    owned: tuple[int, ...] = ()
    premise: Premise | None = None
    corrects: bool = False

    @property
    def best(self) -> Reading:
        """The likeliest reading."""
        return self.readings[0] if self.readings else Reading("unclear", "", 0.0)

    @property
    def are_volumes(self) -> bool:
        """Whether it is about several volumes of one title."""
        return len({s.volume for s in self.subjects}) > 1 and len({(s.name, s.asin) for s in self.subjects}) == 1

    @property
    def stands_alone(self) -> bool:
        """Whether its likeliest reading, also a carried one, is surely no policy: it does not go on from one."""
        is_named = any(subject.source == "message" for subject in self.subjects)
        is_list = self.best.kind == "list" and bool(self.wishes.genres or self.wishes.authors)
        is_own = self.best.kind in _NEVER_POLICY or is_list or (is_named and self.best.kind != "policy")
        return is_own and self.best.weight >= ALONE

    def weight(self, kind: Kind) -> float:
        """How strongly the words say that the question is of a kind."""
        return max((r.weight for r in self.readings if r.kind == kind), default=0.0)

    def slot(self, kind: Kind) -> str:
        """Which part is asked for if the question is of a kind."""
        return next((r.slot for r in self.readings if r.kind == kind), "")
