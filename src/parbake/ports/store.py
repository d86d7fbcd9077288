"""The store port, composed of its parts. Adapters import only the ports and the packages below them."""

from __future__ import annotations

from typing import Protocol

from parbake.ports.event_log import EventLog
from parbake.ports.generations import Generations
from parbake.ports.named_values import NamedValues
from parbake.ports.records import Records


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

    async def close(self) -> None:
        """Release the store."""
        ...
