"""Polls the outboxes for as long as a process runs: each poll that reaches the end is a heartbeat of its source."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from parbake.errors import ForeignSource, ParbakeError
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.app")


class Polling:
    """Drains at a steady pace.

    A source that cannot be polled gets no heartbeat: past the silence limit its families are not trusted.
    """

    def __init__(self, drain: Callable[[], Awaitable[object]], every_s: float) -> None:
        """Poll with ``drain``, with pauses of ``every_s`` seconds."""
        self._drain = drain
        self._every_s = every_s

    async def once(self) -> None:
        """Poll now; raises :class:`ForeignSource` for a source that this store was not built from, and nothing else."""
        try:
            await self._drain()
        except ForeignSource:
            raise
        except ParbakeError as error:
            _log.error("polling the outboxes failed and is tried again: %s", one_line(error))
        except Exception:  # noqa: BLE001 - a poll that fails must not end the polling
            _log.exception("polling the outboxes failed and is tried again")

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                await self.once()
            except ForeignSource as error:  # a start is refused; who runs goes on with what can be heard
                _log.error("%s", error)
            await asyncio.sleep(self._every_s)

    async def later(self) -> None:
        """Begin after one pause, for a run that may outlast the silence limit in a process that does nothing else."""
        await asyncio.sleep(self._every_s)
        await self.run()
