"""The simulated disk of the store, which can undo the last commits."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

from parbake.stores.memory import ByteMap

REMEMBERED = 400
"""The number of commits that a failover can undo at most."""


def is_as_written(raw: bytes) -> bool:
    """Whether a stored record ends with the checksum of its other bytes; computed without the product's code."""
    return crc32(raw[:-4]).to_bytes(4, "little") == raw[-4:]


class Disk:
    """The store's data. A failover goes to a copy that had not received the last commits yet, so they are undone."""

    def __init__(self) -> None:
        self.items = ByteMap()
        self.watch: Callable[[bytes, bytes | None, bytes | None], None] = lambda *_: None
        """Called with every item that a commit changes: its name, and its value before and after."""
        self.host = "host 1"
        self.commits = 0
        """How many commits the data has."""
        self._undo: list[dict[bytes, bytes | None]] = []
        self._open: dict[bytes, bytes | None] = {}
        self.get = self.peek = self.items.get

    def put(self, key: bytes, value: bytes) -> None:
        """Write one item in the open commit."""
        self._open.setdefault(key, self.items.get(key))
        self.items.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove one item in the open commit."""
        self._open.setdefault(key, self.items.get(key))
        self.items.delete(key)

    def end_commit(self) -> None:
        """End the open commit: all that was written since the last end."""
        if self._open:
            for key, before in self._open.items():
                self.watch(key, before, self.items.get(key))
            self._undo.append(self._open)
            del self._undo[:-REMEMBERED]
            self._open = {}
            self.commits += 1

    def keep(self) -> None:
        """Let no failover lose what was committed until now."""
        self._undo.clear()

    def fail_over(self, commits: int) -> int:
        """Lose the last commits and become another host; return the number of commits that were lost."""
        self.host = f"host {int(self.host.split()[1]) + 1}"
        return self.undo(commits)

    def undo(self, commits: int) -> int:
        """Undo the last commits, as far as they are remembered; return their number."""
        lost = 0
        while lost < commits and self._undo:
            for key, value in self._undo.pop().items():
                if value is None:
                    self.items.delete(key)
                else:
                    self.items.put(key, value)
            lost += 1
        self.commits -= lost
        return lost
