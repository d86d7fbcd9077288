"""What comes in and what goes out of one turn of a conversation."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from retail_assistant.chat.guardrails import Checked


class Turn(msgspec.Struct, frozen=True):
    """One message with what surrounds it.

    ``history`` holds (role, text), oldest first; ``page`` is a product; ``locale`` a language, such as ``en``.
    """

    message: str
    shopper: str
    page: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    locale: str = "en"

    @property
    def earlier_questions(self) -> list[str]:
        """What the shopper said before, oldest first."""
        return [text for role, text in self.history if role == "user"]


class Card(msgspec.Struct, frozen=True):
    """A product as the page shows it; money in cents, live at the time of the reply."""

    asin: str
    title: str
    price: str
    in_stock: bool
    genre: str
    format: str


@dataclass
class Draft:
    """An answer before it is checked.

    ``text`` or ``stream`` holds slots; ``sources`` are the entities it states, ``evidence`` the blocks it quotes.
    """

    text: str = ""
    stream: AsyncIterator[str] | None = None
    sources: tuple[str, ...] = ()
    lane: str = "realtime"
    asins: tuple[str, ...] = ()
    fallback: str = ""
    attempt: int = 0
    evidence: tuple[str, ...] = ()
    checks: dict[str, Checked] = field(default_factory=dict)


@dataclass
class Reply:
    """What is known of a reply once it is out; ``faq`` names the answer of the bank that it was."""

    answer_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    intent: str = ""
    lane: str = "realtime"
    faq: str = ""
    refusals: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    text: str = ""
