"""The ports of models: text generators and embedders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec

from parbake.ports.prompts import Prediction, Prompt, ToolCall


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one generation. ``None`` means that the engine did not report it, which is not 0.

    Attributes:
        uncached: Input tokens that were neither read from a cache nor written to one, as far as those are reported.
        output: Output tokens, with those of reasoning.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache that lives for minutes.
        cache_write_hour: Input tokens written to a cache that lives for an hour.
        reasoning: Output tokens that are not shown.
    """

    uncached: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_hour: int | None = None
    reasoning: int | None = None

    @property
    def input(self) -> int | None:
        """All input tokens; ``None`` if not reported."""
        if self.uncached is None:
            return None
        return self.uncached + (self.cache_read or 0) + (self.cache_write or 0) + (self.cache_write_hour or 0)

    def __add__(self, other: Usage) -> Usage:
        """The tokens of both generations; a count that one of them did not report is that of the other."""
        return Usage(**{name: _sum(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__})


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


class Delta(msgspec.Struct, frozen=True):
    """A piece of a reply: text or a complete tool call.

    The last piece has the ``usage``, and from a generator that knows its own cache the ``prediction`` for it. A chain
    of generators sets ``model`` on every piece: the name of the one that wrote it.
    """

    text: str = ""
    usage: Usage | None = None
    call: ToolCall | None = None
    model: str = ""
    prediction: Prediction | None = None


class Generator(Protocol):
    """Writes a reply from a prompt."""

    name: str

    def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply.

        Args:
            prompt: What the model is sent.
            max_tokens: The length at which the reply is cut off.
            timeout_s: The seconds after which the request fails, from its beginning to its last piece.

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
