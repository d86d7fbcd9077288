"""The port of a store's records, which are read together with the data that they are judged by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from parbake.protocol.control import Control
from parbake.protocol.record import Header, Record, Stamp


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """One consistent read: the records of a key (overlay first), the watermarks of their tags, and the control record.

    ``heartbeats`` maps a source's name to the time (epoch seconds) before the last poll that was applied to its end.
    ``damaged`` counts records of the key whose checksum is wrong; ``records`` does not contain them.
    """

    control: Control
    records: tuple[Record, ...]
    marks: Mapping[str, bytes]
    heartbeats: Mapping[str, float]
    damaged: int = 0


class RecordSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A key's newest record, not decoded yet, with the data that it is judged by; see :class:`Lookup`."""

    control: Control
    header: Header
    payload: bytes
    marks: Mapping[str, bytes]
    heartbeats: Mapping[str, float]


class StoreState(NamedTuple):
    """The counter and the control record, read in one snapshot."""

    stamp: Stamp
    control: Control


class Records(Protocol):
    """Reads and writes records, each read in one snapshot with its watermarks."""

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """Read a key's records, and the data that they are judged by, in one snapshot.

        Args:
            task: The ref of the task.
            key: The key's bytes.
            generation: The generation to read instead of the current one, for a run that reads its own output; 0
                reads the current one.
        """
        ...

    async def stamp(self) -> StoreState:
        """Read the counter and the control record, before a computation's first input."""
        ...

    async def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        """Write an event or on-demand result under the write rule.

        Args:
            task: The ref of the task.
            key: The key's bytes.
            record: The result.
            now: Epoch seconds.

        Returns:
            Whether it was written; ``False`` if a better one is stored.
        """
        ...

    async def write_base(self, task: str, generation: int, rows: Sequence[tuple[bytes, Record]]) -> None:
        """Write rows of a generation that is not promoted yet.

        Args:
            task: The ref of the task.
            generation: The number of the generation.
            rows: Each key's bytes with its record.
        """
        ...

    async def forget(self, task: str, keys: Collection[bytes]) -> None:
        """Delete event or on-demand results, whatever they are; a key without one is passed over.

        Args:
            task: The ref of the task.
            keys: The bytes of the keys.
        """
        ...

    async def look_again(self, record: Record) -> Lookup:
        """Return a record that was made or read before, with a new snapshot of the data that it is judged by."""
        ...

    def scan(self, task: str) -> AsyncIterator[tuple[bytes, Lookup]]:
        """Iterate over a task's keys, each with its records and watermarks, without decoding the values."""
        ...


@runtime_checkable
class RecordSnapshots(Protocol):
    """Optional methods of an embedded store, whose reads return at once."""

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        """The newest record of a key in one snapshot, at once; ``None`` if the key has none."""
        ...

    def review(self, record: Record) -> Lookup | None:
        """Read the watermarks again for a record that was read before; ``None`` if it must be read again, too."""
        ...
