"""The keys of a run, cut into partitions, on disk: a run over millions of keys needs no more memory than a small one.

Where a partition ends is decided by its keys and not by how many stand before it, so that a key more or less changes
one partition and leaves the others what they were: a continued run knows them again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.lanes.batch.repeats import Repeats

MEMORY = 1 << 20
"""So many bytes of keys are kept in memory."""
CHUNKS, SINGLE = 8, 64
"""A partition's usual size: in chunks for functions that take many keys at once, in keys for those that take one."""


class Partition(msgspec.Struct, frozen=True):
    """Some keys that stand together; ``digest`` identifies them."""

    digest: bytes
    keys: int
    start: int
    length: int


class KeyList:
    """The partitions of a run's keys, in their order and each key once. Close it after use.

    ``total`` is how many different keys there are, ``repeated`` how often one was listed that had been listed before.
    """

    def __init__(self, usual: int) -> None:
        """``usual`` is how many keys a partition has on average; it has a quarter to twice as many."""
        self._least, self._usual, self._most = max(1, usual // 4), usual, usual * 2
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115 - closed by close()
        self.partitions: list[Partition] = []
        self.total = self.repeated = 0

    def fill(self, keys: Iterable[Any], encode: Any) -> None:
        """Take all keys, once; blocking. ``encode`` checks one and returns its bytes."""
        part: list[bytes] = []
        with contextlib.closing(Repeats()) as repeats:
            for number, key in enumerate(keys):
                raw = encode(key)
                checksum = zlib.crc32(raw)
                repeats.note(raw, checksum, number)
                part.append(raw)
                count = len(part)
                ends_here = count >= self._least and checksum % (self._usual - self._least or 1) == 0
                if ends_here or count == self._most:
                    self._add(part)
                    part = []
            if part:
                self._add(part)
            self._drop(repeats.found())

    def _add(self, part: Sequence[bytes]) -> None:
        raw = msgspec.msgpack.encode(part)
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(raw)
        self.partitions.append(Partition(blake2b(raw, digest_size=8).digest(), len(part), start, len(raw)))
        self.total += len(part)

    def _drop(self, numbers: Iterable[int]) -> None:
        """Write the partitions anew from which keys are to go, by their numbers in the list."""
        again = bytearray()
        for number in numbers:
            again = again or bytearray(self.total)
            again[number] = 1
        if not again:
            return
        listed, self.partitions, self.total, first = self.partitions, [], 0, 0
        for partition in listed:
            gone = again[first : first + partition.keys]
            first += partition.keys
            self._keep(partition, gone)
        self.repeated = first - self.total

    def _keep(self, partition: Partition, gone: bytearray) -> None:
        if 1 not in gone:
            self.partitions.append(partition)
            self.total += partition.keys
        elif 0 in gone:
            self._add([raw for raw, is_gone in zip(self.keys(partition), gone, strict=True) if not is_gone])

    def keys(self, partition: Partition) -> list[bytes]:
        """The encoded keys of one partition."""
        self._file.seek(partition.start)
        return msgspec.msgpack.decode(self._file.read(partition.length), type=list[bytes])

    def sample(self, size: int) -> list[bytes]:
        """Encoded keys at equal distances from the first on, at most ``size``."""
        step = max(1, -(-self.total // size))
        found: list[bytes] = []
        ahead = 0  # how many keys stand before the next one that is wanted
        for part in self.partitions:
            if ahead < part.keys:
                found += self.keys(part)[ahead::step]
            ahead = (ahead - part.keys) % step
        return found

    def close(self) -> None:
        """Forget the keys."""
        self._file.close()
