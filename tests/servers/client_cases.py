"""What a real client does with a provider, as a table: each case is played directly and through the proxy."""

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from provider_box import EchoReply

UNICODE = "Größe 漢字 🦜\u200d🔥 e\u0301 \ufdfa \u202e \x7f \\u0041 \"' </script>"
WAV = b"RIFF\x00\xff\r\n--boundary\r\n" * 40
LARGE = bytes(range(256)) * 12_288
"""3 MiB."""


class Case(NamedTuple):
    """One use of a client.

    Attributes:
        name: What it is about.
        call: Uses the client, and returns what it got.
        replies: What the provider answers, in order.
    """

    name: str
    call: Callable[[Any], Any]
    replies: Sequence[EchoReply]


def case(name, call, *replies):
    """Return a case; ``replies`` are replies, or documents that the provider answers as JSON."""
    made = [reply if isinstance(reply, EchoReply) else EchoReply(reply) for reply in replies]
    return Case(name, call, made or [EchoReply({})])


def event_stream(*documents, done=False, named=False):
    """Return a reply in events; ``named`` as Anthropic does it, ``done`` with OpenAI's last word."""
    pieces = [
        (f"event: {document['type']}\n" if named else "") + f"data: {json.dumps(document, ensure_ascii=False)}\n\n"
        for document in documents
    ]
    pieces += ["data: [DONE]\n\n"] if done else []
    return EchoReply(headers={"content-type": "text/event-stream"}, pieces=[piece.encode() for piece in pieces])


def plain(value):
    """Return what a client has returned as values that can be compared."""
    if isinstance(value, BaseModel):
        return type(value).__name__, value.model_dump(mode="json", warnings=False), getattr(value, "_request_id", None)
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def outcome(call, client, errors):
    """Return what a call returns or raises: of an error its class, status, headers, body and sentence."""
    try:
        return plain(call(client))
    except errors as error:
        response = getattr(error, "response", None)
        headers = None if response is None else dict(response.headers)
        status = getattr(error, "status_code", None)
        return type(error).__name__, status, headers, getattr(error, "body", None), str(error)


def raw(response):
    """Return what a raw response consists of."""
    text = response.text() if callable(response.text) else response.text
    return response.status_code, dict(response.headers), text


def leave(stream):
    """Read the first event of a stream, then leave it."""
    with contextlib.closing(stream):
        return next(iter(stream))


def retried(client):
    """Return a client that tries twice again."""
    return client.with_options(max_retries=2)
