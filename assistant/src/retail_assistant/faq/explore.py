"""Records questions that the bank can learn from, in the background, so that the reply never waits."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from parbake.ports.clock import Clock
from retail_assistant.faq.compile import is_shareable
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.explorations import note_exploration
from retail_assistant.shop.personal import forget, names_of
from retail_assistant.shop.voices import is_named

_MOST_WAITING = 100
_log = logging.getLogger("retail_assistant.faq")


class Notebook:
    """Writes questions that were answered well without the bank, and that may become wordings of its next generation.

    Personal questions, and questions of somebody whom the shop does not know, are not written. If writing is too slow,
    notes are dropped.
    """

    def __init__(self, writers: PerThread, clock: Clock) -> None:
        """Open no file until the first note."""
        self._writers = writers
        self._clock = clock
        self._writing: set[asyncio.Task[None]] = set()

    def explored(self, shopper: str, text: str, answer: str) -> None:
        """Queue a note that a question turned out to have an answer of the bank."""
        if not is_named(shopper) or not is_shareable(text) or len(self._writing) >= _MOST_WAITING:
            return
        task = asyncio.create_task(self._write(shopper, text, answer))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def settle(self) -> None:
        """Wait until the queued notes are written."""
        await asyncio.gather(*self._writing)

    async def forget(self, shopper: str) -> int:
        """Delete what a shopper's questions were, also those still queued; return how many there were."""
        await self.settle()
        return await self._writers.write(lambda conn: forget(conn, names_of(conn, shopper), ["explorations"]).total())

    async def _write(self, shopper: str, text: str, answer: str) -> None:
        now = self._clock.now()
        try:
            await self._writers.write(
                lambda conn: note_exploration(conn, shopper=shopper, text=text, answer=answer, now=now)
            )
        except (ShopError, sqlite3.Error) as error:
            _log.warning("a question that the bank could learn from was not recorded: %s", error)
