"""The layout of a DynamoDB table: names that are listed together share a partition, in which they are sorted.

A partition takes about 1,000 writes a second. Watermarks are therefore spread over sixteen partitions, and the rows of
a generation over 256, by a hash of their names. How many it has is the value of the generation's own item, so that a
later version can choose another number. These items share a partition: it lists the generations without a scan.

A value that is too large for an item is stored in parts; its item then holds a manifest that says where the parts are.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from parbake.stores.steps.item_names import BASE, ENTRY, LOG, MARK, OVERLAY, PARKED

SPREAD = 16
BUCKETS = 256
GENERATIONS = b"B"
"""The partition of the generations' own items."""
LARGEST_VALUE = 350_000  # bytes; an item may have 400 KB with its names
PARTS = b"P"
BASE_CUT = 9
"""How many bytes of a row's name are its generation."""
# A sort key must not be empty, so each begins with the same byte.
_K = b"k"
LAST = b"l"
"""Sorts after every sort key."""


class Place(msgspec.Struct, frozen=True):
    """The two keys of an item: ``p`` is the partition key, ``k`` the sort key."""

    p: bytes
    k: bytes


class Manifest(msgspec.Struct, frozen=True):
    """Replaces a large value in its item.

    Parts belong to one write only, so removing them never affects another write.
    """

    write: bytes
    digest: bytes
    parts: int

    def places(self) -> list[Place]:
        """Where the parts are stored, in order."""
        return [Place(PARTS + self.write, _K + n.to_bytes(4, "big")) for n in range(self.parts)]


def place_of(name: bytes, buckets: Mapping[bytes, int]) -> Place:
    """Return where a name is stored, if generations have so many partitions; the usual number is assumed otherwise."""
    if name[:1] == BASE:
        generation, key = name[:BASE_CUT], name[BASE_CUT:]
        if not key:
            return Place(GENERATIONS, _K + name[1:])
        return Place(bucket(generation, _bucket_of(key, buckets.get(generation, BUCKETS))), _K + key)
    group = _group_of(name)
    if group is None:
        return Place(name, _K)
    return Place(group, _K + name[_cut(group) :])


def bucket(generation: bytes, number: int) -> bytes:
    """The partition of some of a generation's rows."""
    return generation + number.to_bytes(2, "big")


def _bucket_of(key: bytes, buckets: int) -> int:
    return int.from_bytes(blake2b(key, digest_size=4).digest(), "big") % buckets


def rest(generation: bytes, start: bytes, buckets: int) -> list[tuple[bytes, bytes]]:
    """The partitions of a generation from a name on, each with its first sort key.

    Args:
        generation: The prefix of its rows.
        start: A listed name followed by a zero byte, or nothing beyond the prefix.
        buckets: How many partitions it has.
    """
    key = start[BASE_CUT:]
    first = _bucket_of(key[:-1], buckets) if key else 0
    return [(bucket(generation, n), _K + (key if n == first else b"")) for n in range(first, buckets)]


def name_of(place: Place) -> bytes:
    """Return the name that is stored at a place."""
    if place.p == GENERATIONS:
        return BASE + place.k[1:]
    return place.p[: _cut(place.p)] + place.k[1:]


def _group_of(prefix: bytes) -> bytes | None:
    """The partition of all names with a prefix.

    ``None`` if they are in several partitions or the prefix is a full name.
    """
    kind = prefix[:1]
    if kind in {OVERLAY, ENTRY}:
        head, separator, _ = prefix.partition(b"\0")
        return head + separator if separator else None
    if kind == MARK:
        return MARK + bytes([blake2b(prefix, digest_size=1).digest()[0] % SPREAD])
    return kind if kind in {LOG, PARKED} else None


def groups_of(prefix: bytes) -> list[bytes] | None:
    """The partitions to query for a prefix; ``None`` if only a scan of the table can find its names."""
    if prefix[:1] == MARK:
        return [MARK + bytes([n]) for n in range(SPREAD)]
    group = _group_of(prefix)
    return None if group is None else [group]


def bounds(group: bytes, prefix: bytes, least: bytes) -> tuple[bytes, bytes]:
    """Compute the sort keys between which the names with a prefix lie, from the name ``least`` on.

    Args:
        group: The partition.
        prefix: The prefix of the names.
        least: The first name; it has the prefix.

    Returns:
        The first sort key, and the key just after the last name with the prefix.
    """
    cut = _cut(group)
    return _K + least[cut:], behind(_K + prefix[cut:])


def behind(prefix: bytes) -> bytes:
    """The least bytes that sort after everything with a prefix. The prefix must not consist of 0xFF bytes only."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def split(value: bytes) -> tuple[Manifest, list[bytes]]:
    """Split a large value into parts, and make the manifest of a new write."""
    parts = [value[at : at + LARGEST_VALUE] for at in range(0, len(value), LARGEST_VALUE)]
    return Manifest(secrets.token_bytes(16), digest_of(value), len(parts)), parts


def digest_of(value: bytes) -> bytes:
    """A digest that identifies a large value."""
    return blake2b(value, digest_size=32).digest()


def _cut(group: bytes) -> int:
    """How many bytes of a name its partition has.

    The partitions of watermarks and rows have further bytes, which are not in the name.
    """
    return {MARK: 1, BASE: BASE_CUT}.get(group[:1], len(group))
