"""The OpenAI chat protocol as every server speaks it: a prompt as messages, and the chunks of a streamed reply."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from parbake.ports.usage import Usage
from parbake_llm.generators._hosted.calls import ReplyReader
from parbake_llm.generators._hosted.parts import rounds
from parbake_llm.ports.prompts import CONVERSATION, Prompt, ToolCall
from parbake_llm.writing.render import prefix_text, question_text


def messages(prompt: Prompt, ends: Container[str] | None = None) -> list[dict[str, Any]]:
    """The prompt as chat messages: the blocks as one system message, the conversation, the question, the tool calls.

    Args:
        prompt: The prompt.
        ends: After which parts a cached prefix ends, for a server that takes breakpoints. They stand on parts of the
            content; the protocol has none for tools.
    """
    blocks, head = [block for block in prompt.blocks if block.text], prefix_text(prompt.blocks)
    turns: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in prompt.turns]
    content: Any = head
    if ends is not None:
        content = [_part(block.text, is_end=block.name in ends) for block in blocks]
        if turns and CONVERSATION in ends:
            turns[-1]["content"] = [_part(turns[-1]["content"], is_end=True)]
    system = [{"role": "system", "content": content}] if head else []
    return [*system, *turns, {"role": "user", "content": question_text(prompt)}, *_exchanges(prompt)]


def _part(text: str, *, is_end: bool) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"prompt_cache_breakpoint": {"mode": "explicit"}} if is_end else {})


def _exchanges(prompt: Prompt) -> list[dict[str, Any]]:
    """The rounds of tool calls as messages of the assistant and of its tools."""
    found: list[dict[str, Any]] = []
    for text, pairs in rounds(prompt):
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call, _ in pairs
        ]
        found.append({"role": "assistant", "content": text or None, "tool_calls": calls})
        found += [{"role": "tool", "tool_call_id": call.id, "content": result} for call, result in pairs]
    return found


def usage_of(reported: Any) -> Usage:
    """Read the token counts that an engine reported; a missing or invalid count is ``None``."""
    bill = _mapping(reported)
    details, made = _mapping(bill.get("prompt_tokens_details")), _mapping(bill.get("completion_tokens_details"))
    total, output = count(bill.get("prompt_tokens")), count(bill.get("completion_tokens"))
    read, written = count(details.get("cached_tokens")), count(details.get("cache_write_tokens"))
    return Usage(
        uncached=None if total is None else max(0, total - (read or 0) - (written or 0)),
        output=output,
        cache_read=read,
        cache_write=written,
        reasoning=count(made.get("reasoning_tokens")),
    )


class StreamReply(ReplyReader):
    """Reads one streamed reply chunk by chunk, and validates the shape of each chunk.

    ``usage`` holds the tokens that were reported so far.
    """

    def __init__(self, field: str, who: str = "the provider") -> None:
        """Create the reader; see :class:`ReplyReader`."""
        super().__init__(field, who)
        self.usage = Usage()

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

    def calls(self) -> list[ToolCall]:
        """Return the tool calls of the reply, once it is whole."""
        return self._calls.finish_all()

    def _text(self, choice: Mapping[str, Any]) -> str:
        self._is_whole = self._is_whole or bool(choice.get("finish_reason"))
        delta = self._object(choice.get("delta") or {}, "a delta")
        calls = delta.get("tool_calls") or []
        if not isinstance(calls, list):
            raise self._malformed("the tool calls of a delta are not a list")
        for call in calls:
            self._add_call(self._object(call, "a tool call"))
        return self._string(delta.get("content"), "the content of a delta")

    def _add_call(self, call: Mapping[str, Any]) -> None:
        function = self._object(call.get("function") or {}, "the function of a tool call")
        name, call_id = self._string(function.get("name"), "a name"), self._string(call.get("id"), "an id")
        position = count(call.get("index"))
        if position is None:  # some servers send each call whole and without an index
            position = len(self._calls) - (0 if name or not len(self._calls) else 1)
        if position not in self._calls:
            if not name:
                raise self._malformed("a tool call has no name")
            self._calls.start(position, call_id or f"call_{position}", name)
        self._calls.add(position, self._string(function.get("arguments"), "the arguments of a tool call"))

    def _string(self, value: Any, what: str) -> str:
        if not isinstance(value or "", str):
            raise self._malformed(f"{what} is not text")
        return value or ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def count(value: Any) -> int | None:
    """A reported number of tokens; ``None`` if it is not a whole number of 0 or more."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
