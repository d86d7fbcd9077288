"""The items of a server that may be away: after two failures calls fail at once, and a probe a second tries again.

A request that meets a store which does not answer waits for it once, and not for each of its reads; later ones do not
wait at all. Writes fail as well: nothing is acknowledged by a process that cannot reach the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from parbake.errors import DamagedStore, OutdatedStore, StoreError, StoreUnreachable
from parbake.stores.steps.item_steps import FETCH_S, Commit, Items

T = TypeVar("T")
FAILURES = 2
"""After how many failures in a row a server counts as away; one that has taken half of a fetch's time counts twice."""
TRY_AGAIN_S = 1.0
_LATE = 1.25
"""A fetch that fails later than after so many times its time was not ended in time, so that the server may answer."""


class AnsweringItems(Items):
    """A driver's items as long as their server answers."""

    def __init__(self, items: Items) -> None:
        """Count no failure yet."""
        self.items = items
        self.is_snapshot, self.commit_limit = items.is_snapshot, items.commit_limit
        self._failures = 0
        self._try_at = 0.0
        self._why = ""
        self._probing: asyncio.Task[None] | None = None

    @property
    def host(self) -> str:
        """See :class:`Items`."""
        return self.items.host

    async def open(self) -> None:
        """See :class:`Items`."""
        await self._asked(self.items.open)

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """See :class:`Items`."""
        return await self._asked(lambda: self._fetched(names))

    async def commit(self, commit: Commit) -> bool:
        """See :class:`Items`."""
        return await self._asked(lambda: self.items.commit(commit))

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """See :class:`Items`."""
        await self._asked(lambda: self.items.put(rows))

    async def remove(self, names: Collection[bytes]) -> None:
        """See :class:`Items`."""
        await self._asked(lambda: self.items.remove(names))

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """See :class:`Items`.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items.
        """
        return await self._asked(lambda: self.items.range(prefix, start, limit))

    async def count(self, prefix: bytes) -> int:
        """See :class:`Items`."""
        return await self._asked(lambda: self.items.count(prefix))

    async def close(self) -> None:
        """See :class:`Items`."""
        if self._probing is not None and self._probing.get_loop() is asyncio.get_running_loop():
            self._probing.cancel()
        await self.items.close()

    async def _fetched(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Fetch, and once more if this process was too late to see an answer in time, because its loop was held."""
        began = asyncio.get_running_loop().time()
        try:
            return await self.items.fetch(names)
        except StoreUnreachable:
            if asyncio.get_running_loop().time() - began < _LATE * FETCH_S:
                raise
        return await self.items.fetch(names)

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the server, unless it counts as away."""
        now = asyncio.get_running_loop().time()
        if self._failures >= FAILURES:
            if now >= self._try_at:
                self._try_at = now + TRY_AGAIN_S
                self._probing = asyncio.get_running_loop().create_task(self._probe())
            raise StoreUnreachable(f"{self._why}; it is tried again every second", field="store")
        try:
            found = await ask()
        except (DamagedStore, OutdatedStore):  # the server answers: what it holds is at fault
            raise
        except StoreUnreachable as error:
            took_s = asyncio.get_running_loop().time() - now
            self._failures += 1 if took_s < FETCH_S / 2 else 2
            self._why = str(error)
            raise
        self._failures = 0
        return found

    async def _probe(self) -> None:
        """Look whether the server answers again; nobody waits for it."""
        try:
            await self.items.open()
        except StoreUnreachable as error:
            self._why = str(error)
            return
        except StoreError:  # it answers, and the next call learns what it says
            pass
        self._failures = 0
