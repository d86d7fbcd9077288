"""Damage: the bytes of a stored record change, as on a bad disk, and the store does not notice."""

from __future__ import annotations

import random
import re

from parbake.protocol.record import INCARNATION_BYTES, STAMP_AT
from parbake.stores.steps import item_names as names
from simulator.world.disk import is_as_written
from simulator.world.world_state import World

SHARE = 0.3
"""The share of histories in which the disk damages records."""
HOW_OFTEN = (0.05, 0.2, 0.5)
"""The chance of damage in one step; each such history draws one of these."""
MOST_BYTES = 4
_HEADER_BYTES = 40
_LENGTH_BYTES = 4
_TAG = re.compile(rb"[a-z]+/(?:[a-z]+|\*)")
_ALL = 1 << 20


class Damage:
    """The damage in one history. It has its own random numbers, so that all other draws are the same as without it."""

    def __init__(self, world: World) -> None:
        """Draw whether there is damage, and how often."""
        self._world = world
        self._rng = random.Random(f"damage {world.store_model} {world.seed}")
        self.chance = self._rng.choice(HOW_OFTEN) if self._rng.random() < SHARE else 0.0

    def strike(self) -> None:
        """Damage one record now and then: an overlay or a base item, never an item that the protocol itself needs."""
        if self._rng.random() >= self.chance:
            return
        items = self._world.disk.items
        rows = [row for prefix in (names.OVERLAY, names.BASE) for row in items.range(prefix, prefix, _ALL)]
        name, raw = self._rng.choice(rows) if rows else (b"", b"")
        if is_as_written(raw):
            items.put(name, self._changed(name, raw))

    def _changed(self, name: bytes, raw: bytes) -> bytes:
        """Change bytes of the stamp, of a version in the value, or anywhere, or truncate the record.

        The trace contains the positions of the bytes but not the bytes, because real durations are among them, which
        differ between runs.
        """
        draw = self._rng
        kind = draw.choice(["stamp", "version", "anywhere", "cut"])
        if kind == "cut":
            end = draw.randrange(len(raw))
            self._world.say(f"the disk cuts {name!r} after {end} bytes")
            return raw[:end]
        places = [draw.randrange(len(raw)) for _ in range(draw.randint(1, MOST_BYTES))]
        if kind == "stamp":
            places = [draw.randrange(STAMP_AT.start + INCARNATION_BYTES, STAMP_AT.stop)]
        elif kind == "version" and (named := _versions_in(raw)):
            places = [draw.choice(named)]
        flips = {place: draw.randrange(1, 128) for place in places}
        self._world.say(f"the disk damages {name!r} in its {kind}: {flips}")
        changed = bytearray(raw)
        for place, bits in flips.items():
            changed[place] ^= bits
        return bytes(changed)


def _versions_in(raw: bytes) -> list[int]:
    """The positions of the versions in a record's value, one after each tag."""
    length = int.from_bytes(raw[_HEADER_BYTES - _LENGTH_BYTES : _HEADER_BYTES], "big")
    return [found.end() for found in _TAG.finditer(raw, _HEADER_BYTES + length) if found.end() < len(raw)]
