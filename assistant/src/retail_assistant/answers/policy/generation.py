"""Wording a reply from evidence: the prompt, and the generator that writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import parbake as pb
from parbake.ports.models import Delta, Generator, Prompt

tasks = pb.Registry()
SYSTEM = (
    "You answer questions of customers of a book shop. Use only the evidence. State no number, date or price that the "
    "evidence does not state. If the evidence does not answer the question, say so. Answer in one or two sentences."
)
MAX_TOKENS, TIMEOUT_S = 160, 20.0


@tasks.live(why="Needs conversation context and retrieved data")
async def response_generation(
    prompt: pb.Live[Prompt],
    *,
    generator: pb.Resource[Generator] = pb.GIVEN,
) -> AsyncIterator[Delta]:
    """Stream a reply; what comes out is checked sentence by sentence before it is shown."""
    return generator.stream(prompt, max_tokens=MAX_TOKENS, timeout_s=min(TIMEOUT_S, pb.remaining_s()))


def build_prompt(history: Sequence[tuple[str, str]], question: str, evidence: Sequence[str]) -> Prompt:
    """Stable first: the rules, then the evidence in a fixed order, the conversation, and the question last."""
    return Prompt(SYSTEM, tuple(evidence), tuple(history[-6:]), question)


async def texts(deltas: AsyncIterator[Delta]) -> AsyncIterator[str]:
    """The text of a stream of deltas."""
    async for delta in deltas:
        if delta.text:
            yield delta.text
