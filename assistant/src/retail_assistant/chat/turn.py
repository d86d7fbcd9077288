"""What comes in and what goes out of one turn of a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

import parbake as pb
from retail_assistant.chat.guardrails import Checked


class Turn(msgspec.Struct, frozen=True, dict=True):
    """One message with what surrounds it.

    ``history`` holds (role, text), oldest first; ``page`` is a product; ``locale`` a language, such as ``en``.
    """

    message: str
    shopper: str
    page: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    locale: str = "en"

    @cached_property
    def screened(self) -> pb.semantic.Screened:
        """The message, judged by itself once."""
        return pb.semantic.screen(self.message)

    @property
    def earlier_questions(self) -> list[str]:
        """What the shopper said before, oldest first."""
        return [text for role, text in self.history if role == "user"]


class Card(msgspec.Struct, frozen=True):
    """A product as the page shows it; its price and stock are live at the time of the reply."""

    asin: str
    title: str
    price: str
    in_stock: bool
    genre: str
    format: str


@dataclass
class Draft:
    """An answer before it is checked.

    ``text`` or ``stream`` holds slots; ``sources`` are the entities it states, ``evidence`` the blocks it quotes, and
    ``told`` the texts a generator was given, best first. ``intent`` is what was asked for, ``faq`` names the answer of
    the bank that it is, and ``refusals`` say what was not used, and why.
    """

    text: str = ""
    stream: AsyncIterator[str] | None = None
    sources: tuple[str, ...] = ()
    lane: str = "realtime"
    asins: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    intent: str = ""
    faq: str = ""
    refusals: list[str] = field(default_factory=list)
    checks: dict[str, Checked] = field(default_factory=dict)
    _main: str = ""
    _rest: AsyncIterator[str] | None = None

    @property
    def fallback(self) -> str:
        """What stands in where nothing that was generated holds."""
        return self.told[0] if self.told else ""

    async def main_sentence(self) -> str:
        """The first sentence, empty where there is none; it is still among :meth:`sentences`."""
        if self._rest is None:
            self._rest = self._cut()
            self._main = await anext(self._rest, "")
        return self._main

    async def sentences(self) -> AsyncIterator[str]:
        """The draft cut into whole sentences, as they become complete; once."""
        if main := await self.main_sentence():
            yield main
        if self._rest is not None:
            async for sentence in self._rest:
                yield sentence

    async def _cut(self) -> AsyncIterator[str]:
        if self.stream is None:
            for sentence in pb.guard.sentences(self.text):
                yield sentence
            return
        held = ""
        async for sentence in pb.guard.release(self.stream, lambda s: s):
            if held:
                yield held
            held = sentence.strip()
        if held.endswith((".", "!", "?", "\u201d", '"')):  # a length limit cuts a last sentence short
            yield held


class Reply(msgspec.Struct, frozen=True):
    """A reply that is out.

    ``text`` is what was shown; ``faq`` names the answer of the bank that it was, ``sources`` are the entities it
    states, and ``refusals`` say what was left out, and why.
    """

    intent: str
    lane: str
    faq: str
    sources: tuple[str, ...]
    refusals: tuple[str, ...]
    cards: tuple[Card, ...]
    text: str
