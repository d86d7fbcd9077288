"""The encoder of Amazon's event stream, which ``botocore`` has only the decoder of.

A message is a prelude (total length, length of the headers, CRC-32 of both), the headers, the payload, and the CRC-32
of everything before; numbers are unsigned and big-endian (Amazon Transcribe's documentation describes the format).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

_STRING = 7
"""The number of the type of headers that are text."""


def encoded(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Encode one message whose headers are all text."""
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    whole = prelude + head + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def event(kind: str, document: Mapping[str, Any]) -> bytes:
    """Encode an event."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encoded(headers, json.dumps(document).encode())


def exception(kind: str, message: str) -> bytes:
    """Encode an error in the stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encoded(headers, json.dumps({"message": message}).encode())
