"""Matching a message to the bank: a known wording at once, any other by its embedding; and why it may not be served."""

from __future__ import annotations

from typing import Any

import msgspec

import parbake as pb
from retail_assistant.chat.embedding import query_embedding
from retail_assistant.faq.tasks import faq_bank

tasks = pb.Registry()
LEARNS = frozenset({"unsure", "audit", "bank_too_small"})
"""Refusals after which an answer that was found without the bank says whether the bank was right."""
UNANSWERED = "unanswered"
"""The refusal of a question that the bank knows and has no section for."""


class FaqMatch(msgspec.Struct, frozen=True):
    """The nearest answer; ``refusal`` is the reason code why it must not be served, empty when it may."""

    answer: str
    score: float
    refusal: str


class _Banks:
    """The current bank ready to be asked, laid out anew when the model moves."""

    def __init__(self) -> None:
        self._ready: tuple[pb.semantic.BankSnapshot, pb.semantic.QuestionBank] | None = None

    def of(self, snapshot: pb.semantic.BankSnapshot, embedder: pb.Embedder) -> pb.semantic.QuestionBank:
        ready = self._ready
        if ready is None or ready[0] is not snapshot:
            bank = pb.semantic.QuestionBank(embedder)
            bank.take(snapshot)
            self._ready = ready = (snapshot, bank)
        return ready[1]


_banks = _Banks()


@tasks.live(why="Each question is matched in its own wording")
async def faq_known(
    text: pb.Live[str],
    message: pb.Live[str],
    locale: pb.Live[str],
    *,
    embedder: pb.Resource[pb.Embedder] = pb.GIVEN,
    bank: pb.semantic.BankSnapshot = pb.Model(faq_bank),
) -> FaqMatch | None:
    """The answer of a wording that the bank holds to the letter, without any embedding."""
    verdict = _banks.of(bank, embedder).recall(text, scope=pb.semantic.Scope(locale=locale))
    return _match(verdict, message) if verdict else None


@tasks.live(why="Each question is matched in its own wording")
async def faq_match(
    text: pb.Live[str],
    message: pb.Live[str],
    locale: pb.Live[str],
    *,
    vector: Any = pb.Input(query_embedding),
    embedder: pb.Resource[pb.Embedder] = pb.GIVEN,
    bank: pb.semantic.BankSnapshot = pb.Model(faq_bank),
) -> FaqMatch | None:
    """The bank's nearest answer, and whether it may be served for this message."""
    return _match(_banks.of(bank, embedder).ask(text, scope=pb.semantic.Scope(locale=locale), vector=vector), message)


def _match(verdict: pb.semantic.Verdict, message: str) -> FaqMatch | None:
    """A verdict as the conversation uses it; the message as it was typed is vetoed too."""
    match = verdict.match
    if match is None:
        return FaqMatch("", 0.0, verdict.reason) if verdict.reason else None
    reason = UNANSWERED if verdict.reason == "demoted" else verdict.reason  # complaints withhold answers, not matches
    return FaqMatch(match.answer, match.score, pb.semantic.veto(message, match.alias) or reason)
