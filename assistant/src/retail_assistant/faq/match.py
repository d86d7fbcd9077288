"""Matches a message to the bank, a known wording at once and any other by its embedding, or says why it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

import parbake as pb
import parbake_semantic
from parbake_semantic.embedder import Embedder
from retail_assistant.faq.earlier_turns import Conversation
from retail_assistant.faq.faq_tasks import faq_bank
from retail_assistant.faq.faq_words import Vocabulary
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.shop.shop_words import VETOES

T = TypeVar("T")
tasks = pb.Registry()
LEARNS = frozenset({"unsure", "audit", "bank_too_small"})
"""Refusals after which an answer found without the bank shows whether the bank was right."""
ANOTHER_SECTION = "names_another_section"
"""The refusal of a question that names another section than the one it is nearest to."""
CONVERSATION = "conversation"
"""The refusal of a question that may mean something else because of earlier turns."""
ALONE = Conversation()


class FaqMatch(msgspec.Struct, frozen=True):
    """The nearest answer; ``refusal`` is the reason code why it must not be served, and empty if it may be.

    ``names`` are the proper names of the conversation that no wording of the answer contains. If the bank can learn
    from the question, ``unsaid`` has the question's content words that no wording contains.
    """

    answer: str
    score: float
    refusal: str
    names: frozenset[str] = frozenset()
    unsaid: frozenset[str] = frozenset()


class Desk(msgspec.Struct, frozen=True):
    """A bank that is ready for questions, and the words that distinguish its sections."""

    bank: parbake_semantic.BankReader
    vocabulary: Vocabulary

    def judge(
        self,
        verdict: parbake_semantic.BankReply,
        question: str,
        message: parbake_semantic.Screened,
        said: Conversation = ALONE,
    ) -> FaqMatch | None:
        """Turn the bank's verdict into a match; the vetoes also check the message as it was typed.

        Args:
            verdict: The bank's reply to the question.
            question: The question that the bank was asked.
            message: The shopper's message, from which the question was made.
            said: The earlier turns.
        """
        match = verdict.match
        if match is None:
            return FaqMatch("", 0.0, verdict.reason) if verdict.reason else None
        reason = parbake_semantic.veto(message, match.alias, VETOES) or verdict.reason
        if not reason and not match.is_exact and self.vocabulary.names_another(question, match.answer):
            reason = ANOTHER_SECTION
        if (not reason or reason in LEARNS) and said.decides(question, match.answer, self.vocabulary):
            reason = CONVERSATION
        unsaid = self.vocabulary.unsaid(question, match.answer) if reason in LEARNS else frozenset[str]()
        return FaqMatch(match.answer, match.score, reason, said.names - self.vocabulary.said(match.answer), unsaid)


class PerBank(Generic[T]):
    """Keeps what was made of the current bank, until the model has a new generation."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: tuple[parbake_semantic.BankSnapshot, T] | None = None

    def of(self, bank: parbake_semantic.BankSnapshot, make: Callable[[], T]) -> T:
        """What was made of a bank; ``make`` makes it if the last call was for another bank."""
        kept = self._kept
        if kept is None or kept[0] is not bank:
            self._kept = kept = (bank, make())
        return kept[1]


_desks = PerBank[Desk]()


def _desk(snapshot: parbake_semantic.BankSnapshot, embedder: Embedder) -> Desk:
    return Desk(parbake_semantic.BankReader(snapshot, embedder, vetoes=VETOES), Vocabulary(snapshot.bank))


@tasks.live(why="Each question is matched in its own wording")
async def faq_known(
    question: pb.Live[parbake_semantic.Screened],
    message: pb.Live[parbake_semantic.Screened],
    locale: pb.Live[str],
    said: pb.Live[Conversation],
    *,
    embedder: pb.Resource[Embedder] = pb.GIVEN,
    bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank),
) -> FaqMatch | None:
    """The match of a message that is literally a wording of the bank, without any embedding; otherwise ``None``."""
    desk = _desks.of(bank, lambda: _desk(bank, embedder))
    verdict = desk.bank.recall(question, scope=parbake_semantic.Scope(locale=locale))
    return desk.judge(verdict, question.text, message, said) if verdict else None


@tasks.live(why="Each question is matched in its own wording")
async def faq_match(
    question: pb.Live[parbake_semantic.Screened],
    message: pb.Live[parbake_semantic.Screened],
    locale: pb.Live[str],
    said: pb.Live[Conversation],
    *,
    vector: Any = pb.Input(query_embedding),
    embedder: pb.Resource[Embedder] = pb.GIVEN,
    bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank),
) -> FaqMatch | None:
    """The bank's nearest answer, and whether it may be served for this message."""
    desk = _desks.of(bank, lambda: _desk(bank, embedder))
    verdict = desk.bank.ask(question, scope=parbake_semantic.Scope(locale=locale), vector=vector)
    return desk.judge(verdict, question.text, message, said)
