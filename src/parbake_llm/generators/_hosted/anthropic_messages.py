"""Anthropic's messages protocol: a prompt as a request, and the events of a streamed reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parbake.ports.usage import Usage
from parbake_llm.generators._hosted.calls import ReplyReader, arguments_of
from parbake_llm.generators._hosted.chat import count
from parbake_llm.generators._hosted.parts import marks, rounds
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import CONVERSATION, TOOLS, Prompt, Ttl
from parbake_llm.writing.placement import CacheRules
from parbake_llm.writing.render import question_text, sorted_tools, tool_schema


def message_request(prompt: Prompt, rules: CacheRules) -> dict[str, Any]:
    """The fields ``tools``, ``system`` and ``messages`` of a request, with ``cache_control`` where a prefix ends.

    Args:
        prompt: The prompt, with its breakpoints placed.
        rules: How the provider caches.
    """
    ends = marks(prompt, rules)
    body: dict[str, Any] = {"messages": _messages(prompt, ends.get(CONVERSATION))}
    system = [_text(block.text, ends.get(block.name)) for block in prompt.blocks if block.text]
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool_schema(tool)}
        for tool in sorted_tools(prompt.tools)
    ]
    if tools and TOOLS in ends:
        tools[-1]["cache_control"] = _control(ends[TOOLS])
    return body | ({"system": system} if system else {}) | ({"tools": tools} if tools else {})


def _messages(prompt: Prompt, end: Ttl | None) -> list[dict[str, Any]]:
    last = len(prompt.turns) - 1
    found: list[dict[str, Any]] = [
        {"role": role, "content": [_text(text, end if at == last else None)]}
        for at, (role, text) in enumerate(prompt.turns)
    ]
    found.append({"role": "user", "content": [_text(question_text(prompt), None)]})
    for text, pairs in rounds(prompt):
        calls = [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)} for call, _ in pairs
        ]
        said = [_text(text, None)] if text.strip() else []
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": result} for call, result in pairs]
        found += [{"role": "assistant", "content": [*said, *calls]}, {"role": "user", "content": results}]
    return found


def _text(text: str, end: Ttl | None) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"cache_control": _control(end)} if end else {})


def _control(ttl: Ttl) -> dict[str, str]:
    """Five minutes are the default, so that they need not be named."""
    return {"type": "ephemeral"} | ({} if ttl == "5m" else {"ttl": ttl})


class MessageReply(ReplyReader):
    """Reads one streamed reply event by event, and validates the shape of each."""

    def __init__(self, field: str) -> None:
        """Create the reader; ``field`` is the setting to name in errors."""
        super().__init__(field)
        self._usage: dict[str, Any] = {}
        self.id = ""
        """The reply's id, by which a later request can name it."""
        self.told = ""
        """Why the provider read less of the prompt from its cache than it could have; empty if it does not say."""

    @property
    def usage(self) -> Usage:
        """The tokens that were reported so far."""
        return message_usage(self._usage)

    def deltas(self, event: Any) -> Iterator[Delta]:
        """Yield the text and the complete tool calls of an event. Raises :class:`ProviderError` if it is malformed."""
        found = self._object(event, "an event")
        match found.get("type"):
            case "message_start":
                message = self._object(found.get("message"), "a message")
                self.id = str(message.get("id") or "")
                self._diagnose(message.get("diagnostics"))
                self._report(message.get("usage"))
            case "content_block_start":
                yield from self._start(found)
            case "content_block_delta":
                yield from self._delta(found)
            case "content_block_stop":
                if (index := count(found.get("index"))) is not None and index in self._calls:
                    yield Delta(call=self._calls.finish(index))
            case "message_delta":
                self._diagnose(found.get("diagnostics"))
                self._report(found.get("usage"))
            case "message_stop":
                self._is_whole = True

    def _report(self, usage: Any) -> None:
        """Counts are cumulative, so later ones replace earlier ones."""
        if isinstance(usage, Mapping):
            self._usage |= {name: value for name, value in usage.items() if value is not None}

    def _diagnose(self, diagnostics: Any) -> None:
        """Read ``cache_miss_reason``; a comparison that is not finished, or found nothing, has none."""
        reason = diagnostics.get("cache_miss_reason") if isinstance(diagnostics, Mapping) else None
        if isinstance(reason, Mapping) and isinstance(reason.get("type"), str):
            self.told = reason["type"]

    def _start(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        block = self._object(event.get("content_block"), "a content block")
        if block.get("type") == "tool_use":
            name, call_id = self._string(block.get("name")), self._string(block.get("id"))
            self._calls.start(self._index(event), call_id, name)
        elif block.get("type") == "text" and block.get("text"):
            yield Delta(self._string(block["text"]))

    def _delta(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        delta = self._object(event.get("delta"), "a delta")
        if delta.get("type") == "text_delta":
            if text := self._string(delta.get("text")):
                yield Delta(text)
        elif delta.get("type") == "input_json_delta":
            index = self._index(event)
            if index not in self._calls:
                raise self._malformed("arguments belong to no tool call")
            self._calls.add(index, self._string(delta.get("partial_json")))

    def _index(self, event: Mapping[str, Any]) -> int:
        if (index := count(event.get("index"))) is None:
            raise self._malformed("an event has no index")
        return index

    def _string(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._malformed("a text is missing or is not a string")
        return value


def message_usage(reported: Mapping[str, Any]) -> Usage:
    """Read the counts of a message. ``input_tokens`` is what was neither read from a cache nor written to one."""
    split = reported.get("cache_creation")
    written = count(reported.get("cache_creation_input_tokens"))
    minutes = hour = None
    if isinstance(split, Mapping):
        minutes = count(split.get("ephemeral_5m_input_tokens"))
        hour = count(split.get("ephemeral_1h_input_tokens"))
    if (
        written is not None and (minutes or 0) + (hour or 0) != written
    ):  # the total is cumulative, the split need not be
        minutes = written - (hour or 0) if (hour or 0) <= written else written
        hour = hour if (hour or 0) <= written else None
    details = reported.get("output_tokens_details")
    return Usage(
        uncached=count(reported.get("input_tokens")),
        output=count(reported.get("output_tokens")),
        cache_read=count(reported.get("cache_read_input_tokens")),
        cache_write=minutes,
        cache_write_hour=hour,
        reasoning=count(details.get("thinking_tokens")) if isinstance(details, Mapping) else None,
    )
