"""The names of a store's items: single items, and prefixes of those that belong together."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from parbake.protocol.record import STAMP_AT, WATERMARK

CONTROL, SEQUENCE, BEATS = b"c", b"q", b"h"
MARK, OVERLAY, BASE, LOG, APPLIED, SEEN, NAMED, PARKED = WATERMARK, b"o", b"b", b"e", b"a", b"s", b"n", b"p"
OPENING = b"i"
"""What a store in a file remembers of its openings."""
RING = b"k"
"""Prefix of the ring that records which event was parked as the n-th."""
ENTRY = b"r"
"""Prefix of the entries of lists and logs."""
NOTES = b"\0"
"""Prefix of the names under which logs count their entries; no name of a caller begins so."""
LISTED = (OVERLAY, BASE, LOG, MARK, PARKED, ENTRY)
_TASKS_KEPT = 1024


def is_listed(name: bytes) -> bool:
    """Whether an item, or a prefix, is one of those that are listed in order."""
    return name[:1] in LISTED


@lru_cache(_TASKS_KEPT)
def overlay_of(task: str) -> bytes:
    """The prefix of the names of a task's event and on-demand results."""
    return OVERLAY + task.encode() + b"\0"


def overlay_key(task: str, key: bytes) -> bytes:
    """The name of an event or on-demand result."""
    return overlay_of(task) + key


@lru_cache(_TASKS_KEPT)
def base_of(generation: int) -> bytes:
    """The prefix of the names of a generation's batch results."""
    return BASE + generation.to_bytes(8, "big")


def generation_of(name: bytes) -> int:
    """The generation of a batch result."""
    return int.from_bytes(name[1:9], "big")


def base_key(generation: int, key: bytes) -> bytes:
    """The name of a batch result."""
    return base_of(generation) + key


def entries_of(name: str) -> bytes:
    """The prefix of the entries of a list."""
    return ENTRY + name.encode() + b"\0"


def mark_key(tag: str) -> bytes:
    """The name of a tag's watermark."""
    return MARK + tag.encode()


def is_below(name: bytes, raw: bytes, floor: bytes) -> bool:
    """Whether the floor makes an item unnecessary: a watermark at or below it, or a record below it.

    Args:
        name: The item's name.
        raw: The item's value.
        floor: The floor, as an encoded stamp.
    """
    return raw <= floor if name[:1] == MARK else raw[STAMP_AT] < floor


def as_bytes(words: Collection[str | bytes]) -> list[bytes]:
    """Words as they stand in items; bytes as they are."""
    return [word if isinstance(word, bytes) else word.encode() for word in words]


def mentions(raw: bytes, words: Collection[bytes]) -> bool:
    """Whether an item contains one of some words anywhere.

    Args:
        raw: The item's name and value.
        words: The words, as bytes of UTF-8.
    """
    return any(word in raw for word in words)


def parked_key(source: str, position: int) -> bytes:
    """The name of a parked event."""
    return PARKED + source.encode() + b"\0" + position.to_bytes(8, "big")
