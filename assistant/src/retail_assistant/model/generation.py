"""Asking the generator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import parbake as pb
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from retail_assistant.settings import ModelTime

tasks = pb.Registry()
MAX_TOKENS, TIMEOUT_S = 160, 20.0
MAX_TOKENS_WITH_TOOLS = 400
"""For a model that looks things up."""


@tasks.live(why="Needs conversation context and retrieved data")
async def response_generation(
    prompt: pb.Live[Prompt],
    *,
    generator: pb.Resource[Generator] = pb.GIVEN,
    time: pb.Resource[ModelTime] = pb.GIVEN,
) -> AsyncIterator[Delta]:
    """Stream a reply; what comes out is checked sentence by sentence before it is shown."""
    most, seconds = (MAX_TOKENS_WITH_TOOLS, time.request_s) if prompt.tools else (MAX_TOKENS, TIMEOUT_S)
    return generator.stream(prompt, max_tokens=most, timeout_s=min(seconds, pb.remaining_s()))


async def texts(deltas: AsyncIterator[Delta]) -> AsyncIterator[str]:
    """The text of a stream of deltas."""
    async for delta in deltas:
        if delta.text:
            yield delta.text
