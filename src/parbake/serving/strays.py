"""Which tasks depend on entities that their tag templates do not name.

The event lane derives from a template which key an event outdates, without a scan. If a view records further entities
of that family, only the stored records show which keys they outdate. The lane must then know that it has to scan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from parbake.ports.store import Store
from parbake.protocol.recording import Recording
from parbake.protocol.tags import family
from parbake.tasks.contract import Contract


class Strays:
    """Records in the store, permanently, the tasks and families for which a record had a tag outside its template."""

    def __init__(self, store: Store) -> None:
        """Read nothing until the first call."""
        self._store = store
        self._known: set[str] = set()

    async def note(self, ref: str, families: Iterable[str]) -> None:
        """Record families of a task, before the record with the tags is written."""
        for name in families:
            place = _place(ref, name)
            if place not in self._known:
                await self._store.swap(place, None, b"1")
                self._known.add(place)

    async def has(self, ref: str, name: str) -> bool:
        """Whether any record of a task was ever bound to an entity of the family that its template does not name."""
        place = _place(ref, name)
        if place not in self._known and await self._store.get(place) is not None:
            self._known.add(place)
        return place in self._known


def stray_families(contract: Contract, recording: Recording, named: Collection[str]) -> set[str]:
    """The families for which a computation recorded tags that no template names.

    Args:
        contract: The task's.
        recording: What was read.
        named: The tags of the templates, filled for every key of the computation.
    """
    spelled_out = {item.family for item in contract.binding if item.is_template}
    return {family(t) for t in recording.bound(contract) if family(t) in spelled_out and t not in named}


def _place(ref: str, name: str) -> str:
    return f"strays/{name}/{ref}"
