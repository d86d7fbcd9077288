"""Finds what was listed before among any number of keys, on disk: a list of millions needs no more memory than a short.

Each key leaves a digest and its number in one of some buckets; sorting one bucket after the other brings the equal
digests together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from struct import Struct

MEMORY = 1 << 20
"""So many bytes are kept in memory before there is a file."""
BUCKETS = 256
_RECORD = Struct(">qIQ")
"""A key's hash and checksum, and its number: big-endian, so that of equals the first is sorted to the front."""
_DIGEST = Struct(">qI").size
"""Of 96 bits: among ten million keys two have the same by chance once in 10^15 runs."""
_FULL = _RECORD.size * 200
_pack = _RECORD.pack


class Repeats:
    """Notes keys and tells which of them had been noted before. Close it after use."""

    def __init__(self) -> None:
        """Nothing is noted yet."""
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - closed by close()
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._written: list[list[int]] = [[] for _ in range(BUCKETS)]

    def note(self, raw: bytes, checksum: int, number: int) -> None:
        """Note a key by its bytes, their CRC-32, and its number in the list."""
        place = checksum % BUCKETS
        bucket = self._buckets[place]
        bucket += _pack(hash(raw), checksum, number)
        if len(bucket) == _FULL:
            self._written[place].append(self._file.tell())
            self._file.write(bucket)
            bucket.clear()

    def found(self) -> Iterator[int]:
        """The numbers of keys that had been noted before, in no order."""
        for place in range(BUCKETS):
            raw, before = self._records(place), b""
            for record in sorted(raw[at : at + _RECORD.size] for at in range(0, len(raw), _RECORD.size)):
                digest = record[:_DIGEST]
                if digest == before:
                    yield _RECORD.unpack(record)[2]
                before = digest

    def _records(self, place: int) -> bytes:
        parts = []
        for start in self._written[place]:
            self._file.seek(start)
            parts.append(self._file.read(_FULL))
        return b"".join((*parts, self._buckets[place]))

    def close(self) -> None:
        """Forget the keys."""
        self._file.close()
