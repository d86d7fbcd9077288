"""The port of text generators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Prediction, Prompt, ToolCall


class Delta(msgspec.Struct, frozen=True):
    """A piece of a reply: text or a complete tool call.

    The last piece has the ``usage``, and from a generator that knows its own cache the ``prediction`` for it. A chain
    of generators sets ``model`` on every piece: the name of the one that wrote it. ``told`` is the provider's own word
    for why the prompt was not read from its cache, if it tells.
    """

    text: str = ""
    usage: Usage | None = None
    call: ToolCall | None = None
    model: str = ""
    prediction: Prediction | None = None
    told: str = ""


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
