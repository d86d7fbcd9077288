"""The store port, composed of its parts. Adapters import only the ports and the packages below them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from parbake.ports.event_log import EventLog
from parbake.ports.generations import Generations
from parbake.ports.named_values import NamedValues
from parbake.ports.records import Records
from parbake.protocol.record import Stamp


class Store(Records, Generations, EventLog, NamedValues, Protocol):
    """Keeps records, watermarks and the control record; safe for several processes.

    Writes return only once they are durable. Every method raises :class:`parbake.errors.StoreError`.
    """

    is_local: bool = False
    """Whether only processes of this machine can open it."""

    async def heal(self) -> str:
        """Replace damaged data by an empty store, if some was found. Only a worker calls it.

        Returns a sentence about what was done; empty if there was nothing to do. Raises
        :class:`parbake.errors.StoreError` if the data cannot be replaced.
        """
        return ""

    async def erase(self, ids: Collection[str | bytes], texts: Collection[str], before: Stamp) -> int:
        """Delete what names a person: records, entries of lists, parked events, and tags in the event log.

        Words are found anywhere in the bytes, also within longer ones. That is safe, because a value that is missing is
        computed again. Of a record from after the person's own data was erased only the ids count: what else it has
        comes from others. Watermarks stay: without one, a computation that began before could store what was erased.
        The sweep deletes them once no contract allows such a value.

        Args:
            ids: The person's names, as texts. A key that is a number is given as its bytes in the store.
            texts: What the person has written.
            before: The store's counter after the person's own data was erased.

        Returns:
            How many items were deleted or changed.
        """
        ...

    async def discard(self) -> Sequence[str]:
        """Delete what was set aside because it was damaged, which cannot be searched for what names a person.

        Returns what was deleted, by its names. Raises :class:`parbake.errors.StoreError` if something cannot be.
        """
        return ()

    async def compact(self) -> None:
        """Leave nothing of deleted items in the store's files, as far as the store has files of its own."""
        return

    async def close(self) -> None:
        """Release the store."""
        ...
