"""A reader of its own process: does a read that begins after an acknowledgement return an older value?

``python _observe.py STORE FLOOR SECONDS``. The publisher commits version ``n`` of the truth, tells the store, and notes
``n`` in the file ``FLOOR`` once that is acknowledged. A reader looks at the file first and reads then; the value holds
the version that it was computed from, so no bookkeeping of the store's is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import parbake as pb

KEYS = 8
_NUMBER = struct.Struct("<Q")
tasks = pb.Registry()


class Floor:
    """Two numbers per key that processes share: the version that is committed, and the one that is acknowledged."""

    def __init__(self, path: Path) -> None:
        """Map the file; made when there is none."""
        self.computed = 0
        size = 2 * KEYS * _NUMBER.size
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)

    def get(self, key: int, *, acknowledged: bool) -> int:
        """A number of one key."""
        return int(_NUMBER.unpack_from(self._map, (2 * key + acknowledged) * _NUMBER.size)[0])

    def set(self, key: int, number: int, *, acknowledged: bool) -> None:
        """Aligned eight bytes: a reader sees the old number or the new."""
        _NUMBER.pack_into(self._map, (2 * key + acknowledged) * _NUMBER.size, number)


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("fact/{key}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def version(key: str, *, floor: pb.Resource[Floor]) -> int:
    """The version of the truth that this value was computed from."""
    floor.computed += 1
    return floor.get(int(key), acknowledged=False)


@dataclass
class Seen:
    """What the readers saw."""

    reads: int = 0
    computed: int = 0
    older: int = 0


async def read(store: str, path: Path, seconds: float) -> Seen:
    """Read every key in turn until the time is up."""
    floor, seen = Floor(path), Seen()
    app = pb.App(tasks, store=store, resources={Floor: floor})
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for key in range(KEYS):
            least = floor.get(key, acknowledged=True)
            served = await app.serve(version, str(key))
            seen.reads += 1
            seen.older += served.unwrap() < least
    await app.close()
    seen.computed = floor.computed
    return seen


@contextlib.contextmanager
def readers(store: str, path: Path, seconds: float, count: int = 2) -> Iterator[Seen]:
    """Run readers beside the body; what they saw is there once it has ended."""
    words = [sys.executable, __file__, store, str(path), str(seconds)]
    Floor(path)
    seen = Seen()
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield seen
        for process in processes:
            found = json.loads(process.communicate(timeout=seconds + 30)[0])
            seen.reads, seen.computed = seen.reads + found["reads"], seen.computed + found["computed"]
            seen.older += found["older"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    saw = asyncio.run(read(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
    print(json.dumps(vars(saw)))
