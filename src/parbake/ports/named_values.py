"""Small values that lanes keep in the store by name, changed only by compare-and-swap, and lists and logs that grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from parbake.errors import StoreError
from parbake.protocol.record import Stamp

T = TypeVar("T")
TRIES = 20
NOTED = 100_000
"""How many entries of a log are kept."""


class NamedValues(Protocol):
    """The port of small named values, which are replaced only by compare-and-swap, and of lists and logs."""

    async def get(self, name: str) -> bytes | None:
        """Read a small named value, such as a cursor; ``None`` if there is none."""
        ...

    async def swap(self, name: str, expected: bytes | None, new: bytes | None) -> bool:
        """Replace or delete a small named value, if it is still what the caller has seen.

        Args:
            name: Its name.
            expected: What the caller has seen; ``None`` if there was no value.
            new: What to store; ``None`` deletes it.

        Returns:
            Whether the value was replaced; ``False`` when another process has changed it.
        """
        ...

    async def append(self, name: str, key: bytes, entry: bytes) -> None:
        """Add an entry to a list, whatever else the list holds.

        Args:
            name: The name of the list.
            key: Identifies the entry; an earlier entry with this key is replaced.
            entry: The entry.
        """
        ...

    async def entries(self, name: str) -> dict[bytes, bytes]:
        """Read a list, by key; empty if there is none."""
        ...

    async def clear(self, name: str) -> None:
        """Delete a list."""
        ...

    async def note(self, name: str, entry: bytes) -> Stamp:
        """Add an entry to a log at the next place, and forget the one :data:`NOTED` places before it.

        Args:
            name: The name of the log, which no list has.
            entry: The entry.

        Returns:
            Its place: the store's incarnation, and the number of the entry.
        """
        ...

    async def noted(self, name: str, after: Stamp, limit: int) -> list[tuple[Stamp, bytes]]:
        """At most ``limit`` entries of a log behind a place, oldest first, each with its place.

        Whoever follows a log reads on from the last place. If the next entry's number is not one higher, entries are
        missing: they were forgotten, or the store has lost them.

        Args:
            name: The name of the log.
            after: The place.
            limit: The greatest number of entries.
        """
        ...


@dataclass(frozen=True, slots=True)
class NamedValue(Generic[T]):
    """One named value in msgpack; ``empty`` is its value before the first write."""

    store: NamedValues
    name: str
    kind: Any
    empty: T

    async def read(self) -> T:
        """Read the value; ``empty`` before the first write."""
        return self._decoded(await self.store.get(self.name))

    async def change(self, to: Callable[[T], T]) -> T:
        """Replace the value by ``to(value)`` and return it; ``to`` may be called several times and may raise.

        Raises :class:`StoreError` if other processes change the value during every attempt.
        """
        for _ in range(TRIES):
            raw = await self.store.get(self.name)
            new = to(self._decoded(raw))
            if await self.store.swap(self.name, raw, msgspec.msgpack.encode(new)):
                return new
        raise StoreError(f"{self.name} changes faster than it can be updated; try again", field="store")

    def _decoded(self, raw: bytes | None) -> T:
        if raw is None:
            return self.empty
        found: T = msgspec.msgpack.decode(raw, type=self.kind)
        return found
