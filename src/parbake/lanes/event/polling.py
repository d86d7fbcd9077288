"""Polls the outboxes while a process runs; each poll that reaches the end of a source is its heartbeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from parbake.errors import ForeignSource, ParbakeError
from parbake.process.trouble import Trouble
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.app")


class Polling:
    """Drains the sources at regular intervals.

    A source that cannot be polled gets no heartbeat. After the silence limit its families are not trusted any more.
    """

    def __init__(self, drain: Callable[[], Awaitable[object]], every_s: float) -> None:
        """Poll with ``drain``, with pauses of ``every_s`` seconds."""
        self._drain = drain
        self._every_s = every_s
        self._trouble = Trouble("polling the sources", _log)

    async def once(self) -> None:
        """Poll now. Errors are logged; only :class:`ForeignSource` (the store was not built from it) is raised."""
        try:
            await self._drain()
            self._trouble.is_over()
        except ForeignSource:
            raise
        except Exception as error:  # noqa: BLE001 - a poll that fails must not end the polling
            self._trouble.met(one_line(error))
            if not isinstance(error, ParbakeError):
                _log.debug("polling the sources failed", exc_info=error)

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                await self.once()
            except ForeignSource as error:  # it refuses a start; a running process goes on with its other sources
                self._trouble.met(str(error))
            await asyncio.sleep(self._every_s)

    async def later(self) -> None:
        """Poll until cancelled, after one pause: for a batch process whose run may outlast the silence limit."""
        await asyncio.sleep(self._every_s)
        await self.run()
