"""A prompt as the pieces that a prefix cache compares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from parbake_llm.ports.prompts import CONVERSATION, Prompt, Ttl
from parbake_llm.prefix_caches.predicted import Piece
from parbake_llm.writing.placement import estimated_tokens
from parbake_llm.writing.render import parts


def pieces(prompt: Prompt, tokens: Callable[[str], int] = estimated_tokens) -> tuple[Piece, ...]:
    """Cut a prompt into pieces: its tools, each block, each turn of the conversation, and the volatile question.

    Args:
        prompt: The prompt, with its breakpoints placed.
        tokens: Counts the tokens of a text.
    """
    ttls: dict[str, Ttl] = {one.after: one.ttl for one in prompt.breakpoints or ()}
    return tuple(_pieces(prompt, ttls, tokens))


def _pieces(prompt: Prompt, ttls: dict[str, Ttl], tokens: Callable[[str], int]) -> Iterator[Piece]:
    for part in parts(prompt):
        if part.volatility == "request":  # a block may have the same name
            yield Piece(_digest(part.text), tokens(part.text), part.name, volatile=True)
        elif part.name != CONVERSATION:
            yield Piece(_digest(part.text), tokens(part.text), part.name, ttls.get(part.name))
        else:
            turns = [f"{role}: {text}\n" for role, text in prompt.turns]
            for text in turns[:-1]:
                yield Piece(_digest(text), tokens(text), CONVERSATION)
            yield Piece(_digest(turns[-1]), tokens(turns[-1]), CONVERSATION, ttls.get(CONVERSATION))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
