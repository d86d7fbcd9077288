"""Where a name lies in a DynamoDB table: names that are listed together share a partition, in the order of the rest.

Watermarks would all be one partition, and a partition takes about 1,000 writes a second: they are spread over sixteen.
A value that is too large for an item lies in parts; its item then holds a manifest that says where.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b

import msgspec

from parbake.stores.steps.engine import BASE, LOG, MARK, OVERLAY, PARKED

SPREAD = 16
LARGEST_VALUE = 350_000  # bytes; an item may have 400 KB with its names
PARTS = b"P"
_BASE_GROUP = 9
# A sort key must not be empty, so each begins with the same byte.
_K = b"k"


class Place(msgspec.Struct, frozen=True):
    """The two keys of an item: ``p`` partitions, ``k`` sorts."""

    p: bytes
    k: bytes


class Manifest(msgspec.Struct, frozen=True):
    """Stands for a large value. Parts belong to one write only, so that removing them never hurts another."""

    write: bytes
    digest: bytes
    parts: int

    def places(self) -> list[Place]:
        """Where the parts lie, in order."""
        return [Place(PARTS + self.write, _K + n.to_bytes(4, "big")) for n in range(self.parts)]


def place_of(name: bytes) -> Place:
    """Where a name lies."""
    group = group_of(name)
    if group is None:
        return Place(name, _K)
    return Place(group, _K + name[_cut(group) :])


def name_of(place: Place) -> bytes:
    """The name that lies there."""
    return place.p[: _cut(place.p)] + place.k[1:]


def group_of(prefix: bytes) -> bytes | None:
    """The partition in which every name with a prefix lies; None when they lie in several, or when it is a name."""
    kind = prefix[:1]
    if kind == OVERLAY:
        head, separator, _ = prefix.partition(b"\0")
        return head + separator if separator else None
    if kind == BASE:
        return prefix[:_BASE_GROUP] if len(prefix) >= _BASE_GROUP else None
    if kind == MARK:
        return MARK + bytes([blake2b(prefix, digest_size=1).digest()[0] % SPREAD])
    return kind if kind in {LOG, PARKED} else None


def groups_of(prefix: bytes) -> list[bytes] | None:
    """The partitions to ask for a prefix; None when only a scan of the table can tell."""
    if prefix[:1] == MARK:
        return [MARK + bytes([n]) for n in range(SPREAD)]
    group = group_of(prefix)
    return None if group is None else [group]


def bounds(group: bytes, prefix: bytes, least: bytes) -> tuple[bytes, bytes]:
    """The sort keys from the name ``least``, which has the prefix, to right behind the prefix's last name."""
    cut = _cut(group)
    return _K + least[cut:], behind(_K + prefix[cut:])


def behind(prefix: bytes) -> bytes:
    """The least bytes that are behind all that begin with a prefix, which is not of bytes 255 only."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def split(value: bytes) -> tuple[Manifest, list[bytes]]:
    """The parts of a large value, and a manifest of a new write of it."""
    parts = [value[at : at + LARGEST_VALUE] for at in range(0, len(value), LARGEST_VALUE)]
    return Manifest(secrets.token_bytes(16), digest_of(value), len(parts)), parts


def digest_of(value: bytes) -> bytes:
    """What tells one large value from another."""
    return blake2b(value, digest_size=32).digest()


def _cut(group: bytes) -> int:
    """How many bytes of a name its partition tells; that of a watermark has a byte more which is no part of it."""
    return 1 if group[:1] == MARK else len(group)
