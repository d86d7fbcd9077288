"""Complaints: a single one stops the serving of a task's stored answers until its owner clears it.

The quarantine is in the control record, which every read checks. Once it is acknowledged, no process serves a stored
value of the task. The contract's fallback applies instead: compute, use another task, or refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from parbake.errors import BadInput, StoreError
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.protocol.control import Quarantine
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.values.redaction import visible

_TIGHTENED = 0.5
"""The proposed SLA is this share of the present one, or of the answer's age if that is less."""
_LEAST_SLA_S = 1.0
"""The shortest SLA that is proposed, in seconds. An answer that was wrong from the start is not a matter of age."""
LONGEST_REASON = 500


class Quarantines:
    """Puts tasks in quarantine and takes them out."""

    def __init__(self, store: Store, clock: Clock, notifier: Notifier, recovery: Recovery) -> None:
        """``notifier`` alerts the owners; ``recovery`` writes each quarantine to its journal."""
        self._recovery = recovery
        self._store = store
        self._clock = clock
        self._notifier = notifier

    async def complain(self, bound: BoundTask, reason: str, *, age_s: float | None = None) -> Quarantine:
        """Put a task in quarantine, so that its stored values are not served any more; durable when this returns.

        Args:
            bound: The task.
            reason: What was wrong, for the task's owner.
            age_s: The age of the answer that led to the complaint, in seconds, if known.

        Raises:
            BadInput: The task is a model.
            StoreError: The store or the journal cannot be written; the message says whether the quarantine is in force.
        """
        if isinstance(bound.task, ModelTask):
            raise BadInput(
                f"{bound.name} is a model, and other tasks are built with it; roll it back instead", field="task"
            )
        said = visible(reason, LONGEST_REASON) or "a complaint"
        sla_s = bound.contract.freshness_sla_s
        shorter = max(_LEAST_SLA_S, _TIGHTENED * min(sla_s, sla_s if age_s is None else age_s))
        now = self._clock.now()
        control = await self._store.quarantine(bound.name, Quarantine(now, said, shorter))
        entry = control.quarantined[bound.name]
        try:
            await self._recovery.note_quarantine(bound.name, entry)
        except StoreError as error:
            why = f"{bound.name} is in quarantine, but would not be any more after a loss of the store: {error}"
            raise StoreError(why, field="journal") from error
        finally:  # the quarantine is in force, so the owner is alerted even if the journal cannot be written
            if (entry.at, entry.reason) == (now, said):  # the first complaint
                message = (
                    f"{bound.name} is served in real time until it is cleared: {said}; "
                    f"consider an SLA of {shorter:.0f} s"
                )
                await self._notifier.send(Alert("quarantined", bound.name, bound.contract.owner, message, now))
        return entry

    async def clear(self, bound: BoundTask) -> None:
        """End a quarantine: values stored from now on are served. Older ones stay dead; the complaint covers them.

        Raises :class:`parbake.errors.UnknownResource` where the task is not in quarantine.
        """
        if bound.name in await self.all():  # the journal first: if it cannot be written, clearing can be tried again
            await self._recovery.note_quarantine(bound.name, None)
        await self._store.quarantine(bound.name, None)

    async def all(self) -> Mapping[str, Quarantine]:
        """The tasks in quarantine, with the entry of each."""
        known = (await self._recovery.recalled()).quarantined
        return {name: entry for name, entry in known.items() if not entry.cleared}
