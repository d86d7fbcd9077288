"""The stored form of an artifact: a record header, the value as msgpack, and a checksum of both.

Layout (big-endian): a fixed part of 40 bytes, so that stamps can be compared as bytes without decoding, then the
header's variable part (msgpack), then the value (msgpack)::

    format u8 | lane u8 | flags u16 | incarnation u64 | sequence u64 | computed_at f64 | valid_until f64 | length u32

The checksum is a CRC-32 (ISO 3309), little-endian, at the end. The CRC-32 of data that ends with its own CRC-32 is a
constant, so one call over the whole record verifies it. A damaged record counts as missing.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Literal, NamedTuple
from zlib import crc32

import msgspec

from parbake.errors import DamagedRecord

FORMAT = 3
"""The format of records. A store keeps the format that it was created with, and is rejected by other versions."""
_CHECKSUM = struct.Struct("<I")
_CHECKED = 0x2144DF1C
"""The CRC-32 of anything that ends with its own CRC-32."""
_FIXED = struct.Struct(">BBHQQddI")
_FIXED_SIZE = _FIXED.size
_PACKED = struct.Struct(">BBH16sddI")
"""The same, with the stamp as packed bytes."""
_pack = _PACKED.pack
_LENGTH = struct.Struct(">I")
_unpack_length = _LENGTH.unpack_from
_LENGTH_AT = _FIXED_SIZE - _LENGTH.size
_STAMP = struct.Struct(">QQ")
STAMP_AT = slice(4, 20)
"""The position of the stamp in an encoded record."""

INCARNATION_BYTES = 8
"""Length in bytes of the incarnation at the begin of a packed stamp."""

Lane = Literal["batch", "event", "realtime"]
LANES: tuple[Lane, ...] = ("batch", "event", "realtime")
_NUMBER_OF = {lane: number for number, lane in enumerate(LANES)}
_ABSENT_FLAG = 1
FUTURE_S = 60.0
"""How many seconds in the future a record's time may be, because clocks differ."""
WATERMARK = b"w"
"""Prefix of a watermark's name in a store; the tag follows."""
HEADERS_KEPT = 4096
"""Number of cached decoded headers, about 1 KB each. They do not change between reads. Values are never cached."""


class Stamp(NamedTuple):
    """The value of the store's counter before a computation's first input was read; compared by incarnation first."""

    incarnation: int
    sequence: int

    def pack(self) -> bytes:
        """Sixteen bytes that compare like the stamp."""
        return _STAMP.pack(self.incarnation, self.sequence)


def unpack_stamp(raw: bytes) -> Stamp:
    """The inverse of :meth:`Stamp.pack`."""
    return Stamp._make(_STAMP.unpack(raw))


class Built(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One generation that a value was built from. A model must still be current; a batch must only not be withdrawn."""

    task: str
    generation: int
    is_model: bool


class Tags(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """What binds a record: fence tags at the record's own stamp, and refresh tags each at their own stamp.

    ``tolerated`` tags were read but do not bind the record itself; a task that reads it may fence them.
    """

    fences: tuple[str, ...] = ()
    refreshes: tuple[tuple[str, bytes], ...] = ()
    built_from: tuple[Built, ...] = ()
    tolerated: tuple[tuple[str, bytes], ...] = ()

    @cached_property
    def named(self) -> tuple[tuple[str, bytes], ...]:
        """Every tag once, whatever its strength, with the name of its watermark in a store."""
        tags = dict.fromkeys(self.fences)
        tags.update(dict.fromkeys(tag for tag, _ in (*self.refreshes, *self.tolerated)))
        return tuple((tag, WATERMARK + tag.encode()) for tag in tags)


class Meta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The header's variable part. ``generation`` is 0 for event and on-demand results; ``trace`` is what was read."""

    tags: Tags
    generation: int = 0
    version: str = ""
    inputs_hash: bytes = b""
    cost_s: float = 0.0
    key: bytes = b""
    inputs_age_s: float = 0.0
    trace: bytes = b""


class Header(msgspec.Struct, frozen=True, dict=True):
    """A record without its value. Times are epoch seconds; ``valid_until`` may be infinite."""

    stamp: bytes
    computed_at: float
    valid_until: float
    lane: Lane
    absent: bool
    meta: Meta

    @cached_property
    def as_of(self) -> Stamp:
        """The stamp, unpacked once for all reads of the same header."""
        return unpack_stamp(self.stamp)


class Record(Header, frozen=True):
    """A record with its value, still encoded."""

    payload: bytes


def bond(stamp: bytes, made_at: float, meta: Meta, *, valid_until: float = float("inf")) -> Record:
    """Create a record without a value, for a value that is stored elsewhere.

    Args:
        stamp: The packed stamp.
        made_at: Time of the computation, in epoch seconds.
        meta: The header's variable part.
        valid_until: When the value expires, in epoch seconds.
    """
    return Record(stamp, made_at, valid_until, "realtime", absent=False, meta=meta, payload=b"")


_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(Meta).decode
_kept_headers: dict[bytes, Header] = {}
_older_headers: dict[bytes, Header] = {}
"""Where the others go when they are half of what is kept: what is not read before the next time is forgotten, such as
the header of a record that was replaced. Two dictionaries take half the time of an LRU cache."""


def encode(record: Record) -> bytes:
    """Encode a record for storage."""
    meta = _encode_meta(record.meta)
    fixed = _pack(
        FORMAT,
        _NUMBER_OF[record.lane],
        _ABSENT_FLAG if record.absent else 0,
        record.stamp,
        record.computed_at,
        record.valid_until,
        len(meta),
    )
    body = fixed + meta + record.payload
    return body + _CHECKSUM.pack(crc32(body))


def decode(raw: bytes) -> Record:
    """Decode a stored record; raises :class:`DamagedRecord` if its bytes have changed."""
    h, payload = split(raw)
    return Record(h.stamp, h.computed_at, h.valid_until, h.lane, h.absent, h.meta, payload)


def split(raw: bytes) -> tuple[Header, bytes]:
    """Split a stored record into its header and its encoded value; raises like :func:`decode`."""
    if crc32(raw) != _CHECKED:
        raise DamagedRecord("the bytes of a stored record have changed")
    try:
        end = _FIXED_SIZE + _unpack_length(raw, _LENGTH_AT)[0]
        head = raw[:end]
        return _kept_headers.get(head) or _found_header(head), raw[end:-4]
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError, RecursionError) as error:
        raise DamagedRecord(f"a stored record cannot be read ({error})") from error


def _found_header(raw: bytes) -> Header:
    """Decode a header that is not among the newer ones, and cache it for the next read."""
    if len(_kept_headers) >= HEADERS_KEPT // 2:
        _older_headers.clear()
        _older_headers.update(_kept_headers)
        _kept_headers.clear()
    header = _kept_headers[raw] = _older_headers.get(raw) or _decode_header(raw)
    return header


def _decode_header(raw: bytes) -> Header:
    form, lane, flags, _, _, computed_at, valid_until, _ = _FIXED.unpack_from(raw)
    if form != FORMAT:
        raise DamagedRecord(f"a record of format {form} is not one of format {FORMAT}")
    is_absent, meta = bool(flags & _ABSENT_FLAG), _decode_meta(raw[_FIXED_SIZE:])
    return Header(raw[STAMP_AT], computed_at, valid_until, LANES[lane], is_absent, meta)
