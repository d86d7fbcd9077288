"""Server-sent events, as far as providers send them (WHATWG HTML, 9.2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from parbake_proxy.limits import decode_json, is_decodable

_TOO_LONG = 4 * 1024 * 1024
_MOST_EVENTS = 20_000
"""As many as 4 MiB have usually; they are read together when the stream ends."""
_SEPARATOR = 3
"""How many bytes of a separator may stand before a cut."""


class Event(NamedTuple):
    """An event of a stream: its data, decoded; ``None`` for data that is not JSON, such as the end of a stream."""

    data: Any
    raw: bytes


class Events:
    """Collects the events of a stream from its bytes."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._tail = b""
        self._size = 0
        self.all: list[Event] = []
        self.is_whole = True
        """Whether the stream was short enough to be read."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._size += len(data)
        if not self.is_whole or self._size > _TOO_LONG or len(self.all) > _MOST_EVENTS:
            self.is_whole = False
            self._unfinished.clear()
            self.all.clear()
            return
        self._unfinished.append(data)
        window = self._tail + data
        self._tail = window[-_SEPARATOR:]
        if b"\n\n" not in window.replace(b"\r\n", b"\n"):
            return
        blocks = b"".join(self._unfinished).replace(b"\r\n", b"\n").split(b"\n\n")
        self._unfinished = [blocks.pop()]
        self._tail = self._unfinished[0][-_SEPARATOR:]
        for block in blocks:
            lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
            if lines:
                raw = b"\n".join(lines)
                self.all.append(Event(_decoded(raw), raw))


def _decoded(raw: bytes) -> Any:
    try:
        return decode_json(raw) if is_decodable(raw) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def sent(document: Any, name: str = "") -> bytes:
    """Encode an event.

    Args:
        document: Its data.
        name: Its type; empty for none.
    """
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + msgspec.json.encode(document) + b"\n\n"
