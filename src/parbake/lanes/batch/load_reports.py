"""A server reports how slow its requests are, so that batch work in other processes gives way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from parbake.lanes.batch.load import ENOUGH, LoadBoard, Serving
from parbake.ports.observers import tell
from parbake.process.counters import Counters
from parbake.process.loops import forever

EVERY_S = 1.0
WEIGHT = 0.1
"""The weight of the newest second in the average of the p95 without batch."""
_log = logging.getLogger("parbake.load")


class LoadReports:
    """Reports the latency of this server's requests once per second, while there are requests."""

    def __init__(
        self, board: LoadBoard, counters: Counters, paced: Sequence[Callable[[bool, float], None]] = ()
    ) -> None:
        """``paced`` are called for each second, with whether batch was on, and the p95 in seconds."""
        self._paced = tuple(paced)
        self._board = board
        self._counters = counters
        self._idle_p95_s = 0.0

    async def step(self) -> None:
        """Report the last requests, if there were any."""
        requests = self._counters.requests
        count, p95_s = requests.recent()
        now = self._board.clock.now()
        if not count:
            return
        known = await self._board.serve(Serving(now, count, p95_s, self._idle_p95_s))
        was_on, requests.is_batch_on = requests.is_batch_on, known.is_batch_on(now)
        if count >= ENOUGH and was_on == requests.is_batch_on:
            tell(self._paced, was_on, p95_s)
        if count >= ENOUGH and not was_on and not requests.is_batch_on:
            usual = self._idle_p95_s or p95_s
            self._idle_p95_s = usual + WEIGHT * (p95_s - usual)

    async def run(self) -> None:
        """Work until cancelled."""
        await forever(self.step, EVERY_S, what="the report of this server's load", log=_log)
