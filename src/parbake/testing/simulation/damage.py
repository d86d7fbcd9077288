"""Damage: the bytes of a stored record change where they lie, as on a bad disk. The store is not told."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING
from zlib import crc32

from parbake.artifact import INCARNATION_BYTES, STAMP_AT
from parbake.stores import _engine as engine

if TYPE_CHECKING:
    from parbake.testing.simulation.world import World

SHARE = 0.3
"""The share of histories in which records are damaged."""
HOW_OFTEN = (0.05, 0.2, 0.5)
"""The chance of damage in each step, one of these in each such history."""
MOST_BYTES = 4
_HEADER_BYTES = 40
_LENGTH_BYTES = 4
_TAG = re.compile(rb"[a-z]+/(?:[a-z]+|\*)")
_ALL = 1 << 20


def is_as_written(raw: bytes) -> bool:
    """Whether a stored record ends with the checksum of its other bytes; not by the product's own code."""
    return crc32(raw[:-4]).to_bytes(4, "little") == raw[-4:]


class Damage:
    """What the disk of one history does to records. It has random numbers of its own: others draw as without it."""

    def __init__(self, world: World) -> None:
        """Draw whether there is any, and how often."""
        self._world = world
        self._rng = random.Random(f"damage {world.store_model} {world.seed}")
        self.chance = self._rng.choice(HOW_OFTEN) if self._rng.random() < SHARE else 0.0

    def strike(self) -> None:
        """Damage one record now and then: an overlay or a base item, never one that the protocol itself needs."""
        if self._rng.random() >= self.chance:
            return
        items = self._world.disk.items
        rows = [row for prefix in (engine.OVERLAY, engine.BASE) for row in items.range(prefix, prefix, _ALL) if row[1]]
        if not rows:
            return
        name, raw = self._rng.choice(rows)
        damaged = self._changed(raw)
        self._world.say(f"the disk damages {name!r}: {raw.hex()} is {damaged.hex()} now")
        items.put(name, damaged)

    def _changed(self, raw: bytes) -> bytes:
        """The record with other bytes: in its stamp, in a version that its value names, anywhere, or cut."""
        draw = self._rng
        kind = draw.choice(["stamp", "version", "anywhere", "cut"])
        if kind == "cut":
            return raw[: draw.randrange(len(raw))]
        places = [draw.randrange(len(raw)) for _ in range(draw.randint(1, MOST_BYTES))]
        if kind == "stamp" and len(raw) >= STAMP_AT.stop:
            places = [draw.randrange(STAMP_AT.start + INCARNATION_BYTES, STAMP_AT.stop)]
        elif kind == "version" and (named := _versions_in(raw)):
            places = [draw.choice(named)]
        changed = bytearray(raw)
        for place in dict.fromkeys(places):
            changed[place] ^= draw.randrange(1, 128)
        return bytes(changed)


def _versions_in(raw: bytes) -> list[int]:
    """Where a record's value names versions: behind each tag."""
    length = int.from_bytes(raw[_HEADER_BYTES - _LENGTH_BYTES : _HEADER_BYTES], "big")
    return [found.end() for found in _TAG.finditer(raw, _HEADER_BYTES + length) if found.end() < len(raw)]
