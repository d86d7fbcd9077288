"""Wording a reply from evidence: the prompt, and the generator that writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import parbake as pb
from parbake.ports.models import Delta, Generator, Prompt
from retail_assistant.chat.retrieval import Hit
from retail_assistant.chat.turn import Turn
from retail_assistant.knowledge.blocks import Block
from retail_assistant.live import LiveShop, fill_slots

tasks = pb.Registry()
SYSTEM = (
    "You answer questions of customers of a book shop. Use only the evidence. State no number, date or price that the "
    "evidence does not state. If the evidence does not answer the question, say so. Answer in one or two sentences."
)
LEAST_COSINE, FAR = 0.3, 0.15
NOT_STATED = "Our policies do not state that; please ask our support team."
MAX_TOKENS, TIMEOUT_S = 160, 20.0


@tasks.live(why="Needs conversation context and retrieved data")
async def response_generation(
    prompt: pb.Live[Prompt],
    *,
    generator: pb.Resource[Generator] = pb.GIVEN,
) -> AsyncIterator[Delta]:
    """Stream a reply; what comes out is checked sentence by sentence before it is shown."""
    return generator.stream(prompt, max_tokens=MAX_TOKENS, timeout_s=min(TIMEOUT_S, pb.remaining_s()))


def grounded_evidence(question: str, hits: Sequence[Hit], shop: LiveShop) -> tuple[list[str], list[Block]]:
    """The texts that can answer a question, with live values filled in, and the blocks they come from.

    A question that asks for a time or an amount is answered only by a statement that makes one.
    """
    kind = pb.guard.expected_kind(question)
    nearest = max((hit.cosine for hit in hits[:3]), default=0.0)
    texts: list[str] = []
    blocks: list[Block] = []
    for hit in hits[:3]:
        if hit.cosine < max(LEAST_COSINE, nearest - FAR):
            continue
        text = fill_slots(hit.block.text, shop)
        if kind is None or _answers(question, kind, hit.block.title, text):
            texts.append(text)
            blocks.append(hit.block)
    return texts, blocks


def _answers(question: str, kind: str, title: str, text: str) -> bool:
    """Whether a sentence makes the kind of claim that was asked for, about what was asked."""
    return any(
        pb.guard.states(kind, sentence) and pb.guard.shares_topic(question, f"{title} {sentence}")
        for sentence in pb.guard.sentences(text)
    )


def build_prompt(turn: Turn, question: str, evidence: Sequence[str]) -> Prompt:
    """Stable first: the rules, then the evidence in a fixed order, the conversation, and the question last."""
    return Prompt(SYSTEM, tuple(evidence), turn.history[-6:], question)


async def texts(deltas: AsyncIterator[Delta]) -> AsyncIterator[str]:
    """The text of a stream of deltas."""
    async for delta in deltas:
        if delta.text:
            yield delta.text
