"""One turn of a conversation: understand, try the bank, answer, check every sentence before it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

import parbake as pb
from retail_assistant.chat.answers import Answers
from retail_assistant.chat.generation import response_generation
from retail_assistant.chat.guardrails import guardrails
from retail_assistant.chat.intent import Intent, by_words, intent
from retail_assistant.chat.products import card, named_product
from retail_assistant.chat.release import Release
from retail_assistant.chat.retrieval import retrieval
from retail_assistant.chat.routing import corrected, follows
from retail_assistant.chat.turn import Draft, Reply, Turn
from retail_assistant.chat.wording import normalize
from retail_assistant.faq.conversation import Conversation, spoken
from retail_assistant.faq.explore import Notebook
from retail_assistant.faq.match import CONVERSATION, LEARNS, FaqMatch, faq_known, faq_match
from retail_assistant.faq.tasks import faq_answers
from retail_assistant.faq.vocabulary import content_words
from retail_assistant.live import LiveShop
from retail_assistant.shop.connections import PerThread

TIMEOUT = "30s"
SURE_SCORE = 0.7
UNSURE_INTENT = 0.35
TURNS_JOINED = 2
MOST_RETRIES = 2
OUTDATED = "outdated"
"""The refusal of an answer of the bank of which a sentence did not hold any more when it was checked."""
FROM_ANY_INTENT = {"faq", "out_of_scope", "smalltalk", "promotion", "product_search", "price_stock"}


class FromBank(msgspec.Struct, frozen=True):
    """What the bank has for a turn: a draft, or the reasons why it has none."""

    draft: Draft | None
    refusals: tuple[str, ...] = ()


class Assistant:
    """Answers turns."""

    def __init__(self, app: pb.App, shop: LiveShop, writers: PerThread) -> None:
        """Handlers share the app and the live shop; ``writers`` note what the bank can learn from."""
        self._app = app
        self._shop = shop
        self._answers = Answers(app, shop)
        self._release = Release(app)
        self._notebook = Notebook(writers, app.settings.clock)

    async def reply(self, turn: Turn, request: pb.Request) -> Reply:
        """Answer a turn within a request's scope."""
        async for said in self.stream(turn, request):
            if isinstance(said, Reply):
                return said
        raise AssertionError("a stream ends with the reply")

    async def stream(self, turn: Turn, request: pb.Request) -> AsyncIterator[str | Reply]:
        """Answer a turn within a request's scope: each checked sentence as it is ready, and at last the reply."""
        draft, retries = await self._draft(turn), 0
        while await self._release.is_outdated(draft, turn):
            if not draft.faq and retries >= MOST_RETRIES:
                if draft.stream:  # the rest of an answer without its main sentence misleads
                    draft = Draft(intent=draft.intent, refusals=draft.refusals)
                break
            # What it was made of changed between reading and checking: again, from what holds now.
            retries += 1
            request.again(retrieval, response_generation, guardrails)
            draft = await self._again(turn, draft)
        text = ""
        async for sentence in self._release.checked(draft, turn):
            text += sentence
            yield sentence
        cards = tuple(c for c in (card(a, self._shop) for a in draft.asins) if c is not None)
        refusals = tuple(draft.refusals)
        yield Reply(draft.intent, draft.lane, draft.faq, draft.sources, refusals, cards, text.strip())

    async def _again(self, turn: Turn, outdated: Draft) -> Draft:
        """A second draft; where an answer of the bank did not hold, one without the bank."""
        refusals = [*outdated.refusals, OUTDATED] if outdated.faq else outdated.refusals
        if OUTDATED in refusals:
            draft = await self._answers.from_evidence(turn, normalize(turn.message))
            draft.intent = outdated.intent
        else:
            draft = await self._draft(turn)
        draft.refusals = [*refusals, *draft.refusals]
        return draft

    async def _draft(self, turn: Turn) -> Draft:
        is_follow_up = follows(turn)
        question = normalize(turn.message)
        if is_follow_up:
            question = _joined(turn, question, 1)
        screened = _screened(turn, question)
        known = None if is_follow_up else await self._match(faq_known, turn, question=screened)
        refusals: list[str] = []
        if known is not None:  # to the letter: neither an embedding nor its intent is needed
            asked = await self._from_bank(turn, known, known.refusal, intent="")
            if asked.draft is not None:
                return asked.draft
            refusals += asked.refusals
        found = await self._intent(screened)
        intent = corrected(turn, found.name, self._shop)
        match = await self._match(faq_match, turn, question=screened, text=question) if known is None else None
        if match is not None:
            asked = await self._from_bank(turn, match, match.refusal or _unlike(intent, match), intent=intent)
            if asked.draft is not None:
                return asked.draft
            refusals += asked.refusals
        if CONVERSATION in refusals and _is_looked_up_together(turn, known or match):
            question = _joined(turn, question, TURNS_JOINED)
        if found.probability < UNSURE_INTENT and not is_follow_up and intent == found.name:
            draft = await self._answers.from_evidence(turn, question)
        else:
            draft = await self._answers.handler(intent)(turn, question)
        if match is not None and _is_proven(match, draft):
            self._notebook.explored(turn.shopper, turn.message, match.answer)
        draft.intent, draft.refusals = intent, refusals
        return draft

    async def _intent(self, question: pb.semantic.Screened) -> Intent:
        """The trained head's word; plain words decide where there is none, or only one past its time."""
        try:
            found: Intent = (await self._app.serve(intent, text=question.text)).unwrap()
        except pb.NotMaterialized:
            return by_words(question)
        return found

    async def _match(self, task: pb.LiveTask[..., FaqMatch | None], turn: Turn, **question: Any) -> FaqMatch | None:
        given = {"message": turn.screened, "locale": turn.locale, "said": _said(turn)}
        try:
            served = await self._app.serve(task, **question, **given)
        except pb.NotMaterialized:
            return None
        return served.value

    async def _from_bank(self, turn: Turn, match: FaqMatch, refusal: str, *, intent: str) -> FromBank:
        """The precompiled answer, unless something refuses it; ``intent`` is what was asked for, as far as known."""
        if refusal:
            is_told = intent == "faq" or match.score >= SURE_SCORE
            return FromBank(None, (refusal,) if is_told else ())
        if self._shop.has_complained(turn.shopper, match.answer):
            return FromBank(None, ("complained",))
        served = await self._app.serve(faq_answers, match.answer)
        if served.value is None:
            return FromBank(None, (f"stale: {served.reason}",))
        kind = pb.guard.expected_kind(turn.message)
        answer = served.value
        text = self._shop_text(answer.text)
        if (names := match.names - spoken(text)) and names - self._books(turn):
            return FromBank(None, (CONVERSATION,))
        if kind and not pb.guard.states(kind, text):
            return FromBank(None, (f"does_not_state_{kind}",))
        draft = Draft(answer.text, sources=(answer.source,), lane=served.lane, intent="faq", faq=match.answer)
        return FromBank(draft)

    def _books(self, turn: Turn) -> set[str]:
        """The words of the titles that earlier turns name: what a policy states does not depend on a book's name."""
        found = (named_product(text, self._shop) for text in turn.earlier_questions)
        return {word for product in found if product for word in spoken(product.title)}

    def _shop_text(self, text: str) -> str:
        try:
            return pb.guard.fill(text, self._shop.fill)
        except pb.guard.UnfilledSlot:
            return ""


def _said(turn: Turn) -> Conversation:
    return Conversation(tuple(turn.earlier_questions), turn.page is not None)


def _screened(turn: Turn, question: str) -> pb.semantic.Screened:
    """The question that was made from the message; only other words than the message's are screened again."""
    return turn.screened if question == turn.message else pb.semantic.screen(question)


def _is_looked_up_together(turn: Turn, match: FaqMatch | None) -> bool:
    """Whether what was said before helps to find an answer; the name of a book would find the book."""
    return (match is not None and match.refusal == CONVERSATION) or _said(turn).has_place


def _joined(turn: Turn, question: str, turns: int) -> str:
    """A question with those that it follows, so that it means something by itself."""
    return ", ".join([*map(normalize, turn.earlier_questions[-turns:]), question])


def _is_proven(match: FaqMatch, draft: Draft) -> bool:
    """Whether the answer that the bank had in mind was quoted first, and has every content word of the question."""
    is_quoted = match.refusal in LEARNS and not match.names and draft.evidence[:1] == (f"policy/{match.answer}",)
    return is_quoted and match.unsaid <= content_words(draft.fallback)


def _unlike(intent: str, match: FaqMatch) -> str:
    """A refusal where what is asked for is hardly what the bank answers."""
    is_like = intent == "faq" or (match.score >= SURE_SCORE and intent in FROM_ANY_INTENT)
    return "" if is_like else "intent_differs"
