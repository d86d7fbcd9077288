"""After a loss: what an outbox can tell again is told again, withdrawals are repeated, and then the store is trusted.

A store that turned up on another host (a restart, a failover, a restored copy) is in an incarnation that nobody
believes. Recovery replays every outbox from the position that the store still knows, repeats the rollbacks that were
logged outside it, and blesses the incarnation it saw before it began: if the store lost data once more meanwhile, the
blessing is refused and recovery starts again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from parbake.errors import StoreError
from parbake.ports import Journal, Store

_log = logging.getLogger("parbake.recovery")


class FileJournal:
    """Withdrawn generations in a file of JSON lines; every line is synced before it counts as written."""

    def __init__(self, path: str | Path) -> None:
        """The file should lie where a restore of the store does not reach it."""
        self._path = Path(path)

    def append(self, generations: list[int]) -> None:
        """Add generations, durably; blocking. Raises :class:`StoreError` when the file cannot be written."""
        try:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(generations) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"journal {self._path}: {error}", field="journal") from error

    def read(self) -> list[int]:
        """Every generation ever added; blocking. A last line that a crash cut short was never acknowledged."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"journal {self._path}: {error}", field="journal") from error
        return [generation for line in lines for generation in msgspec.json.decode(line, type=list[int])]


class Recovery:
    """Blesses an incarnation once its outboxes have been replayed."""

    def __init__(self, store: Store, journal: Journal | None, *, replayable: bool) -> None:
        """``replayable``: every change is told by some outbox, so that a replay restores every lost event."""
        self._store = store
        self._journal = journal
        self._keeps = replayable and journal is not None

    async def doubted(self) -> int:
        """The incarnation that waits for its blessing, 0 when the store is trusted."""
        _, control = await self._store.stamp()
        return 0 if control.is_trusted else control.incarnation

    async def bless(self, seen: int) -> None:
        """Trust an incarnation whose outboxes were replayed after it was seen.

        What was stored before the loss lives on only if the replay restored everything: every change has an outbox
        row, and rollbacks are logged outside the store.
        """
        if self._keeps and self._journal is not None:
            await self._store.withdraw(await asyncio.to_thread(self._journal.read))
        await self._store.bless(seen, raise_floor=not self._keeps)
        kept = "kept" if self._keeps else "discarded: an outbox may not tell every change, or no journal is kept"
        _log.warning("incarnation %d is trusted again; what was stored before it is %s", seen, kept)

    async def note_withdrawn(self) -> None:
        """Log what is withdrawn outside the store, before a rollback is acknowledged."""
        if self._journal is not None:
            _, control = await self._store.stamp()
            await asyncio.to_thread(self._journal.append, list(control.withdrawn))
