"""A prompt as the pieces that a prefix cache compares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from parbake.ports.prompts import CONVERSATION, Prompt, Ttl
from parbake.prompt.prefix_caches.predicted import Piece
from parbake.prompt.writing.placement import estimated_tokens
from parbake.prompt.writing.render import parts

QUESTION = "question"


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
        if part.name != CONVERSATION:
            is_question = part.name == QUESTION and part.volatility == "request"
            yield _piece(part.name, part.text, None if is_question else ttls.get(part.name), tokens)
            continue
        for at, (role, text) in enumerate(prompt.turns, start=1):
            yield _piece(CONVERSATION, f"{role}: {text}\n", ttls.get(CONVERSATION) if at == len(prompt.turns) else None,
                         tokens)  # fmt: skip


def _piece(name: str, text: str, ttl: Ttl | None, tokens: Callable[[str], int]) -> Piece:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return Piece(digest, tokens(text), name, ttl, volatile=name == QUESTION)
