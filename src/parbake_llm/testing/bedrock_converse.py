"""The Converse stream of Amazon Bedrock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from parbake_llm.testing.dialect import WireDialect, check_calls, check_schema, dumped, halves, output_tokens, require
from parbake_llm.testing.event_stream import event, exception
from parbake_llm.testing.prefixes import BoxCache, CacheUsage, PromptPiece, Refusal
from parbake_llm.testing.script import ScriptedReply

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_ERRORS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class BedrockConverse(WireDialect):
    """An event stream; prefixes are cached at cache points. Of the signature only the id of the key is checked."""

    name = "bedrock"
    content_type = "application/vnd.amazon.eventstream"

    def key(self, headers: Mapping[str, str]) -> str:
        authorization = headers.get("authorization", "")
        match = _ACCESS_KEY.search(authorization)
        return match[1] if match else authorization.removeprefix("Bearer ")

    def usage(self, body: Mapping[str, Any], model: str, cache: BoxCache, minimum: int) -> CacheUsage:
        return cache.marked(_pieces(body), f"bedrock {model}", minimum=minimum)

    def refusal(self, status: int, message: str) -> tuple[bytes, dict[str, str]]:
        kind = _ERRORS.get(status, "InternalServerException")
        return json.dumps({"message": message}).encode(), {"x-amzn-ErrorType": kind}

    def opening(self, reply: ScriptedReply, usage: CacheUsage, model: str) -> Iterator[bytes]:
        del reply, usage, model
        yield event("messageStart", {"role": "assistant"})

    def text(self, piece: str) -> bytes:
        return event("contentBlockDelta", {"delta": {"text": piece}, "contentBlockIndex": 0})

    def closing(self, reply: ScriptedReply, usage: CacheUsage) -> Iterator[bytes]:
        if reply.text:
            yield event("contentBlockStop", {"contentBlockIndex": 0})
        for at, call in enumerate(reply.calls, start=1 if reply.text else 0):
            start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
            yield event("contentBlockStart", {"start": start, "contentBlockIndex": at})
            for piece in halves(call.arguments):
                yield event("contentBlockDelta", {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": at})
            yield event("contentBlockStop", {"contentBlockIndex": at})
        yield event("messageStop", {"stopReason": "tool_use" if reply.calls else "end_turn"})
        yield event("metadata", {"usage": reported(reply, usage), "metrics": {"latencyMs": 1}})

    def malformed(self) -> bytes:
        frame = bytearray(self.text("broken"))
        frame[-8] ^= 0xFF  # the payload no longer matches its checksum
        return bytes(frame)

    def error(self) -> bytes:
        return exception("serviceUnavailableException", "The service is unavailable.")


def reported(reply: ScriptedReply, usage: CacheUsage) -> dict[str, Any]:
    """The tokens of a reply and its prompt, as an answer reports them.

    Args:
        reply: The reply.
        usage: The tokens of the prompt.
    """
    made = output_tokens(reply)
    details = [{"ttl": "1h", "inputTokens": usage.written_hour}, {"ttl": "5m", "inputTokens": usage.written}]
    return {
        "inputTokens": usage.uncached,
        "outputTokens": made,
        "totalTokens": usage.total + made,
        "cacheReadInputTokens": usage.read,
        "cacheWriteInputTokens": usage.written + usage.written_hour,
        "cacheDetails": [each for each in details if each["inputTokens"]],
    }


def _pieces(body: Mapping[str, Any]) -> list[PromptPiece]:
    """The tools, the system blocks and the content of the messages; raises :class:`Refusal` if the request is wrong."""
    tools = (body.get("toolConfig") or {}).get("tools") or []
    for tool in tools:
        if "toolSpec" in tool:
            check_schema(tool["toolSpec"].get("name"), (tool["toolSpec"].get("inputSchema") or {}).get("json"))
    messages = require(body, "messages", list)
    roles = [message.get("role") for message in messages]
    if roles != (["user", "assistant"] * len(roles))[: len(roles)]:
        raise Refusal(400, "messages: the roles must alternate, and the first must be the user's")
    check_calls((_ids(message, "toolResult"), _ids(message, "toolUse")) for message in messages)
    found = [*_marked(tools, "tool"), *_marked(body.get("system") or [], "system")]
    for message in messages:
        found += _marked(message.get("content") or [], message["role"])
    return found


def _marked(blocks: Iterable[Mapping[str, Any]], label: str) -> list[PromptPiece]:
    """The blocks; a cache point marks the block before it."""
    found: list[PromptPiece] = []
    for block in blocks:
        if "cachePoint" in block:
            if not found:
                raise Refusal(400, "a cache point must stand after a block")
            found[-1] = replace(found[-1], ttl=block["cachePoint"].get("ttl", "5m"))
        else:
            found.append(PromptPiece(block["text"] if "text" in block else dumped(block), None, label))
    return found


def _ids(message: Mapping[str, Any], kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in message.get("content") or () if kind in block]
