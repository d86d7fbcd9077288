"""When batch runs are due, and alerts to the owner of an artifact that is past its SLA."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec

from parbake.errors import GateFailed, RunInProgress, RunLost
from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.lanes.batch.lane import BatchLane, Run
from parbake.lanes.batch.off_peak import OffPeak, RunSlot
from parbake.lanes.batch.runs import PROMOTED
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.observers import Progress
from parbake.ports.store import Store
from parbake.process.loops import forever
from parbake.process.signals import is_ours
from parbake.protocol.control import Control
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.values.duration import humanize
from parbake.values.redaction import one_line
from parbake.values.statistics import percentile

TICK_S = 1.0
RETRY_AFTER_S = 30.0
LOOK_AGAIN_S = 5.0
_FAILURES = ("run_failed", "gate_failed")
_log = logging.getLogger("parbake.schedule")


class Schedule:
    """Runs what is due, inputs first."""

    def __init__(
        self, batch: BatchLane, bound_tasks: Iterable[BoundTask], clock: Clock, notifier: Notifier, off_peak: OffPeak
    ) -> None:
        """Only plans with a schedule take part."""
        self._batch = batch
        self._bound_tasks = [p for p in bound_tasks if p.task.schedule and not p.off]
        self._clock = clock
        self._notifier = notifier
        self._off_peak = off_peak
        self._not_before: dict[str, float] = {}
        self._took_s: dict[str, float] = {}
        self._idle: set[str] = set()
        self._since = clock.now()
        self._lost: dict[str, int] = {}

    def next_run(self, control: Control, bound: BoundTask) -> RunSlot:
        """Tell when a plan's next run starts, and for which reason.

        Changed code causes a run only if the current generation was promoted before this process began. Two programs
        with different code that share a store would otherwise rebuild each other's generations without end.
        """
        pointer = control.pointers.get(bound.ref)
        if pointer is not None and self._lost.get(bound.ref) == pointer.generation:
            return RunSlot(self._clock.now(), "the current generation cannot be read", is_urgent=True)
        if (
            bound.task.on_code_change == "recompute"
            and pointer is not None
            and pointer.promoted_at <= self._since
            and is_of_other_code(bound, control)
        ):
            return RunSlot(self._since, "the code has changed", is_urgent=True)
        return self._off_peak.slot(bound, control.pointers.get(bound.ref), self._took_s.get(bound.ref, 0.0))

    def due(self, control: Control) -> list[tuple[BoundTask, RunSlot]]:
        """Tasks whose run is due, without those that the run of a due model includes.

        They stand in the order of declaration, except that models without a generation that can be read come first:
        requests cannot compute what such a model is needed for.
        """
        now = self._clock.now()
        waiting = [p for p in self._bound_tasks if p.ref not in self._idle and self._not_before.get(p.ref, 0) <= now]
        slots = [(p, self.next_run(control, p)) for p in waiting]
        late = [(p, slot) for p, slot in slots if slot.at <= now]
        covered = {c.ref for p, _ in late if isinstance(p.task, ModelTask) for c in self._batch.chain(p)[1:]}
        runs = [(p, slot) for p, slot in late if p.ref not in covered]
        return sorted(runs, key=lambda one: not self._is_missing(one[0], control))

    async def look(self) -> Control:
        """Learn how long runs take, when traffic is low, and which plans compute nothing; return the control record."""
        await self._off_peak.look()
        control = await self._batch.control()
        self._idle = {bound.ref for bound in self._bound_tasks if await self._batch.is_idle(bound)}
        for bound in self._bound_tasks:
            if isinstance(bound.task, ModelTask):
                self._lost[bound.ref] = await self._batch.lost(bound, control.pointer(bound.ref))
            if bound.ref not in self._took_s:
                ended = (await self._batch.runs.state(bound.ref)).ended
                took = [run.ended_at - run.started_at for run in ended if run.outcome == PROMOTED]
                self._took_s[bound.ref] = percentile(took, 95) or 0.0
        return control

    async def run_due(self, *, progress: Progress | None = None, only_missing: bool = False) -> list[Run]:
        """Run everything that is due; a failed run keeps the previous generation and alerts the owner.

        All models that are missing are trained before any batch: nothing that needs one can be computed until then.
        """
        runs: list[Run] = []
        control = await self.look()
        due = [(bound, slot) for bound, slot in self.due(control) if not (only_missing and control.pointer(bound.ref))]
        async with contextlib.AsyncExitStack() as stack:
            begun: dict[str, tuple[BoundTask, RunSlot, AsyncIterator[Run]]] = {}
            for bound, slot in due:
                made = self._batch.materialize(bound, trigger="schedule", slot=slot, progress=progress)
                begun[bound.ref] = bound, slot, await stack.enter_async_context(contextlib.aclosing(made))
            missing = [bound.ref for bound, _ in due if self._is_missing(bound, control)]
            for ref, most in (*((ref, 1) for ref in missing), *((bound.ref, None) for bound, _ in due)):
                try:
                    if ref in begun and not await self._go_on(*begun[ref], runs, most):
                        del begun[ref]
                except RunLost as error:  # the tasks that are due now are others than before
                    _log.warning("%s: %s", begun[ref][0].name, error)
                    break
        return runs

    async def _go_on(
        self, bound: BoundTask, slot: RunSlot, made: AsyncIterator[Run], runs: list[Run], most: int | None
    ) -> bool:
        """Make the next runs of a task, ``most`` of them or all; return whether none failed. Raises ``RunLost``."""
        try:
            async for run in made:
                runs.append(run)
                _log.info("%s: run promoted (%s)", " and ".join(one.task for one in run.built), slot.why)
                if most is not None:
                    return True
            for kind in _FAILURES:
                self._notifier.over(kind, bound.name, bound.contract.owner)
            self._took_s.pop(bound.ref, None)
        except RunInProgress as error:  # another worker holds the run, or a dead one whose lease has not ended
            self._not_before[bound.ref] = self._clock.now() + LOOK_AGAIN_S
            _log.info("%s", error)
            return False
        except BaseException as error:  # whatever failed, the other tasks go on
            if is_ours(error) or isinstance(error, RunLost):
                raise
            await self._failed(bound, error)
            return False
        return True

    def _is_missing(self, bound: BoundTask, control: Control) -> bool:
        """Whether a task is a model without a generation that can be read."""
        return isinstance(bound.task, ModelTask) and control.pointer(bound.ref) in (0, self._lost.get(bound.ref))

    async def _failed(self, bound: BoundTask, error: BaseException) -> None:
        self._not_before[bound.ref] = self._clock.now() + RETRY_AFTER_S
        why = one_line(error)
        _log.error("%s: run failed: %s", bound.name, why)
        _log.debug("%s: run failed", bound.name, exc_info=error)
        kind = "gate_failed" if isinstance(error, GateFailed) else "run_failed"
        await self._notifier.send(Alert(kind, bound.name, bound.contract.owner, why, self._clock.now()))

    async def run(self, promoted: Callable[[Run], Awaitable[None]]) -> None:
        """Run what is due until cancelled; ``promoted`` is called with each promoted run."""

        async def step() -> None:
            for run in await self.run_due():
                await promoted(run)

        await forever(step, TICK_S, what="the look for due runs", log=_log)


class SlaWatch:
    """Tells a contract's owner when its artifact is past the SLA, once, and when it has recovered.

    The state is in the store, so that several watching processes send each alert once.
    """

    def __init__(self, store: Store, bound_tasks: Iterable[BoundTask], clock: Clock, notifier: Notifier) -> None:
        """Watch the batch tasks. A task's age is the age of its current generation."""
        self._store = store
        self._bound_tasks = [p for p in bound_tasks if p.task.schedule and not p.off]
        self._clock = clock
        self._notifier = notifier

    async def check(self) -> None:
        """Compare each task's age with its SLA and send what changed."""
        _, control = await self._store.stamp()
        for bound in self._bound_tasks:
            pointer = control.pointers.get(bound.ref)
            if pointer is None or bound.chooses_keys:
                continue  # a task of which nothing may be computed ahead is never late
            age = self._clock.now() - pointer.started_at
            await self._note(bound, age, is_stale=age > bound.contract.freshness_sla_s)

    async def _note(self, bound: BoundTask, age_s: float, *, is_stale: bool) -> None:
        name = f"alert/{bound.ref}"
        kept = await self._store.get(name)
        if (kept is not None and kept != b"") == is_stale:
            return
        now = self._clock.now()
        if not await self._store.swap(name, kept, msgspec.json.encode(now) if is_stale else b""):
            return
        sla = bound.contract.freshness_sla
        said = f"is {humanize(age_s)} old, past its SLA of {sla}" if is_stale else f"is within its SLA of {sla} again"
        kind = "stale" if is_stale else "recovered"
        await self._notifier.send(Alert(kind, bound.name, bound.contract.owner, f"{bound.name} {said}", now))

    async def run(self) -> None:
        """Check every second until cancelled."""
        await forever(self.check, TICK_S, what="the look for late tasks", log=_log)
