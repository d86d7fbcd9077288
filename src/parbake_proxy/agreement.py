"""Whether two answers of a model say the same, though it words them anew each time."""

from __future__ import annotations

from parbake_proxy.wire.anthropic_messages import AnthropicMessages
from parbake_proxy.wire.dialect import Document
from parbake_proxy.wire.openai_chat import OpenAiChat
from parbake_semantic.embedder import Embedder
from parbake_semantic.text.arrays import unit_rows
from parbake_semantic.text.contradictions import negations, quantities
from parbake_semantic.text.normalize import normalize, visible

_NEAR = 0.85
"""The least cosine of two wordings of one answer."""


def text_of(answer: Document) -> str:
    """The text of a stored answer of either protocol."""
    return (OpenAiChat() if "choices" in answer else AnthropicMessages()).text(answer)


class Agreement:
    """Compares answers by their vectors, numbers and negations; without an embedder, by their text."""

    def __init__(self, embedder: Embedder | None) -> None:
        """Compare with the embedder of the cache."""
        self._embedder = embedder

    def __call__(self, known: Document, fresh: Document) -> bool:
        """Whether two answers say the same."""
        one, other = text_of(known), text_of(fresh)
        if normalize(one) == normalize(other):
            return True
        left, right = visible(one), visible(other)
        if self._embedder is None or quantities(left) != quantities(right) or negations(left) != negations(right):
            return False
        rows = unit_rows(self._embedder.embed([one, other]), dimensions=self._embedder.dimensions)
        return float(rows[0] @ rows[1]) >= _NEAR
