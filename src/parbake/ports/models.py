"""The ports of models: text generators and embedders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one generation. ``None`` means that the engine did not report it, which is not 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


class Prompt(msgspec.Struct, frozen=True):
    """A prompt in order of volatility: system rules, evidence, conversation turns (role, text), then the question."""

    system: str
    evidence: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]
    question: str


class Delta(msgspec.Struct, frozen=True):
    """A piece of a reply; ``usage`` comes with the last."""

    text: str
    usage: Usage | None = None


class Generator(Protocol):
    """Writes a reply from a prompt."""

    name: str

    def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply.

        Args:
            prompt: The question, and the evidence to answer it from.
            max_tokens: The length at which the reply is cut off.
            timeout_s: The seconds after which the request fails.

        Returns:
            The pieces of the reply in order; the last ones may carry the tokens used.

        Raises:
            ProviderError: The provider did not answer, or refused.
        """
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors (float32, one row each)."""

    model_hash: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Any:
        """Return an array of shape (texts, dimensions); blocking."""
        ...
