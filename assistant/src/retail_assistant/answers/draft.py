"""An answer before it is checked, and what a conversation keeps of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

import parbake_semantic.guard
from parbake.errors import ProviderError
from retail_assistant.answers.guardrails import Checked
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.voices import is_named
from retail_assistant.understand.ask import Ask, Kind
from retail_assistant.understand.dialogue import Dialogue, Pending
from retail_assistant.understand.wishes import NO_WISHES, Wishes

MODEL_FAILED = "model_failed"
_BEGINS = re.compile(r"[\"'\u201c(]?[A-Z0-9\u20ac$\u00a3{]")
SENTENCE_ENDS = (".", "!", "?", "\u201d", '"')


class Asked(msgspec.Struct, frozen=True):
    """A question in its conversation: who asks, on which page, and what was said before.

    ``alone`` says whether the reply answers nothing else; only then may a generator word it. ``session`` names the
    conversation.
    """

    ask: Ask
    shopper: str
    page: str
    said: Dialogue
    history: tuple[tuple[str, str], ...] = ()
    alone: bool = True
    session: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the shopper gave a name."""
        return is_named(self.shopper)


@dataclass
class Draft:
    """An answer before it is checked.

    ``text`` or ``stream`` holds slots; ``sources`` are the entities it states, and ``told`` the texts a generator was
    given, best first. ``intent`` is what was asked for, ``faq`` names the answer of the bank that it is, and
    ``refusals`` say what was not used, and why. ``section`` (the policy section that it quotes, or from which the next
    question goes on), ``focus`` (a product), ``wishes``, ``pending`` and ``choices`` are for the next turn. ``worded``
    says whether a sentence of ``stream`` was shown. A list has its first words as ``lead`` and reasons as ``why``, by
    asin: whoever shows the products beside it needs no more of its text.
    """

    text: str = ""
    stream: AsyncIterator[str] | None = None
    sources: tuple[str, ...] = ()
    lane: str = "realtime"
    asins: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    intent: Kind = "unclear"
    faq: str = ""
    refusals: list[str] = field(default_factory=list)
    section: str = ""
    focus: str = ""
    wishes: Wishes = NO_WISHES
    pending: Pending | None = None
    choices: tuple[str, ...] = ()
    lead: str = ""
    why: Mapping[str, str] = field(default_factory=dict)
    checks: dict[str, Checked] = field(default_factory=dict)
    worded: bool = False
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
            for sentence in parbake_semantic.guard.sentences(self.text):
                yield sentence
            return
        held = ""
        try:
            async for sentence in parbake_semantic.guard.release(self.stream, _whole):
                if held:
                    yield held
                held = sentence.strip()
        except ProviderError as error:  # what is shown stays; what was not whole is left out
            self.refusals.append(model_failed(error))
            if held.endswith(SENTENCE_ENDS):
                yield held
            return
        if held.endswith(SENTENCE_ENDS):  # a length limit cuts a last sentence short
            yield held


def _whole(sentence: str) -> str | None:
    """A sentence without the mark of a list; ``None`` for a fragment, which begins in the middle."""
    text = sentence.lstrip("-*\u2022 ")
    return text if _BEGINS.match(text) else None


def model_failed(error: ProviderError) -> str:
    """The refusal of a reply that no model has written, with the kind of failure."""
    return f"{MODEL_FAILED}: {error.kind.value}"


def showing(text: str, offers: Sequence[Offer], *, lane: str = "realtime", wishes: Wishes = NO_WISHES) -> Draft:
    """A draft that states some products and shows them in their order."""
    asins = tuple(offer.asin for offer in offers)
    return Draft(text, sources=tuple(f"product/{asin}" for asin in asins), asins=asins, lane=lane, wishes=wishes)


def together(drafts: Sequence[Draft]) -> Draft:
    """One draft of the answers to several questions."""
    if len(drafts) == 1:
        return drafts[0]
    texts = list(dict.fromkeys(d.text for d in drafts if d.text))
    last = drafts[-1]
    return Draft(
        " ".join(texts),
        sources=tuple(dict.fromkeys(s for d in drafts for s in d.sources)),
        lane=last.lane,
        asins=tuple(dict.fromkeys(a for d in drafts for a in d.asins)),
        told=tuple(t for d in drafts for t in d.told),
        intent=last.intent,
        refusals=[r for d in drafts for r in d.refusals],
        section=next((d.section for d in reversed(drafts) if d.section), ""),
        focus=last.focus,
        wishes=last.wishes,
        pending=last.pending,
        choices=last.choices,
    )
