"""Complaints: one is enough to serve a class of answers in real time, until its owner has looked.

The quarantine lies in the control record, which every read sees: once it is acknowledged no process serves what is
stored. What the contract says to do then is done: compute, use another task, or refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from parbake.declare.tasks import ModelTask
from parbake.errors import BadInput
from parbake.fence.control import Quarantine
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.worker.schedule import Notifier
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.serving.bound import BoundTask
from parbake.values.redaction import visible

TIGHTENED = 0.5
"""The SLA that is proposed is this share of the old one, or of the answer's age where that is less."""
LEAST_SLA_S = 1.0
"""No shorter one is proposed: an answer that was wrong when it was made is not too old."""
LONGEST_REASON = 500


class Quarantines:
    """Puts tasks in quarantine and takes them out."""

    def __init__(self, store: Store, clock: Clock, notifier: Notifier, recovery: Recovery) -> None:
        """Owners hear of it, and the journal of ``recovery`` keeps it."""
        self._recovery = recovery
        self._store = store
        self._clock = clock
        self._notifier = notifier

    async def complain(self, bound: BoundTask, reason: str, *, age_s: float | None = None) -> Quarantine:
        """Put a task in quarantine: nothing stored of it is served from now on. It is durable when this returns.

        Args:
            bound: The task.
            reason: What was wrong, for its owner.
            age_s: How old the answer was that led to the complaint, in seconds, if that is known.

        Raises:
            BadInput: The task is a model.
        """
        if isinstance(bound.task, ModelTask):
            raise BadInput(
                f"{bound.name} is a model: what is built with it needs it; roll it back instead", field="task"
            )
        said = visible(reason, LONGEST_REASON) or "a complaint"
        sla_s = bound.contract.freshness_sla_s
        shorter = max(LEAST_SLA_S, TIGHTENED * min(sla_s, sla_s if age_s is None else age_s))
        now = self._clock.now()
        control = await self._store.quarantine(bound.name, Quarantine(now, said, shorter))
        entry = control.quarantined[bound.name]
        try:
            await self._recovery.note_quarantine(bound.name, entry)
        finally:  # it holds by now, so the owner hears of it whatever becomes of the journal
            if (entry.at, entry.reason) == (now, said):  # the first complaint
                message = (
                    f"{bound.name} is served in real time until it is cleared: {said}; "
                    f"consider an SLA of {shorter:.0f} s"
                )
                await self._notifier.send(Alert("quarantined", bound.name, bound.contract.owner, message, now))
        return entry

    async def clear(self, bound: BoundTask) -> None:
        """Serve what is stored of a task from now on. What was stored before stays dead: it was complained of.

        Raises :class:`parbake.errors.UnknownResource` where the task is not in quarantine.
        """
        if bound.name in await self.all():  # the journal first: where it cannot be written, clearing can be tried again
            await self._recovery.note_quarantine(bound.name, None)
        await self._store.quarantine(bound.name, None)

    async def all(self) -> Mapping[str, Quarantine]:
        """What is in quarantine, by task."""
        known = (await self._recovery.recalled()).quarantined
        return {name: entry for name, entry in known.items() if not entry.cleared}
