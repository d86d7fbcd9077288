"""How a server watches the workers. Without one nothing is refreshed ahead or on events, and nobody would notice."""

from __future__ import annotations

from typing import Literal

import msgspec

from parbake.lanes.worker.board import SILENT_S, Pulse, WorkerBoard
from parbake.process.counters import Counters
from parbake.values.duration import humanize

WorkerSetting = Literal["expected", "none"]
_FIRST_LOOK_S = 5.0
"""The silence, in seconds, after which a server that has just started shows a worker as silent."""


class WorkerState(msgspec.Struct, frozen=True):
    """The state of a store's workers, as this process has seen them.

    ``has_reported`` says whether any worker ever reported, ``heard`` how many this process hears now. ``silence_s`` is
    the time for which it has heard none, at most since it began to look, and ``limit_s`` the longest allowed silence.
    """

    has_reported: bool
    heard: int
    silence_s: float
    limit_s: float = SILENT_S

    @property
    def trouble(self) -> str:
        """What is wrong, as one sentence; empty if nothing is."""
        if not self.has_reported:
            return "no worker has reported"
        if self.silence_s > self.limit_s:
            return f"no worker has reported for {humanize(self.silence_s)}"
        return ""

    @property
    def is_silent(self) -> bool:
        """Whether workers that once reported have been silent long enough for an alert."""
        return self.has_reported and self.silence_s > SILENT_S


class WorkerWatch:
    """Watches the workers of a store, for readiness, metrics and alerts."""

    def __init__(self, board: WorkerBoard, setting: WorkerSetting, counters: Counters) -> None:
        """Look at nothing yet."""
        self.setting = setting
        self._board = board
        self._counters = counters
        self._pulse = Pulse()

    async def look(self) -> WorkerState:
        """Read the workers' state from the store, and set the metrics."""
        known = await self._board.read()
        if self._counters.store_full:  # a worker's reports find no room, either
            self.forget()
        self._pulse.observe(known.beats)
        limit_s = SILENT_S if self._pulse.has_moved else _FIRST_LOOK_S
        state = WorkerState(bool(known.first_at), len(self._pulse.heard()), self._pulse.silence_s(), limit_s)
        self._counters.workers = state.heard
        self._counters.worker_silence_s = state.silence_s
        return state

    def forget(self) -> None:
        """Begin to look anew: while the store takes no reports, silence says nothing of the workers."""
        self._pulse = Pulse()
