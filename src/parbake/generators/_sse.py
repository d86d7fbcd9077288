"""Shared by engines with the OpenAI chat protocol: prompts out, deltas in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parbake.errors import ProviderError
from parbake.ports.models import Prompt, Usage


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as chat messages, the stable part first: rules, evidence, the conversation, and the question last."""
    head = prompt.system
    if prompt.evidence:
        head += "\n\nEvidence:\n" + "\n".join(f"- {text}" for text in prompt.evidence)
    turns = [{"role": role, "content": text} for role, text in prompt.turns]
    return [{"role": "system", "content": head}, *turns, {"role": "user", "content": prompt.question}]


def usage_of(reported: Any) -> Usage:
    """Read the token counts that an engine reported; a missing or invalid count is ``None``."""
    bill = _mapping(reported)
    details = _mapping(bill.get("prompt_tokens_details"))
    return Usage(*map(_count, (bill.get("prompt_tokens"), bill.get("completion_tokens"), details.get("cached_tokens"))))


class StreamReply:
    """Reads one streamed reply chunk by chunk, and validates the shape of each chunk.

    ``usage`` holds the tokens that were reported so far.
    """

    def __init__(self, who: str, *, field: str) -> None:
        """Create the reader.

        Args:
            who: The name of the generator, for errors.
            field: The setting to name in errors.
        """
        self.usage = Usage()
        self._who, self._field = who, field
        self._is_whole = False

    def texts(self, chunk: Any) -> list[str]:
        """Return the pieces of text in a chunk; a chunk without choices has none.

        Raises :class:`ProviderError` for a malformed chunk. The error does not quote the chunk.
        """
        document = self._object(chunk, "a chunk")
        if document.get("usage"):
            self.usage, self._is_whole = usage_of(document["usage"]), True
        choices = document.get("choices") or []
        if not isinstance(choices, list):
            raise self._malformed("the choices of a chunk are not a list")
        return [text for choice in choices if (text := self._text(self._object(choice, "a choice")))]

    def check_whole(self) -> None:
        """Raise :class:`ProviderError` if the stream ended before the reply did."""
        if not self._is_whole:
            raise ProviderError(f"{self._who} ended the stream before its reply was finished", field=self._field)

    def _text(self, choice: Mapping[str, Any]) -> str:
        self._is_whole = self._is_whole or bool(choice.get("finish_reason"))
        content = self._object(choice.get("delta") or {}, "a delta").get("content") or ""
        if not isinstance(content, str):
            raise self._malformed("the content of a delta is not text")
        return content

    def _object(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._malformed(f"{what} is not a JSON object")
        return value

    def _malformed(self, reason: str) -> ProviderError:
        return ProviderError(f"{self._who} sent a malformed reply: {reason}", field=self._field)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
