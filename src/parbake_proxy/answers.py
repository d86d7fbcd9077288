"""Reads what a provider has answered. An answer of an unknown shape is passed on all the same, and not stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from itertools import islice
from typing import NamedTuple

import msgspec

from parbake.ports.usage import Usage
from parbake_proxy.limits import decode_json, is_decodable
from parbake_proxy.wire.dialect import Dialect, Document
from parbake_proxy.wire.events import Event, Events

_log = logging.getLogger("parbake.proxy")
_LONGEST_TEXT = 256 * 1024
"""The longest text of an answer that is stored, in characters."""
_MOST_PIECES = 10_000
"""The most pieces of a stream that a stored answer may have: a piece is a word, and they are made on the event loop."""
_LONGEST_USAGE = 64 * 1024


class _UsageAlone(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


class Told(NamedTuple):
    """What a provider has answered.

    Attributes:
        document: The whole answer.
        usage: Its tokens.
        is_complete: Whether it may be stored and given again.
    """

    document: Document
    usage: Usage
    is_complete: bool


def plain(dialect: Dialect, status: int, body: bytes) -> Told | None:
    """Read an answer in one part; ``None`` if the response has no answer that can be read.

    Args:
        dialect: The protocol.
        status: The status of the response.
        body: Its body.
    """
    return _told(dialect, status, lambda: _decode(body))


def streamed(dialect: Dialect, status: int, events: Events) -> Told | None:
    """Read an answer of a stream that has ended; ``None`` if the stream has no answer that can be read.

    Args:
        dialect: The protocol.
        status: The status of the response.
        events: The events of the stream.
    """
    seen: Sequence[Event] = events.all
    return _told(dialect, status, lambda: dialect.whole(seen) if events.is_whole else None)


def _told(dialect: Dialect, status: int, read: Callable[[], Document | None]) -> Told | None:
    if status != HTTPStatus.OK:
        return None
    try:
        document = read()
        if document is None:
            return None
        return Told(
            document, dialect.usage(document), dialect.is_complete(document) and _can_be_given(dialect, document)
        )
    except Exception as error:  # noqa: BLE001 - whatever its shape is, the client gets it as it came
        _log.info("an answer of the provider has another shape than %s: %s", dialect.path, error)
        return None


def _decode(body: bytes) -> Document | None:
    """Decode an answer; of a long one, only its tokens are read, so that it is not stored."""
    if is_decodable(body):
        return msgspec.convert(decode_json(body), Document)
    usage = msgspec.json.decode(body, type=_UsageAlone).usage
    return {"usage": decode_json(usage)} if len(usage) <= _LONGEST_USAGE else None


def _can_be_given(dialect: Dialect, document: Document) -> bool:
    """Whether it can be given again in both forms, by short work; raises for most shapes that it cannot."""
    if len(dialect.text(document)) > _LONGEST_TEXT:
        return False
    again = dialect.again(document, 0.0)
    pieces = sum(1 for _ in islice(dialect.pieces(again, {}), _MOST_PIECES + 1))
    return bool(msgspec.json.encode(again)) and pieces <= _MOST_PIECES
