"""When batch runs are due, and alerts to the owner of an artifact that is past its SLA."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from parbake.errors import GateFailed, ParbakeError, RunInProgress, RunLost
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
_HEAD_START_S = 10.0
"""Seconds that missing models have the machine for themselves, before other tasks run as well."""
_FAILURES = ("run_failed", "gate_failed")
_Done = Callable[[Run], Awaitable[None] | None]
_log = logging.getLogger("parbake.schedule")


@dataclass(frozen=True)
class _Making:
    """A task whose runs are made, and the references of all tasks that they include."""

    bound: BoundTask
    slot: RunSlot
    runs: AsyncGenerator[Run]
    covers: set[str]


def _together(makings: Iterable[_Making]) -> list[list[_Making]]:
    """Group tasks: those that include a same one are together."""
    groups: list[list[_Making]] = []
    for making in makings:
        near = [group for group in groups if any(one.covers & making.covers for one in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(one for group in near for one in group), making])
    return groups


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
        self._busy: set[str] = set()
        self._in_turn = asyncio.Lock()

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

    async def run_due(
        self, *, progress: Progress | None = None, only_missing: bool = False, leave: Collection[str] = ()
    ) -> list[Run]:
        """Run everything that is due; a failed run keeps the previous generation and alerts the owner.

        Args:
            progress: Called with a task's name, the rows done, and the rows in all.
            only_missing: Leave out what has a generation.
            leave: The names of tasks to leave out.
        """
        runs: list[Run] = []
        async with asyncio.TaskGroup() as group:
            await self._begin(group, runs.append, progress=progress, only_missing=only_missing, leave=leave)
        return runs

    async def _begin(
        self,
        group: asyncio.TaskGroup,
        done: _Done,
        *,
        progress: Progress | None = None,
        only_missing: bool = False,
        leave: Collection[str] = (),
    ) -> None:
        """Begin what is due and does not run yet.

        Missing models are trained at once, since nothing that needs one can be computed. Those that share a reader are
        all trained before it is computed. No model waits for another one, which may take long or hang. The other tasks
        run one after the other, and leave the models a head start.

        Args:
            group: What runs the tasks.
            done: Called with each promoted run.
            progress: Called with a task's name, the rows done, and the rows in all.
            only_missing: Leave out what has a generation.
            leave: The names of tasks to leave out.
        """
        control = await self.look()
        due = [
            (bound, slot)
            for bound, slot in self.due(control)
            if bound.task.name not in leave and not (only_missing and control.pointer(bound.ref))
        ]
        made: dict[str, _Making] = {}
        for bound, slot in due:
            covers = {one.ref for one in self._batch.chain(bound)}
            if covers.isdisjoint(self._busy):
                runs = self._batch.materialize(bound, trigger="schedule", slot=slot, progress=progress)
                made[bound.ref] = _Making(bound, slot, runs, covers)
        missing = [one for one in made.values() if self._is_missing(one.bound, control)]
        models = [self._start(group, self._make(some, done, (1, None)), some) for some in _together(missing)]
        if others := [one for one in made.values() if one not in missing]:
            self._start(group, self._make_in_turn(others, done, models), others)

    def _start(
        self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], makings: Sequence[_Making]
    ) -> asyncio.Task[None]:
        """Start to make tasks, which are busy until that has ended, in whatever way."""
        covers = {ref for making in makings for ref in making.covers}
        self._busy |= covers
        started = group.create_task(work)
        started.add_done_callback(lambda _: self._busy.difference_update(covers))
        return started

    async def _make_in_turn(
        self, makings: Sequence[_Making], done: _Done, models: Sequence[asyncio.Task[None]]
    ) -> None:
        if models:
            await asyncio.wait(models, timeout=_HEAD_START_S)
        async with self._in_turn:
            await self._make(makings, done, (None,))

    async def _make(self, makings: Sequence[_Making], done: _Done, rounds: Sequence[int | None]) -> None:
        """Make the runs of tasks one after the other, in each round so many of each task, or all."""
        failed: set[str] = set()
        try:
            for most in rounds:
                for making in makings:
                    if making.bound.ref not in failed and not await self._go_on(making, done, most):
                        failed.add(making.bound.ref)
        except RunLost as error:  # the tasks that are due now are others than before
            _log.warning("%s", one_line(error))
        finally:
            for making in makings:
                await making.runs.aclose()

    async def _go_on(self, making: _Making, done: _Done, most: int | None) -> bool:
        """Make the next runs of a task, ``most`` of them or all; return whether none failed. Raises ``RunLost``."""
        bound = making.bound
        try:
            async for run in making.runs:
                _log.info("%s: run promoted (%s)", " and ".join(one.task for one in run.built), making.slot.why)
                if (told := done(run)) is not None:
                    await told
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

        async def done(run: Run) -> None:
            try:
                await promoted(run)
            except ParbakeError as error:  # the run is promoted whatever follows
                _log.error("after the run of %s: %s", run.built[-1].task, one_line(error))

        async with asyncio.TaskGroup() as group:
            await forever(lambda: self._begin(group, done), TICK_S, what="the look for due runs", log=_log)


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
