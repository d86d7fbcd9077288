"""Polls the outboxes while a process runs; each poll that reaches the end of a source is its heartbeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from parbake.errors import ForeignSource, ParbakeError
from parbake.ports.sources import EventSource, Topic
from parbake.process.trouble import Trouble
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.app")
_Polled = EventSource | Topic | None


class Polling:
    """Drains the sources at regular intervals, each by itself: one that hangs delays no other.

    A source that cannot be polled gets no heartbeat. After the silence limit its families are not trusted any more.
    """

    def __init__(
        self,
        drain: Callable[[_Polled], Awaitable[object]],
        sources: Callable[[], Sequence[EventSource | Topic]],
        every_s: float,
    ) -> None:
        """Poll ``sources`` with ``drain``, which is given one of them, or ``None`` for all; pauses in seconds."""
        self._drain = drain
        self._sources = sources
        self._every_s = every_s
        self._troubles: dict[str, Trouble] = {}

    async def once(self) -> None:
        """Poll all now. Errors are logged; only :class:`ForeignSource` (the store was not built from it) is raised."""
        await asyncio.gather(*map(self._once, self._polled()))

    async def run(self) -> None:
        """Poll until cancelled."""
        await asyncio.gather(*map(self._repeat, self._polled()))

    async def later(self) -> None:
        """Poll until cancelled, after one pause: for a batch process whose run may outlast the silence limit."""
        await asyncio.sleep(self._every_s)
        await self.run()

    def _polled(self) -> list[_Polled]:
        """Each source; without one, a doubted store is looked after."""
        return [*self._sources()] or [None]

    async def _once(self, source: _Polled) -> None:
        trouble = self._trouble(source)
        try:
            await self._drain(source)
            trouble.is_over()
        except ForeignSource:
            raise
        except Exception as error:  # noqa: BLE001 - a poll that fails must not end the polling
            trouble.met(one_line(error))
            if not isinstance(error, ParbakeError):
                _log.debug("a poll failed", exc_info=error)

    async def _repeat(self, source: _Polled) -> NoReturn:
        while True:
            try:
                await self._once(source)
            except ForeignSource as error:  # it refuses a start; a running process goes on with its other sources
                self._trouble(source).met(str(error))
            await asyncio.sleep(self._every_s)

    def _trouble(self, source: _Polled) -> Trouble:
        what = "polling the sources" if source is None else f"polling {source.name}"
        return self._troubles.setdefault(what, Trouble(what, _log))
