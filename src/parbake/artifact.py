"""The stored form of an artifact: a record header, then the value as msgpack.

Layout (big-endian): a fixed part of 40 bytes, so that a stamp compares as bytes without decoding anything, then the
header's variable part (msgpack), then the value (msgpack)::

    format u8 | lane u8 | flags u16 | incarnation u64 | sequence u64 | computed_at f64 | valid_until f64 | length u32
"""

from __future__ import annotations

import struct
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import msgspec

from parbake.errors import ForeignStore

FORMAT = 1
_FIXED = struct.Struct(">BBHQQddI")
_PACKED = struct.Struct(">BBH16sddI")
"""The same with the stamp as it is: packed already."""
_pack = _PACKED.pack
_LENGTH = struct.Struct(">I")
_LENGTH_AT = _FIXED.size - _LENGTH.size
_STAMP = struct.Struct(">QQ")
STAMP_AT = slice(4, 20)
"""Where an encoded record has its stamp."""

INCARNATION_BYTES = 8
"""So many bytes at the beginning of a packed stamp are its incarnation."""

Lane = Literal["batch", "event", "realtime"]
LANES: tuple[Lane, ...] = ("batch", "event", "realtime")
_NUMBER_OF = {lane: number for number, lane in enumerate(LANES)}
ABSENT_FLAG = 1
WATERMARK = b"w"
"""How the name of a watermark begins in a store; the tag follows."""
HEADERS_KEPT = 16_384
"""Decoded headers that are kept, about 1 KB each: they stay the same from read to read. Values are never kept."""


class Stamp(NamedTuple):
    """The store's counter, read before a computation's first input; compared incarnation first."""

    incarnation: int
    sequence: int

    def pack(self) -> bytes:
        """Sixteen bytes that compare like the stamp itself."""
        return _STAMP.pack(self.incarnation, self.sequence)


@lru_cache(HEADERS_KEPT)
def unpack_stamp(raw: bytes) -> Stamp:
    """The inverse of :meth:`Stamp.pack`."""
    return Stamp._make(_STAMP.unpack(raw))


class Built(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One generation that a value was built from. A model must still be the current one; a batch only not withdrawn."""

    task: str
    generation: int
    is_model: bool


class Tags(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """What a record is bound by: fence tags at the record's own stamp, refresh tags each with theirs.

    ``tolerated`` tags were read but do not bind the record itself: a task that reads it may fence them.
    """

    fences: tuple[str, ...] = ()
    refreshes: tuple[tuple[str, bytes], ...] = ()
    built_from: tuple[Built, ...] = ()
    tolerated: tuple[tuple[str, bytes], ...] = ()

    @cached_property
    def named(self) -> tuple[tuple[str, bytes], ...]:
        """Every tag once, whatever its strength, and where its watermark lies in a store."""
        tags = dict.fromkeys(self.fences)
        tags.update(dict.fromkeys(tag for tag, _ in (*self.refreshes, *self.tolerated)))
        return tuple((tag, WATERMARK + tag.encode()) for tag in tags)


class Meta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The header's variable part. ``generation`` is 0 for event and on-demand results; ``trace`` is what it read."""

    tags: Tags
    generation: int = 0
    version: str = ""
    inputs_hash: bytes = b""
    cost_s: float = 0.0
    key: bytes = b""
    inputs_age_s: float = 0.0
    trace: bytes = b""


class Header(msgspec.Struct, frozen=True, gc=False):
    """All of a record but its value. Times are seconds since the epoch; ``valid_until`` may be infinite."""

    stamp: bytes
    computed_at: float
    valid_until: float
    lane: Lane
    absent: bool
    meta: Meta


class Record(Header, frozen=True, gc=False):
    """A record with its value still encoded."""

    payload: bytes


_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode


def encode(record: Record) -> bytes:
    """Return the record as stored."""
    meta = _encode_meta(record.meta)
    fixed = _pack(
        FORMAT,
        _NUMBER_OF[record.lane],
        ABSENT_FLAG if record.absent else 0,
        record.stamp,
        record.computed_at,
        record.valid_until,
        len(meta),
    )
    return fixed + meta + record.payload


def decode(raw: bytes) -> Record:
    """Parse a stored record; raises :class:`ForeignStore` when it is none."""
    h, payload = split(raw)
    return Record(h.stamp, h.computed_at, h.valid_until, h.lane, h.absent, h.meta, payload)


def split(raw: bytes) -> tuple[Header, bytes]:
    """A stored record's header and its value, still encoded; raises :class:`ForeignStore` when it is none."""
    try:
        end = _FIXED.size + _LENGTH.unpack_from(raw, _LENGTH_AT)[0]
        return _decode_header(raw[:end]), raw[end:]
    except (struct.error, msgspec.DecodeError, IndexError) as error:
        raise ForeignStore(
            f"a stored record cannot be read ({error}); delete the store and let it be rebuilt"
        ) from error


@lru_cache(HEADERS_KEPT)
def _decode_header(raw: bytes) -> Header:
    form, lane, flags, _, _, computed_at, valid_until, _ = _FIXED.unpack_from(raw)
    if form != FORMAT:
        raise ForeignStore(f"record format {form} is not {FORMAT}: written by another version of parbake")
    is_absent, meta = bool(flags & ABSENT_FLAG), _decode_meta(raw[_FIXED.size :])
    return Header(raw[STAMP_AT], computed_at, valid_until, LANES[lane], is_absent, meta)
