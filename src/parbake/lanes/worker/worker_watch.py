"""How a server watches the workers. Without one nothing is refreshed ahead or on events, and nobody would notice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from parbake.lanes.worker.board import SILENT_S, Pulse, WorkerBoard
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.named_values import NamedValue
from parbake.ports.store import Store
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
    """Watches the workers of a store, for readiness, for metrics, and to alert the owners of tasks."""

    def __init__(
        self,
        board: WorkerBoard,
        setting: WorkerSetting,
        counters: Counters,
        *,
        store: Store,
        clock: Clock,
        notifier: Notifier,
        owners: Iterable[str],
    ) -> None:
        """``owners`` get one alert when the workers fall silent, and one when a worker reports again."""
        self.setting = setting
        self._board = board
        self._counters = counters
        self._clock = clock
        self._notifier = notifier
        self._owners = sorted(set(owners))
        self._told = NamedValue(store, "alert/worker", bool, empty=False)
        self._pulse = Pulse()

    async def look(self) -> WorkerState:
        """Read the workers' state from the store, and set the metrics."""
        known = await self._board.read()
        if self._counters.store_full:  # a worker's reports find no room, either
            self._pulse = Pulse()
        self._pulse.observe(known.beats)
        limit_s = SILENT_S if self._pulse.has_moved else _FIRST_LOOK_S
        state = WorkerState(bool(known.first_at), len(self._pulse.heard()), self._pulse.silence_s(), limit_s)
        self._counters.workers = state.heard
        self._counters.worker_silence_s = state.silence_s
        return state

    async def tell(self, state: WorkerState) -> None:
        """Alert the owners if the state has changed; one of several servers sends the alert."""
        is_silent = state.is_silent
        is_news = is_silent or state.heard  # the state is unknown until a worker was heard, or missed for long enough
        if not is_news or await self._told.read() == is_silent or not await self._take_turn(is_silent=is_silent):
            return
        kind = "worker_silent" if is_silent else "worker_back"
        message = (
            f"{state.trouble}: nothing is refreshed ahead or on events" if is_silent else "a worker has reported again"
        )
        for owner in self._owners:
            await self._notifier.send(Alert(kind, "", owner, message, self._clock.now()))

    async def _take_turn(self, *, is_silent: bool) -> bool:
        """Record that this server sends the alert; ``False`` if another server has recorded it first."""
        changed = False

        def noted(before: bool) -> bool:  # noqa: FBT001 - the recorded value
            nonlocal changed
            changed = before != is_silent
            return is_silent

        await self._told.change(noted)
        return changed
