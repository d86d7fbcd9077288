"""Polls the outboxes while a process runs; each poll that reaches the end of a source is its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

from parbake.errors import ForeignSource, ParbakeError
from parbake.ports.sources import Log, Topic
from parbake.process.trouble import Trouble
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.app")
_Polled = Log | Topic | None
_SLOWER = 1.05
"""By how much a pause grows after each poll without news: from 5 ms to 100 ms within about two seconds."""


_SHORT_S = 0.1
"""The longest pause before a poll that stored values wait for, after an outage of the store."""


class Drain(Protocol):
    """Applies what a source tells, or all sources do if none is given; returns whether there was anything."""

    async def __call__(self, source: _Polled, /, *, beats: bool) -> bool:
        """Drain; a poll without news writes a heartbeat only if it ``beats``."""
        ...


class Polling:
    """Drains the sources again and again, each by itself: one that hangs delays no other.

    A source may say between which pauses it is polled. Each event brings the shortest pause, and each poll without one
    a longer pause. A heartbeat is not written more often than at the regular interval.

    A source that cannot be polled gets no heartbeat. After the silence limit its families are not trusted any more. One
    that is found to be another than before is distrusted at once, with every poll.
    """

    def __init__(
        self,
        drain: Drain,
        sources: Callable[[], Sequence[Log | Topic]],
        every_s: float,
        distrust: Callable[[Log | Topic], Awaitable[None]],
        is_behind: Callable[[str], bool],
    ) -> None:
        """Poll nothing yet.

        Args:
            drain: What polls.
            sources: What to poll.
            every_s: The pause between two heartbeats, in seconds.
            distrust: What raises the families of a source.
            is_behind: Whether a source of a name has to be heard soon, because the store was away.
        """
        self._drain = drain
        self._distrust = distrust
        self._is_behind = is_behind
        self._sources = sources
        self._every_s = every_s
        self._troubles: dict[str, Trouble] = {}

    async def once(self) -> None:
        """Poll all now. Errors are logged; only :class:`ForeignSource` (the store was not built from it) is raised."""
        await asyncio.gather(*(self._once(source, beats=True) for source in self._polled()))

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

    async def _once(self, source: _Polled, *, beats: bool) -> bool:
        """Poll a source; returns whether it had something to tell."""
        trouble = self._trouble(source)
        try:
            has_news = await self._drain(source, beats=beats)
            trouble.is_over()
        except ForeignSource:
            raise
        except Exception as error:  # noqa: BLE001 - a poll that fails must not end the polling
            trouble.met(one_line(error))
            if not isinstance(error, ParbakeError):
                _log.debug("a poll failed", exc_info=error)
        else:
            return has_news
        return False

    async def _repeat(self, source: _Polled) -> NoReturn:
        now = asyncio.get_running_loop().time
        allowed = getattr(source, "pause_s", (self._every_s, self._every_s))
        shortest_s, longest_s = (min(self._every_s, pause) for pause in allowed)
        pause_s, beat_at = shortest_s, float("-inf")
        while True:
            began, has_news = now(), False
            beats = began - beat_at >= self._every_s - longest_s / 2
            try:
                has_news = await self._once(source, beats=beats)
            except ForeignSource as error:  # it refuses a start; a running process goes on with its other sources
                self._trouble(source).met(str(error))
                await self._raised(source)
            beat_at = began if beats else beat_at
            pause_s = shortest_s if has_news else min(longest_s, pause_s * _SLOWER)
            await self._pause(source, pause_s)

    async def _pause(self, source: _Polled, pause_s: float) -> None:
        """Pause until the next poll; shortly if stored values are not trusted until then."""
        now = asyncio.get_running_loop().time
        until = now() + pause_s
        while True:
            await asyncio.sleep(max(0.0, min(until - now(), _SHORT_S)))
            if now() >= until or (source is not None and self._is_behind(source.name)):
                return

    async def _raised(self, source: _Polled) -> None:
        with contextlib.suppress(ParbakeError):  # it is tried again with the next poll
            if source is not None:
                await self._distrust(source)

    def _trouble(self, source: _Polled) -> Trouble:
        what = "polling the sources" if source is None else f"polling {source.name}"
        return self._troubles.setdefault(what, Trouble(what, _log))
