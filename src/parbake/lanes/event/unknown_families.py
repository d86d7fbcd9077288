"""Families that events carry and nothing declares, mostly by a typing error: such an event outdates nothing.

Only the process that reads an event meets its family. It notes the family in the store, so that every server tells of
it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from parbake.errors import StoreError
from parbake.ports.clock import Clock
from parbake.ports.named_values import NamedValue
from parbake.ports.store import Store
from parbake.process.counters import MAX_FAMILIES

UNKNOWN_S = 3600.0
"""Seconds after the last event of an unknown family until it is forgotten: the tags have been corrected."""
_AGAIN_S = 60.0
"""Seconds until this process notes the same family again."""
_log = logging.getLogger("parbake.ingest")


class UnknownFamilies:
    """Notes families that are not among those that this app knows, and lists them."""

    def __init__(self, store: Store, clock: Clock, known: Collection[str]) -> None:
        """``known`` are the families that some task, source or setting declares."""
        self.known = frozenset(known)
        self._clock = clock
        self._noted: dict[str, float] = {}
        self._seen: NamedValue[dict[str, float]] = NamedValue(store, "event/unknown", dict[str, float], empty={})

    async def note(self, families: Iterable[str]) -> None:
        """Note families that have just been met. Their events have been applied, so no failure is told."""
        now = self._clock.now()
        news = [name for name in families if now - self._noted.get(name, float("-inf")) >= _AGAIN_S]
        if not news:
            return

        def added(before: dict[str, float]) -> dict[str, float]:
            kept = {name: at for name, at in before.items() if now - at < UNKNOWN_S and name not in news}
            return kept | dict.fromkeys(news[: max(0, MAX_FAMILIES - len(kept))], now)

        try:
            await self._seen.change(added)
        except StoreError as error:
            _log.debug("unknown families could not be noted", exc_info=error)
        else:
            self._noted = {n: at for n, at in self._noted.items() if now - at < _AGAIN_S} | dict.fromkeys(news, now)

    async def names(self) -> list[str]:
        """The families that events named within the last hour and that this app does not know."""
        now = self._clock.now()
        return sorted(
            name for name, at in (await self._seen.read()).items() if now - at < UNKNOWN_S and name not in self.known
        )
