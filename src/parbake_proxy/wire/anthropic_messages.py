"""The messages of Anthropic."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from parbake.ports.usage import Usage
from parbake_proxy.wire.dialect import Document, Question, counted, last_of, only_text
from parbake_proxy.wire.events import Event, sent

_WORD = re.compile(r"\S+\s*|\s+")
_UNSHAPING = frozenset({"messages", "stream", "service_tier", "cache", "cache_control"})
_COMPLETE = frozenset({"end_turn", "stop_sequence"})


class AnthropicMessages:
    """``POST /v1/messages``."""

    provider = "anthropic"
    path = "/v1/messages"

    def __init__(self, shared_across: Collection[str] = ()) -> None:
        """Read questions; ``shared_across`` are further members of a request that do not keep answers apart."""
        self._unshaping = _UNSHAPING.union(shared_across)

    def question(self, body: Document) -> Question:
        """Read the question of a request; raises :class:`NoQuestion`."""
        last, earlier = last_of(body)
        shaping = {name: value for name, value in body.items() if name not in self._unshaping}
        text, beside = only_text(last)
        return Question(text, [shaping, earlier, beside], str(body.get("model", "")))

    def is_complete(self, answer: Document) -> bool:
        """Whether a whole answer may be stored."""
        content = answer.get("content")
        is_text = isinstance(content, list) and bool(content) and all(map(_is_text, content))
        has_ended = answer.get("type") == "message" and answer.get("stop_reason") in _COMPLETE
        return is_text and has_ended and not any(part.get("citations") for part in answer["content"])

    def whole(self, events: Sequence[Event]) -> Document | None:
        """Make a whole answer of a stream's events."""
        found: Document | None = None
        for event in events:
            data = event.data
            if not isinstance(data, dict):
                return None
            kind = data.get("type")
            if kind == "message_start":
                found = {**data["message"], "content": []}
            elif found is None or kind == "error":
                return None
            elif kind == "message_delta":
                usage = {**(found.get("usage") or {}), **(data.get("usage") or {})}
                found = {**found, **(data.get("delta") or {}), "usage": usage}
            elif kind == "message_stop":
                return found
            elif kind != "ping":
                _add(found["content"], data)
        return None

    def again(self, answer: Document, now: float) -> Document:
        """Return a stored answer as a new one."""
        del now  # messages have no time
        return {**answer, "id": f"msg_{secrets.token_hex(12)}"}

    def pieces(self, answer: Document, body: Document) -> Iterator[bytes]:
        """Give a whole answer as the events of a stream."""
        del body  # nothing in a request changes what its stream contains
        usage = answer.get("usage") or {}
        start = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
        yield _event("message_start", message={**start, "usage": {**usage, "output_tokens": 0}})
        for at, part in enumerate(answer["content"]):
            yield _event("content_block_start", index=at, content_block={"type": "text", "text": ""})
            for word in _WORD.finditer(part["text"]):
                yield _event("content_block_delta", index=at, delta={"type": "text_delta", "text": word[0]})
            yield _event("content_block_stop", index=at)
        ended = {name: answer.get(name) for name in ("stop_reason", "stop_sequence")}
        yield _event("message_delta", delta=ended, usage={"output_tokens": usage.get("output_tokens", 0)})
        yield _event("message_stop")

    def text(self, answer: Document) -> str:
        """The text of a whole answer."""
        return "".join(part["text"] for part in answer["content"])

    def usage(self, answer: Mapping[str, Any]) -> Usage:
        """The tokens of an answer, as far as it reports them."""
        told = answer.get("usage")
        lives = (told or {}).get("cache_creation")
        minutes, hour = counted(lives, "ephemeral_5m_input_tokens"), counted(lives, "ephemeral_1h_input_tokens")
        return Usage(
            uncached=counted(told, "input_tokens"),
            output=counted(told, "output_tokens"),
            cache_read=counted(told, "cache_read_input_tokens"),
            cache_write=counted(told, "cache_creation_input_tokens") if minutes is None else minutes,
            cache_write_hour=hour,
        )


def _is_text(part: Any) -> bool:
    return part.get("type") == "text" and isinstance(part.get("text"), str)


def _add(content: list[Any], data: Document) -> None:
    """Add a part of an answer. Only of texts is the content kept: an answer with anything else is not given again."""
    kind = data.get("type")
    if kind == "content_block_start":
        block = data["content_block"]
        content.append({"type": block.get("type"), "text": block.get("text", "")})
    elif kind == "content_block_delta" and content:
        if data["delta"].get("type") == "text_delta":
            content[-1]["text"] += data["delta"]["text"]
        else:
            content[-1]["type"] = data["delta"].get("type")


def _event(kind: str, **members: Any) -> bytes:
    return sent({"type": kind, **members}, kind)
