"""The stored form of an artifact: a record header, then the value as msgpack, then a checksum of both.

Layout (big-endian): a fixed part of 40 bytes, so that a stamp compares as bytes without decoding anything, then the
header's variable part (msgpack), then the value (msgpack)::

    format u8 | lane u8 | flags u16 | incarnation u64 | sequence u64 | computed_at f64 | valid_until f64 | length u32

The checksum is a CRC-32 (ISO 3309), little-endian at the end. The CRC-32 of data that ends with its own CRC-32 is a
constant, so that one call over the whole record checks it. What does not fit counts as missing.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Literal, NamedTuple
from zlib import crc32

import msgspec

from parbake.errors import DamagedRecord

FORMAT = 2
"""The format of records; a store keeps the one that it was begun with, and is refused under another."""
_CHECKSUM = struct.Struct("<I")
_CHECKED = 0x2144DF1C
"""The CRC-32 of anything that ends with its own CRC-32."""
_FIXED = struct.Struct(">BBHQQddI")
_FIXED_SIZE = _FIXED.size
_PACKED = struct.Struct(">BBH16sddI")
"""The same with the stamp as it is: packed already."""
_pack = _PACKED.pack
_LENGTH = struct.Struct(">I")
_unpack_length = _LENGTH.unpack_from
_LENGTH_AT = _FIXED_SIZE - _LENGTH.size
_STAMP = struct.Struct(">QQ")
STAMP_AT = slice(4, 20)
"""Where an encoded record has its stamp."""

INCARNATION_BYTES = 8
"""So many bytes at the beginning of a packed stamp are its incarnation."""

Lane = Literal["batch", "event", "realtime"]
LANES: tuple[Lane, ...] = ("batch", "event", "realtime")
_NUMBER_OF = {lane: number for number, lane in enumerate(LANES)}
ABSENT_FLAG = 1
FUTURE_S = 60.0
"""How far in the future a record may say it was computed: clocks differ."""
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


class Header(msgspec.Struct, frozen=True, dict=True):
    """All of a record but its value. Times are seconds since the epoch; ``valid_until`` may be infinite."""

    stamp: bytes
    computed_at: float
    valid_until: float
    lane: Lane
    absent: bool
    meta: Meta

    @cached_property
    def as_of(self) -> Stamp:
        """The stamp, unpacked once for all reads that find the same header."""
        return unpack_stamp(self.stamp)


class Record(Header, frozen=True):
    """A record with its value still encoded."""

    payload: bytes


def bond(stamp: bytes, made_at: float, meta: Meta, *, valid_until: float = float("inf")) -> Record:
    """A record without a value, for what is kept elsewhere; times in epoch seconds, ``stamp`` packed."""
    return Record(stamp, made_at, valid_until, "realtime", absent=False, meta=meta, payload=b"")


_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode
_kept_headers: dict[bytes, Header] = {}
"""A dictionary, emptied when it is full, since it answers in half the time of an LRU cache."""


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
    body = fixed + meta + record.payload
    return body + _CHECKSUM.pack(crc32(body))


def decode(raw: bytes) -> Record:
    """Parse a stored record; raises :class:`DamagedRecord` when its bytes are not those that were written."""
    h, payload = split(raw)
    return Record(h.stamp, h.computed_at, h.valid_until, h.lane, h.absent, h.meta, payload)


def split(raw: bytes) -> tuple[Header, bytes]:
    """A stored record's header and its value, still encoded; raises as :func:`decode` does."""
    if crc32(raw) != _CHECKED:
        raise DamagedRecord("the bytes of a stored record have changed")
    try:
        end = _FIXED_SIZE + _unpack_length(raw, _LENGTH_AT)[0]
        head = raw[:end]
        return _kept_headers.get(head) or _decode_header(head), raw[end:-4]
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError) as error:
        raise DamagedRecord(f"a stored record cannot be read ({error})") from error


def _decode_header(raw: bytes) -> Header:
    """Parse a header, and keep it for the next read."""
    form, lane, flags, _, _, computed_at, valid_until, _ = _FIXED.unpack_from(raw)
    if form != FORMAT:
        raise DamagedRecord(f"a record of format {form} is not one of format {FORMAT}")
    is_absent, meta = bool(flags & ABSENT_FLAG), _decode_meta(raw[_FIXED_SIZE:])
    if len(_kept_headers) >= HEADERS_KEPT:
        _kept_headers.clear()
    header = _kept_headers[raw] = Header(raw[STAMP_AT], computed_at, valid_until, LANES[lane], is_absent, meta)
    return header
