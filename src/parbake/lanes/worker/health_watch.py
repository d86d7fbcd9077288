"""How a server watches what it shares with others: it logs each change once, counts it, and alerts the owners."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from parbake.lanes.worker.conditions import UNUSABLE, Condition, Conditions, Sighting
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import KINDS, Alert
from parbake.ports.clock import Clock
from parbake.process.counters import Counters
from parbake.process.loops import forever
from parbake.protocol.control import Control, has_lived_through
from parbake.protocol.record import Stamp
from parbake.serving.bound import BoundTask

_LOOK_S = 1.0
_ENDINGS = {kind.ends: name for name, kind in KINDS.items() if kind.ends}
_BY_OTHERS = {"worker_silent", "quarantined"}
"""Conditions of which the owners are told by another rule: later, or by who began them."""
_USUAL_AT_START = {"not_built", "worker_silent"}
"""Conditions that a server always finds if it starts before its worker. They are logged, but not as warnings."""
_WORKER = "worker_silent/worker"
_log = logging.getLogger("parbake.health")


class HealthWatch:
    """Looks at the conditions each second. Every server does, since a lost store cannot say who has sent an alert."""

    def __init__(
        self,
        conditions: Conditions,
        bound_tasks: Mapping[str, BoundTask],
        *,
        clock: Clock,
        counters: Counters,
        notifier: Notifier,
    ) -> None:
        """Alert the owners of ``bound_tasks``, which are given by name."""
        self._conditions = conditions
        self._bound_tasks = bound_tasks
        self._clock = clock
        self._counters = counters
        self._notifier = notifier
        self._control: Control | None = None
        self._known: dict[tuple[str, str], Condition] = {}
        self._silent_workers: Condition | None = None
        self._outage: Condition | None = None
        self.seen: Sighting | None = None
        """The last look; ``None`` in a process that does not watch."""

    async def run(self) -> None:
        """Check each second until cancelled."""
        await forever(self.check, _LOOK_S, what="the look at store, sources and workers", log=_log)

    async def check(self) -> None:
        """Look once, and tell what has changed."""
        is_start = self.seen is None
        self.seen = await self._conditions.look()
        found = {condition.name: condition for condition in self.seen.conditions}
        if self.seen.control is None:  # nobody can say whether what the store told of is over
            found = {name: was for name, was in self._known.items() if was.kind not in UNUSABLE} | found
        self._counters.degraded = tuple(found)
        begun = [condition for name, condition in found.items() if name not in self._known]
        ended = [condition for name, condition in self._known.items() if name not in found]
        self._known = found
        for condition in begun:
            is_usual = is_start and condition.kind in _USUAL_AT_START
            _log.log(logging.INFO if is_usual else logging.WARNING, "degraded: %s", condition.message)
            await self._alert(condition.kind, condition, condition.message)
        for condition in ended:
            _log.warning("resolved: %s of %s", condition.kind, condition.about)
            if condition.kind == "store_silent":
                self._outage = condition  # it is over when the store is trusted again, and it is known what was kept
            else:
                await self._alert(_ENDINGS.get(condition.kind, ""), condition, f"resolved: {condition.message}")
        await self._look_for_loss(self.seen.control)
        await self._look_for_workers(self.seen)

    async def _alert(self, kind: str, condition: Condition, message: str) -> None:
        if kind in KINDS and condition.kind not in _BY_OTHERS:
            await self._send(kind, condition.tasks, message, f"{condition.kind}/{condition.about}")

    async def _look_for_workers(self, seen: Sighting) -> None:
        """Alert if workers that once reported fall silent, and once a worker reports again.

        A server that starts before its worker tells of it at once, and alerts only if no worker follows.
        """
        if seen.workers is None:
            return
        silent = next((one for one in seen.conditions if one.kind == "worker_silent"), None)
        if seen.workers.is_silent and silent is not None and self._silent_workers is None:
            self._silent_workers = silent
            message = f"{silent.message}: nothing is refreshed ahead or on events"
            await self._send("worker_silent", silent.tasks, message, _WORKER)
        elif seen.workers.heard and self._silent_workers is not None:
            tasks, self._silent_workers = self._silent_workers.tasks, None
            await self._send("worker_back", tasks, "a worker has reported again", _WORKER)

    async def _look_for_loss(self, control: Control | None) -> None:
        """Alert once a store that was away, or whose values were discarded, is trusted again."""
        if control is None or not control.is_trusted:
            return
        before, self._control = self._control, control
        outage, self._outage = self._outage, None
        lost = "" if before is None else _what_is_lost(before, control)
        if lost:
            _log.error(lost)
        if outage is not None:
            await self._alert("store_back", outage, f"resolved: {outage.message}; {lost or 'it has kept its values'}")
        elif lost:
            await self._send("store_lost", self._bound_tasks, lost, f"store_lost/{control.incarnation}")

    async def _send(self, kind: str, tasks: Iterable[str], message: str, about: str) -> None:
        """Send one alert to each owner of the tasks."""
        for owner in sorted({self._bound_tasks[task].contract.owner for task in tasks}):
            await self._notifier.send(Alert(kind, "", owner, message, self._clock.now(), f"{about}/{owner}"))


def _what_is_lost(before: Control, control: Control) -> str:
    """What of a store's values was discarded since an earlier look, and why; empty if they were kept.

    Args:
        before: The control record that was seen before.
        control: The present one.
    """
    if before.incarnation == control.incarnation:
        return ""
    again = "they are computed again, on request until the batches have run"
    if not has_lived_through(control, Stamp(before.incarnation, 0).pack()):
        return f"the store was emptied, replaced or set back to an older copy, so its values are gone: {again}"
    if control.floor >= Stamp(control.incarnation, 0).pack():
        return (
            "the store was restarted or replaced, and nothing proves that it has kept its last changes, so its values "
            f"were discarded: {again}"
        )
    return ""
