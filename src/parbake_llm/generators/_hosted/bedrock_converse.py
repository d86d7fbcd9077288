"""Bedrock's Converse protocol: a prompt as a request, and the events of a streamed reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parbake.ports.usage import Usage
from parbake_llm.generators._hosted.calls import ReplyReader, arguments_of
from parbake_llm.generators._hosted.chat import count
from parbake_llm.generators._hosted.parts import marks, rounds
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import CONVERSATION, TOOLS, TTL_S, Prompt, Ttl
from parbake_llm.writing.placement import CacheRules
from parbake_llm.writing.render import question_text, sorted_tools, tool_schema


def converse_request(prompt: Prompt, rules: CacheRules) -> dict[str, Any]:
    """The fields ``toolConfig``, ``system`` and ``messages`` of a request, with a cache point where a prefix ends.

    Args:
        prompt: The prompt, with its breakpoints placed.
        rules: How the provider caches.
    """
    ends = marks(prompt, rules)
    body: dict[str, Any] = {"messages": _messages(prompt, ends.get(CONVERSATION))}
    system = [
        part for block in prompt.blocks if block.text for part in ({"text": block.text}, *_point(ends.get(block.name)))
    ]
    tools: list[dict[str, Any]] = [{"toolSpec": _tool(tool)} for tool in sorted_tools(prompt.tools)]
    if system:
        body["system"] = system
    if tools:
        body["toolConfig"] = {"tools": [*tools, *_point(ends.get(TOOLS))]}
    return body


def _tool(tool: Any) -> dict[str, Any]:
    found = {"name": tool.name, "inputSchema": {"json": tool_schema(tool)}}
    return found | ({"description": tool.description} if tool.description else {})


def _messages(prompt: Prompt, end: Ttl | None) -> list[dict[str, Any]]:
    """The messages; Bedrock wants the roles to alternate, so that neighbours of one role become one message."""
    turns = [(role, [{"text": text}]) for role, text in prompt.turns]
    if turns:
        turns[-1][1].extend(_point(end))
    found: list[tuple[str, list[dict[str, Any]]]] = [*turns, ("user", [{"text": question_text(prompt)}])]
    for text, pairs in rounds(prompt):
        calls = [
            {"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments_of(call)}} for call, _ in pairs
        ]
        results = [{"toolResult": {"toolUseId": call.id, "content": [{"text": result}]}} for call, result in pairs]
        found += [("assistant", [*([{"text": text}] if text.strip() else []), *calls]), ("user", results)]
    merged: list[dict[str, Any]] = []
    for role, content in found:
        if merged and merged[-1]["role"] == role:
            merged[-1]["content"] += content
        else:
            merged.append({"role": role, "content": list(content)})
    return merged


def _point(ttl: Ttl | None) -> list[dict[str, Any]]:
    """A cache point; five minutes are the default, which older models know only unnamed."""
    return [] if ttl is None else [{"cachePoint": {"type": "default"} | ({} if ttl == "5m" else {"ttl": ttl})}]


class ConverseReply(ReplyReader):
    """Reads one streamed reply event by event; the client has validated their shape."""

    def __init__(self, field: str) -> None:
        """Create the reader; ``field`` is the setting to name in errors."""
        super().__init__(field)
        self.usage = Usage()

    def deltas(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        """Yield the text and the complete tool calls of an event. Raises :class:`ProviderError` if it is malformed."""
        if "contentBlockStart" in event:
            self._start(event["contentBlockStart"])
        elif "contentBlockDelta" in event:
            yield from self._delta(event["contentBlockDelta"])
        elif "contentBlockStop" in event:
            index = event["contentBlockStop"].get("contentBlockIndex")
            if index in self._calls:
                yield Delta(call=self._calls.finish(index))
        elif "messageStop" in event:
            self._is_whole = True
        elif "metadata" in event:
            self.usage = converse_usage(event["metadata"].get("usage") or {})

    def _start(self, event: Mapping[str, Any]) -> None:
        use = (event.get("start") or {}).get("toolUse")
        if use is not None:
            self._calls.start(event.get("contentBlockIndex", 0), use.get("toolUseId", ""), use.get("name", ""))

    def _delta(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        delta, index = event.get("delta") or {}, event.get("contentBlockIndex", 0)
        if delta.get("text"):
            yield Delta(delta["text"])
        elif "toolUse" in delta:
            if index not in self._calls:
                raise self._malformed("arguments belong to no tool call")
            self._calls.add(index, delta["toolUse"].get("input", ""))


def converse_usage(reported: Mapping[str, Any]) -> Usage:
    """Read the counts of a reply. ``inputTokens`` is what was neither read from a cache nor written to one."""
    details = reported.get("cacheDetails") or []
    hour = sum(count(one.get("inputTokens")) or 0 for one in details if _is_hour(one)) if details else None
    written = count(reported.get("cacheWriteInputTokens"))
    return Usage(
        uncached=count(reported.get("inputTokens")),
        output=count(reported.get("outputTokens")),
        cache_read=count(reported.get("cacheReadInputTokens")),
        cache_write=None if written is None else max(0, written - (hour or 0)),
        cache_write_hour=hour,
    )


def _is_hour(detail: Mapping[str, Any]) -> bool:
    return TTL_S.get(detail.get("ttl", "5m"), 0.0) >= TTL_S["1h"]
