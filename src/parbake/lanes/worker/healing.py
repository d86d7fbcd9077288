"""Replaces a damaged store by an empty one. Only a worker does, so that one process decides."""

from __future__ import annotations

import logging

from parbake.ports.store import Store
from parbake.process.loops import forever

LOOK_S = 0.25
_log = logging.getLogger("parbake.healing")


class Healing:
    """Looks every quarter of a second whether a process has found damage."""

    def __init__(self, store: Store) -> None:
        """Look at a store."""
        self._store = store

    async def run(self) -> None:
        """Look until cancelled."""
        await forever(self.step, LOOK_S, what="the look for damage", log=_log)

    async def step(self) -> None:
        """Look once, and replace what is damaged."""
        if done := await self._store.heal():
            _log.error("%s", done)
