"""No model: quotes the sentences of the evidence that share the most words with the question."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from parbake.ports.usage import Usage
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt
from parbake_semantic.guard.topics import content_words

_SENTENCE = re.compile(r"(?<!\bVol\.)(?<=[.!?])\s+(?=[A-Z0-9\"'€$\u201c{])")


class Extractive:
    """Quotes evidence verbatim, so it can state nothing that is not in the evidence."""

    name = provider = model = "extractive"

    def __init__(self, *, sentences: int = 2, nothing: str = "I could not find that in our information.") -> None:
        """Create the generator.

        It quotes at most ``sentences`` sentences, and says ``nothing`` if there is no evidence.
        """
        self._sentences = sentences
        self._nothing = nothing

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:  # noqa: ARG002 - the port's signature; quoting needs neither
        """Stream the quoted sentences one by one.

        Args:
            prompt: The question and the evidence.
            max_tokens: Ignored.
            timeout_s: Ignored.
        """
        for sentence in self.quote(prompt):
            yield Delta(sentence + " ")
        yield Delta(usage=Usage(uncached=0, output=0))

    def quote(self, prompt: Prompt) -> list[str]:
        """The sentences to quote, in the order of the evidence; earlier evidence counts more."""
        wanted = set(content_words(prompt.question)) | {w for _, text in prompt.turns[-1:] for w in content_words(text)}
        scored: list[tuple[float, int, str]] = []
        for rank, text in enumerate(prompt.evidence):
            for sentence in _SENTENCE.split(text.strip()):
                overlap = len(wanted & set(content_words(sentence)))
                scored.append((overlap + 1.0 / (1 + rank), len(scored), sentence))
        best = sorted(scored, key=lambda s: (-s[0], s[1]))[: self._sentences]
        return [sentence for _, _, sentence in sorted(best, key=lambda s: s[1])] or [self._nothing]
