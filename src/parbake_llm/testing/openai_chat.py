"""The chat completions of OpenAI."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from parbake_llm.testing.dialect import WireDialect, check_results, check_schema, dumped, halves, output_tokens, require
from parbake_llm.testing.prefixes import MOST_BREAKPOINTS, BoxCache, CacheUsage, PromptPiece, Refusal
from parbake_llm.testing.script import ScriptedReply

_AUTOMATIC_S = 300.0
"""How long a prefix is cached without breakpoints after it was last read, in seconds."""
_ERRORS = {401: "invalid_request_error", 429: "rate_limit_exceeded", 400: "invalid_request_error"}


class OpenAIChat(WireDialect):
    """Server-sent events of ``chat.completion.chunk`` objects; prefixes are cached in granules, or at breakpoints."""

    name = "openai"

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def usage(self, body: Mapping[str, Any], model: str, cache: BoxCache, minimum: int) -> CacheUsage:
        pieces = _pieces(body)
        scope = f"openai {model} {body.get('prompt_cache_key', '')}"
        if (body.get("prompt_cache_options") or {}).get("mode") == "explicit":
            return cache.marked(_latest(pieces), scope, minimum=minimum, lookback=None)
        text = "".join(piece.text for piece in pieces)
        return cache.automatic(text, scope, minimum=minimum, ttl_s=_AUTOMATIC_S)

    def refusal(self, status: int, message: str) -> tuple[bytes, dict[str, str]]:
        code = "invalid_api_key" if status == 401 else None
        error = {"message": message, "type": _ERRORS.get(status, "server_error"), "param": None, "code": code}
        return json.dumps({"error": error}).encode(), {}

    def opening(self, reply: ScriptedReply, usage: CacheUsage, model: str) -> Iterator[bytes]:
        del reply, usage, model
        yield _chunk({"role": "assistant", "content": ""})

    def text(self, piece: str) -> bytes:
        return _chunk({"content": piece})

    def closing(self, reply: ScriptedReply, usage: CacheUsage) -> Iterator[bytes]:
        for at, call in enumerate(reply.calls):
            head = {"index": at, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield _chunk({"tool_calls": [head]})
            for piece in halves(call.arguments):
                yield _chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
        yield _chunk({}, "tool_calls" if reply.calls else "stop")
        yield _data(_document([], reported(reply, usage)))
        yield b"data: [DONE]\n\n"

    def malformed(self) -> bytes:
        return b'data: {"choices": [{"delta": {"content": "br\n\n'

    def error(self) -> bytes:
        return _data({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})


def reported(reply: ScriptedReply, usage: CacheUsage) -> dict[str, Any]:
    """The tokens of a reply and its prompt, as an answer reports them.

    Args:
        reply: The reply.
        usage: The tokens of the prompt.
    """
    made = output_tokens(reply)
    return {
        "prompt_tokens": usage.total,
        "completion_tokens": made,
        "total_tokens": usage.total + made,
        "prompt_tokens_details": {
            "cached_tokens": usage.read,
            "cache_write_tokens": usage.written + usage.written_hour,
        },
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning},
    }


def _document(choices: list[Any], usage: Any = None) -> dict[str, Any]:
    head = {"id": "chatcmpl-box", "object": "chat.completion.chunk", "created": 0, "model": "box"}
    return head | {"choices": choices} | ({"usage": usage} if usage else {})


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return _data(_document([{"index": 0, "delta": delta, "finish_reason": finish}]))


def _data(document: Any) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def _pieces(body: Mapping[str, Any]) -> list[PromptPiece]:
    """The tools and the content of the messages in order; raises :class:`Refusal` if the request is wrong."""
    if body.get("stream") is not True:
        raise Refusal(400, "stream: the box only streams; set it to true")
    found = []
    for tool in body.get("tools") or ():
        function = tool.get("function") or {}
        check_schema(function.get("name"), function.get("parameters"))
        found.append(PromptPiece(dumped(tool), label="tool"))
    messages = require(body, "messages", list)
    _check_calls(messages)
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else [{"text": content or ""}]:
            mark = "30m" if part.get("prompt_cache_breakpoint") else None
            found.append(PromptPiece(part.get("text", ""), mark, message["role"]))  # type: ignore[arg-type]  # a literal
        if message.get("tool_calls"):
            found.append(PromptPiece(dumped(message["tool_calls"]), label="calls"))
    return found


def _check_calls(messages: list[Any]) -> None:
    """Raise :class:`Refusal` unless the messages after tool calls are their results."""
    open_calls: list[str] = []
    answered: list[str] = []
    for message in [*messages, {"role": "end"}]:
        if message.get("role") == "tool":
            answered.append(message.get("tool_call_id", ""))
            continue
        check_results(open_calls, answered)
        open_calls, answered = [call.get("id", "") for call in message.get("tool_calls") or ()], []


def _latest(pieces: list[PromptPiece]) -> list[PromptPiece]:
    """The blocks with the latest breakpoints only: OpenAI ignores further ones."""
    marks = [at for at, piece in enumerate(pieces) if piece.ttl][-MOST_BREAKPOINTS:]
    return [piece if at in marks else replace(piece, ttl=None) for at, piece in enumerate(pieces)]
