"""The chat completions of OpenAI, which many servers and gateways speak."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from parbake.ports.usage import Usage
from parbake_proxy.wire.dialect import Document, NoQuestion, Question, counted, last_of, only_text
from parbake_proxy.wire.events import Event, sent

_WORD = re.compile(r"\S+\s*|\s+")
_UNSHAPING = frozenset(
    {"messages", "stream", "stream_options", "store", "service_tier", "prompt_cache_retention", "cache"}
)
"""What does not shape the answer, beside the messages, which are read on their own."""
_PLAIN = frozenset({"role", "content"})
_MORE = "more"
"""Marks the message of a stream that has more than text."""


class OpenAiChat:
    """``POST /v1/chat/completions``."""

    provider = "openai"
    path = "/v1/chat/completions"

    def __init__(self, shared_across: Collection[str] = ()) -> None:
        """Read questions; ``shared_across`` are further members of a request that do not keep answers apart."""
        self._unshaping = _UNSHAPING.union(shared_across)

    def question(self, body: Document) -> Question:
        """Read the question of a request; raises :class:`NoQuestion`."""
        last, earlier = last_of(body)
        if body.get("n") not in (None, 1):
            raise NoQuestion("several_choices")
        shaping = {name: value for name, value in body.items() if name not in self._unshaping}
        text, beside = only_text(last)
        return Question(text, [shaping, earlier, beside], str(body.get("model", "")))

    def is_complete(self, answer: Document) -> bool:
        """Whether a whole answer may be stored."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or choices[0].get("finish_reason") != "stop":
            return False
        message = choices[0].get("message") or {}
        is_more = any(message.get(name) for name in message.keys() - _PLAIN)
        return isinstance(message.get("content"), str) and not is_more and not choices[0].get("logprobs")

    def whole(self, events: Sequence[Event]) -> Document | None:
        """Make a whole answer of a stream's events."""
        if not events or events[-1].raw != b"[DONE]":
            return None
        text, finish, found, is_more = "", None, dict[str, Any](), False
        for event in events[:-1]:
            data = event.data
            if not isinstance(data, dict) or data.get("error"):
                return None
            found = {**data, **found, "usage": data.get("usage") or found.get("usage")}
            for choice in data.get("choices") or ():
                delta = choice.get("delta")
                if not isinstance(delta, dict):
                    delta, is_more = {}, True
                others = any(delta[name] for name in delta.keys() - _PLAIN)
                is_more = is_more or others or bool(choice.get("index") or choice.get("logprobs"))
                text += delta.get("content") or ""
                finish = choice.get("finish_reason") or finish
        message = {"role": "assistant", "content": text} | ({_MORE: True} if is_more else {})
        choices = [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}]
        return {**found, "object": "chat.completion", "choices": choices}

    def again(self, answer: Document, now: float) -> Document:
        """Return a stored answer as a new one."""
        return {**answer, "id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(now)}

    def pieces(self, answer: Document, body: Document) -> Iterator[bytes]:
        """Give a whole answer as the events of a stream."""
        named = ("id", "created", "model", "system_fingerprint")
        head: Document = {name: answer[name] for name in named if name in answer}
        head["object"] = "chat.completion.chunk"

        def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
            return sent({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]})

        yield chunk({"role": "assistant", "content": ""})
        for word in _WORD.finditer(self.text(answer)):
            yield chunk({"content": word[0]})
        yield chunk({}, "stop")
        if (body.get("stream_options") or {}).get("include_usage") and answer.get("usage"):
            yield sent({**head, "choices": [], "usage": answer["usage"]})
        yield b"data: [DONE]\n\n"

    def text(self, answer: Document) -> str:
        """The text of a whole answer."""
        return str(answer["choices"][0]["message"]["content"])

    def usage(self, answer: Mapping[str, Any]) -> Usage:
        """The tokens of an answer, as far as it reports them."""
        told = answer.get("usage")
        total, details = counted(told, "prompt_tokens"), (told or {}).get("prompt_tokens_details")
        read, written = counted(details, "cached_tokens"), counted(details, "cache_write_tokens")
        uncached = None if total is None else total - (read or 0) - (written or 0)
        reasoning = counted((told or {}).get("completion_tokens_details"), "reasoning_tokens")
        made = counted(told, "completion_tokens")
        return Usage(uncached=uncached, output=made, cache_read=read, cache_write=written, reasoning=reasoning)
