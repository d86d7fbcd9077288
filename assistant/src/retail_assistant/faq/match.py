"""Matching a message to the bank: the score, a fixed policy, and the vetoes."""

from __future__ import annotations

from typing import Any

import msgspec

import parbake as pb
from retail_assistant.chat.embedding import query_embedding
from retail_assistant.faq.compile import Bank
from retail_assistant.faq.tasks import faq_bank

tasks = pb.Registry()
POLICY = pb.semantic.FixedPolicy(score=0.5, margin=0.2, cosine=0.4)


class FaqMatch(msgspec.Struct, frozen=True):
    """The nearest answer; ``refusal`` is the reason code why it must not be served, empty when it may."""

    answer: str
    score: float
    refusal: str


class _Matchers:
    """The matcher of the current bank, rebuilt when the model moves."""

    def __init__(self) -> None:
        self._bank: Bank | None = None
        self._matcher: pb.semantic.Matcher | None = None

    def of(self, bank: Bank) -> pb.semantic.Matcher:
        if self._matcher is None or self._bank is not bank:
            self._bank, self._matcher = bank, pb.semantic.Matcher(bank.matching)
        return self._matcher


_matchers = _Matchers()


@tasks.live(why="Each question is matched in its own wording")
async def faq_match(
    text: pb.Live[str],
    message: pb.Live[str],
    *,
    vector: Any = pb.Input(query_embedding),
    bank: Bank = pb.Model(faq_bank),
) -> FaqMatch | None:
    """The bank's nearest answer, and whether it may be served for this message."""
    match = _matchers.of(bank).match(text, vector)
    if match is None:
        return None
    refusal = POLICY.refusal(match) or pb.semantic.veto(message, match.alias)
    return FaqMatch(match.answer, match.score, refusal or "")
