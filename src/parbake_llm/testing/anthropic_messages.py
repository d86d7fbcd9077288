"""The messages of Anthropic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from parbake_llm.ports.prompts import Ttl
from parbake_llm.testing.dialect import WireDialect, check_calls, check_schema, dumped, halves, output_tokens, require
from parbake_llm.testing.prefixes import BoxCache, CacheUsage, PromptPiece, Refusal
from parbake_llm.testing.script import ScriptedReply

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicMessages(WireDialect):
    """Server-sent events of a message and its content blocks; prefixes are cached at ``cache_control``."""

    name = "anthropic"

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def usage(self, body: Mapping[str, Any], model: str, cache: BoxCache, minimum: int) -> CacheUsage:
        return cache.marked(_pieces(body), f"anthropic {model}", minimum=minimum)

    def refusal(self, status: int, message: str) -> tuple[bytes, dict[str, str]]:
        error = {"type": _ERRORS.get(status, "api_error"), "message": message}
        return json.dumps({"type": "error", "error": error}).encode(), {}

    def opening(self, reply: ScriptedReply, usage: CacheUsage, model: str) -> Iterator[bytes]:
        message: dict[str, Any] = {
            "id": "msg_box", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": reported(usage) | {"output_tokens": 1},
        }  # fmt: skip
        yield _event("message_start", message=message)
        if reply.text:
            yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def text(self, piece: str) -> bytes:
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    def closing(self, reply: ScriptedReply, usage: CacheUsage) -> Iterator[bytes]:
        if reply.text:
            yield _event("content_block_stop", index=0)
        for at, call in enumerate(reply.calls, start=1 if reply.text else 0):
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            yield _event("content_block_start", index=at, content_block=block)
            for piece in halves(call.arguments):
                delta = {"type": "input_json_delta", "partial_json": piece}
                yield _event("content_block_delta", index=at, delta=delta)
            yield _event("content_block_stop", index=at)
        stop = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
        counts = {"input_tokens": usage.uncached, "cache_read_input_tokens": usage.read}
        yield _event("message_delta", delta=stop, usage=made(reply) | counts)
        yield _event("message_stop")

    def malformed(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'

    def error(self) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def reported(usage: CacheUsage) -> dict[str, Any]:
    """The tokens of a prompt, as a message reports them."""
    return {
        "input_tokens": usage.uncached,
        "cache_read_input_tokens": usage.read,
        "cache_creation_input_tokens": usage.written + usage.written_hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written,
            "ephemeral_1h_input_tokens": usage.written_hour,
        },
    }


def made(reply: ScriptedReply) -> dict[str, Any]:
    """The tokens of a reply, as a message reports them."""
    return {"output_tokens": output_tokens(reply), "output_tokens_details": {"thinking_tokens": reply.reasoning}}


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()


def _pieces(body: Mapping[str, Any]) -> list[PromptPiece]:
    """The tools, the system blocks and the content of the messages; raises :class:`Refusal` if the request is wrong."""
    if body.get("stream") is not True:
        raise Refusal(400, "stream: the box only streams; set it to true")
    require(body, "max_tokens", int)
    found = []
    for tool in body.get("tools") or ():
        check_schema(tool.get("name"), tool.get("input_schema"))
        found.append(_piece(tool, "tool"))
    found += [_piece(block, "system") for block in _blocks(body.get("system") or [])]
    messages = require(body, "messages", list)
    if messages[0].get("role") != "user":
        raise Refusal(400, "messages: the first one must be the user's")
    check_calls((_ids(each, "tool_result", "tool_use_id"), _ids(each, "tool_use", "id")) for each in messages)
    return found + [_piece(block, each["role"]) for each in messages for block in _blocks(each.get("content") or "")]


def _blocks(content: Any) -> list[Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if any(block.get("type") == "text" and not block.get("text") for block in blocks):
        raise Refusal(400, "text content blocks must be non-empty")
    return list(blocks)


def _piece(block: Mapping[str, Any], label: str) -> PromptPiece:
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    return PromptPiece(bare["text"] if bare.get("type") == "text" else dumped(bare), _ttl(block), label)


def _ttl(block: Mapping[str, Any]) -> Ttl | None:
    control = block.get("cache_control")
    if control is None:
        return None
    ttl = control.get("ttl", "5m")
    if control.get("type") != "ephemeral" or ttl not in {"5m", "1h"}:
        raise Refusal(400, "cache_control: the type must be ephemeral, and the ttl 5m or 1h")
    found: Ttl = ttl
    return found


def _ids(message: Mapping[str, Any], kind: str, name: str) -> list[str]:
    blocks = [block for block in message.get("content") or () if isinstance(block, Mapping)]
    return [block[name] for block in blocks if block.get("type") == kind]
