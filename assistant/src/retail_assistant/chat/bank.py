"""Asks the bank of frequent questions for a precompiled answer, and says why one is not used."""

from __future__ import annotations

from typing import Any

import msgspec

import parbake as pb
import parbake_semantic
import parbake_semantic.guard
from parbake.tasks.task_types import LiveTask
from retail_assistant.answers.draft import Draft
from retail_assistant.chat.lookup import Lookup, conversation
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.faq.earlier_turns import spoken
from retail_assistant.faq.faq_tasks import faq_answers
from retail_assistant.faq.match import CONVERSATION, FaqMatch, faq_known, faq_match
from retail_assistant.live import LiveShop
from retail_assistant.shop.shop_words import VETOES
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import bare

OTHER_SECTION = "another_section"
"""The refusal of an answer whose section is not among the best for the question."""
DIFFERS = 2.0
"""From which weight another reading than a policy refuses the bank's answer."""


class FromBank(msgspec.Struct, frozen=True):
    """What the bank has for a question: its nearest answer, a draft of it, or the reasons why there is none."""

    match: FaqMatch | None = None
    draft: Draft | None = None
    refusals: tuple[str, ...] = ()


class Bank:
    """Asks the bank."""

    def __init__(self, app: pb.App, shop: LiveShop, lookup: Lookup, understanding: Understanding) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._lookup, self._understanding = app, shop, lookup, understanding

    async def ask(self, turn: Turn, ask: Ask, said: Dialogue) -> FromBank:
        """The bank's answer to a question that means something by itself."""
        is_open = ask.follows and turn.screened.refusal == "context_dependent"
        if is_open or self._lookup.may_differ(turn, ask):
            return FromBank()
        text = bare(ask.spelled)
        question = turn.screened if text == turn.message else parbake_semantic.screen(text, VETOES)
        known = await self._match(faq_known, turn, question=question)
        if known is not None:  # to the letter: no embedding is needed
            return await self._answer(turn, known, known.refusal)
        match = await self._match(faq_match, turn, question=question, text=text)
        if match is None:
            return FromBank()
        refusal = match.refusal
        if not refusal and ask.best.weight > DIFFERS and ask.best.kind != "policy":
            refusal = "intent_differs"
        if not refusal:
            # As it is spelled, which shares the embedding.
            found = await self._lookup.sections(turn, msgspec.structs.replace(ask, text=ask.spelled), said)
            is_near = any(one.name == match.answer for one in found.ranked[:3])
            if found.ranked and not (is_near and found.chance >= found.least / 2):
                refusal = OTHER_SECTION
        return await self._answer(turn, match, refusal)

    async def _match(self, task: LiveTask[..., FaqMatch | None], turn: Turn, **question: Any) -> FaqMatch | None:
        given = {"message": turn.screened, "locale": turn.locale, "said": conversation(turn)}
        try:
            served = await self._app.serve(task, **question, **given)
        except pb.NotMaterialized:
            return None
        return served.value

    async def _answer(self, turn: Turn, match: FaqMatch, refusal: str) -> FromBank:
        """The precompiled answer, unless something refuses it."""
        if refusal:
            return FromBank(match, None, (refusal,))
        if self._shop.shoppers.has_complained(turn.shopper, match.answer):
            return FromBank(match, None, ("complained",))
        served = await self._app.serve(faq_answers, match.answer)
        if served.value is None:
            return FromBank(match, None, (f"stale: {served.reason}",))
        answer, text = served.value, self._filled(served.value.text)
        if (names := match.names - spoken(text)) and names - await self._books(turn):
            return FromBank(match, None, (CONVERSATION,))
        kind = parbake_semantic.guard.expected_kind(turn.message)
        if kind and not parbake_semantic.guard.states(kind, text):
            return FromBank(match, None, (f"does_not_state_{kind}",))
        draft = Draft(answer.text, sources=(answer.source,), lane=served.lane, faq=match.answer, section=match.answer)
        return FromBank(match, draft)

    async def _books(self, turn: Turn) -> set[str]:
        """The words of the titles that earlier turns name: what a policy states does not depend on a book's name."""
        titles = (await self._understanding.vocabulary()).titles
        named = (one.name for text in turn.earlier_questions for one in titles.named(text))
        return {word for name in named for word in spoken(name)}

    def _filled(self, text: str) -> str:
        try:
            return parbake_semantic.guard.fill(text, self._shop.fill)
        except parbake_semantic.guard.UnfilledSlot:
            return ""
