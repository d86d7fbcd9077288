"""What comes in and what goes out of one turn of a conversation."""

from __future__ import annotations

from functools import cached_property

import msgspec

import parbake_semantic
from retail_assistant.shop.opening import MOST_REMEMBERED, opening
from retail_assistant.shop.shop_words import VETOES
from retail_assistant.shop.voices import is_named


class Turn(msgspec.Struct, frozen=True, dict=True):
    """One message with what surrounds it. What the shopper wrote is kept as far as it is read (:func:`opening`).

    ``history`` holds (role, text), oldest first; ``page`` is a product; ``locale`` a language, such as ``en``;
    ``session`` names the conversation, if its client gave it a name. ``may_generate`` says whether a generator may be
    asked.
    """

    message: str
    shopper: str
    page: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    locale: str = "en"
    session: str = ""
    may_generate: bool = True

    def __post_init__(self) -> None:
        """Shorten every text of the shopper, and leave out what was said before the last few thousand characters.

        Replies stay whole, because a session is found by its last one.
        """
        history: list[tuple[str, str]] = []
        left = MOST_REMEMBERED
        for role, said in reversed(self.history):
            text = said
            if role == "user":
                text = opening(said)
                left -= len(text)
            if left < 0:
                break
            history.append((role, text))
        msgspec.structs.force_setattr(self, "message", opening(self.message))
        msgspec.structs.force_setattr(self, "history", tuple(reversed(history)))

    @cached_property
    def screened(self) -> parbake_semantic.Screened:
        """The message, judged by itself once."""
        return parbake_semantic.screen(self.message, VETOES)

    @property
    def earlier_questions(self) -> list[str]:
        """What the shopper said before, oldest first."""
        return [text for role, text in self.history if role == "user"]

    @property
    def is_known(self) -> bool:
        """Whether the shopper gave a name."""
        return is_named(self.shopper)


class Card(msgspec.Struct, frozen=True):
    """A product as the page shows it, with its live price and stock, and why it is recommended, if it is."""

    asin: str
    title: str
    price: str
    in_stock: bool
    genre: str
    format: str
    why: str = ""


class Forgotten(msgspec.Struct, frozen=True):
    """How many conversations of a shopper this process has erased, and how many recorded questions the shop."""

    conversations: int
    questions: int


class Reply(msgspec.Struct, frozen=True):
    """A reply that is out.

    ``text`` is what was shown; ``faq`` names the answer of the bank that it was, ``sources`` are the entities it
    states, ``refusals`` say what was left out, and why, and ``worded`` says whether a generator worded any of it.
    ``units`` counts what became of the units of a model's text: released, replaced, left out. If the text does nothing
    but list the products of the ``cards``, its first words are the ``lead``.
    """

    intent: str
    lane: str
    faq: str
    sources: tuple[str, ...]
    refusals: tuple[str, ...]
    cards: tuple[Card, ...]
    text: str
    worded: bool
    units: dict[str, int] = {}
    lead: str = ""
