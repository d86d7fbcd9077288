"""One turn of a conversation: understand, try the bank, answer, check every sentence before it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

import parbake as pb
from retail_assistant.chat.answers import Answers
from retail_assistant.chat.intent import Intent, by_words, intent
from retail_assistant.chat.products import card, named_product
from retail_assistant.chat.release import Release
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


class Assistant:
    """Answers turns."""

    def __init__(self, app: pb.App, shop: LiveShop, writers: PerThread) -> None:
        """Handlers share the app and the live shop; ``writers`` note what the bank can learn from."""
        self._app = app
        self._shop = shop
        self._answers = Answers(app, shop)
        self._release = Release(app)
        self._notebook = Notebook(writers, app.clock)

    async def reply(self, turn: Turn, reply: Reply) -> AsyncIterator[str]:
        """Stream the checked sentences of an answer; ``reply`` is filled on the way."""
        draft = await self._draft(turn, reply)
        while await self._release.is_outdated(draft, turn):
            if not reply.faq and turn.attempt >= MOST_RETRIES:
                draft = Draft() if draft.stream else draft  # the rest of an answer without its main sentence misleads
                break
            # What it was made of changed between reading and checking: again, from what holds now.
            turn = msgspec.structs.replace(turn, attempt=turn.attempt + 1)
            draft = await self._again(turn, reply)
        reply.lane, reply.sources = draft.lane, draft.sources
        async for sentence in self._release.checked(draft, turn, reply):
            reply.text += sentence
            yield sentence
        reply.text = reply.text.strip()
        reply.cards = [c for c in (card(a, self._shop) for a in draft.asins) if c is not None]

    async def _again(self, turn: Turn, reply: Reply) -> Draft:
        """A second draft; where an answer of the bank did not hold, one without the bank."""
        if reply.faq:
            reply.faq = ""
            reply.refusals.append(OUTDATED)
        if OUTDATED in reply.refusals:
            return await self._answers.from_evidence(turn, normalize(turn.message))
        return await self._draft(turn, reply)

    async def _draft(self, turn: Turn, reply: Reply) -> Draft:
        is_follow_up = follows(turn)
        question = normalize(turn.message)
        if is_follow_up:
            question = _joined(turn, question, 1)
        known = None if is_follow_up else await self._match(faq_known, question, turn)
        if known is not None:  # to the letter: neither an embedding nor its intent is needed
            compiled = await self._from_bank(turn, known, reply, is_known=True)
            if compiled is not None:
                return compiled
        found = await self._intent(question)
        reply.intent = corrected(turn, found.name, self._shop)
        match = await self._match(faq_match, question, turn) if known is None else None
        if match is not None:
            compiled = await self._from_bank(turn, match, reply)
            if compiled is not None:
                return compiled
        if CONVERSATION in reply.refusals and _is_looked_up_together(turn, known or match):
            question = _joined(turn, question, TURNS_JOINED)
        if found.probability < UNSURE_INTENT and not is_follow_up and reply.intent == found.name:
            draft = await self._answers.from_evidence(turn, question)
        else:
            draft = await self._answers.handler(reply.intent)(turn, question)
        if match is not None and _is_proven(match, draft):
            self._notebook.explored(turn.shopper, turn.message, match.answer)
        return draft

    async def _intent(self, question: str) -> Intent:
        """The trained head's word; plain words decide where there is none, or only one past its time."""
        try:
            found: Intent = (await self._app.serve(intent, text=question)).unwrap()
        except pb.NotMaterialized:
            return by_words(question)
        return found

    async def _match(self, task: pb.LiveTask[..., FaqMatch | None], question: str, turn: Turn) -> FaqMatch | None:
        said = _said(turn)
        try:
            served = await self._app.serve(task, text=question, message=turn.message, locale=turn.locale, said=said)
        except pb.NotMaterialized:
            return None
        return served.value

    async def _from_bank(self, turn: Turn, match: FaqMatch, reply: Reply, *, is_known: bool = False) -> Draft | None:
        """The precompiled answer, or ``None`` with the reason noted."""
        refusal = match.refusal or ("" if is_known else _unlike(reply.intent, match))
        if refusal:
            if reply.intent == "faq" or match.score >= SURE_SCORE:
                reply.refusals.append(refusal)
            return None
        if self._shop.has_complained(turn.shopper, match.answer):
            reply.refusals.append("complained")
            return None
        served = await self._app.serve(faq_answers, match.answer)
        if served.value is None:
            reply.refusals.append(f"stale: {served.reason}")
            return None
        kind = pb.guard.expected_kind(turn.message)
        answer = served.value
        text = self._shop_text(answer.text)
        if (names := match.names - spoken(text)) and names - self._books(turn):
            reply.refusals.append(CONVERSATION)
            return None
        if kind and not pb.guard.states(kind, text):
            reply.refusals.append(f"does_not_state_{kind}")
            return None
        reply.intent, reply.faq = "faq", match.answer
        return Draft(answer.text, sources=(answer.source,), lane=served.lane)

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
