"""The keys of a run, cut into partitions, on disk: a run over millions of keys needs no more memory than a small one.

The keys of a partition decide where it ends, not the number of keys before it. A key more or less therefore changes one
partition and leaves the others as they were, and a continued run recognises those.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

_MEMORY = 1 << 20
"""The bytes of keys that are kept in memory before they are written to a file."""
CHUNKS, SINGLE = 8, 64
"""A partition's usual size: in chunks if the function takes many keys at once, in keys if it takes one."""
ROWS = 500
"""The keys that one statement inserts, below the 999 variables that every SQLite allows. Each statement releases
Python's lock once, and waits for it when other threads are busy."""


class Partition(msgspec.Struct, frozen=True):
    """Consecutive keys of a run's list, which one process computes together.

    Attributes:
        digest: Identifies the keys and their order, 8 bytes.
        keys: The number of keys.
        start: Where they begin in the file, in bytes.
        length: The number of bytes that they take there.
    """

    digest: bytes
    keys: int
    start: int
    length: int


class KeyList:
    """The partitions of a run's keys, in the order of the list and each key once. Close it after use.

    Attributes:
        partitions: The partitions.
        total: The number of different keys.
        repeated: How many entries of the list repeated an earlier key.
    """

    def __init__(self, usual: int) -> None:
        """``usual`` is how many keys a partition has on average; it has a quarter to twice as many."""
        self._least, self._usual, self._most = max(1, usual // 4), usual, usual * 2
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115 - closed by close()
        self.partitions: list[Partition] = []
        self.total = self.repeated = 0

    def fill(self, keys: Iterable[Any], encode: Callable[[Any], bytes]) -> None:
        """Read all keys and cut them into partitions; blocking. Call it once.

        The list is cut in the order in which it comes. SQLite then looks for keys that are listed more than once. If
        there are any, the different keys are cut again, in the order of their first occurrence.

        Args:
            keys: The keys, some of which may be listed again.
            encode: Checks a key and returns its bytes.
        """
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as db:  # a temporary file without a name
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("CREATE TABLE listed (number INTEGER PRIMARY KEY, raw BLOB)")
            db.execute("BEGIN")
            self._cut(_noted(db, map(encode, keys)))
            if db.execute("SELECT 1 FROM listed GROUP BY raw HAVING count(*) > 1 LIMIT 1").fetchone():
                listed, self.total, self.partitions = self.total, 0, []
                self._file.seek(0)
                self._file.truncate()
                self._cut(raw for (raw,) in db.execute("SELECT raw FROM listed GROUP BY raw ORDER BY min(number)"))
                self.repeated = listed - self.total

    def _cut(self, keys: Iterable[bytes]) -> None:
        part: list[bytes] = []
        for raw in keys:
            part.append(raw)
            count = len(part)
            if count == self._most or (
                count >= self._least and zlib.crc32(raw) % (self._usual - self._least or 1) == 0
            ):
                self._add(part)
                part = []
        if part:
            self._add(part)

    def _add(self, part: Sequence[bytes]) -> None:
        raw = msgspec.msgpack.encode(part)
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(raw)
        self.partitions.append(Partition(blake2b(raw, digest_size=8).digest(), len(part), start, len(raw)))
        self.total += len(part)

    def keys(self, partition: Partition) -> list[bytes]:
        """The encoded keys of one partition."""
        self._file.seek(partition.start)
        return msgspec.msgpack.decode(self._file.read(partition.length), type=list[bytes])

    def sample(self, size: int) -> list[bytes]:
        """At most ``size`` encoded keys, at equal distances in the list, beginning with the first."""
        step = max(1, -(-self.total // size))
        found: list[bytes] = []
        ahead = 0  # the number of keys before the next one to take
        for part in self.partitions:
            if ahead < part.keys:
                found += self.keys(part)[ahead::step]
            ahead = (ahead - part.keys) % step
        return found

    def close(self) -> None:
        """Close the file that holds the keys, which deletes it."""
        self._file.close()


def _noted(db: sqlite3.Connection, keys: Iterator[bytes]) -> Iterator[bytes]:
    """Insert keys into the table, and yield each of them afterwards."""
    while rows := list(islice(keys, ROWS)):
        db.execute(f"INSERT INTO listed (raw) VALUES {','.join(['(?)'] * len(rows))}", rows)  # noqa: S608  # no text of a key
        yield from rows
