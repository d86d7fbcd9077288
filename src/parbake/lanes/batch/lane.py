"""The batch lane: one run computes a chain of tasks ahead, checks it, and promotes it all at once.

A model and the tasks that are built with it form one chain. Moving the model's pointer alone would make everything that
was built with the earlier model stale. Their generations are therefore promoted together, by one compare-and-swap.

A run is made of partitions. Each is durable once it is done, so that a run that was killed is continued by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.errors import (
    BadInput,
    GateFailed,
    NotMaterialized,
    ParbakeError,
    PromotionConflict,
    RunInProgress,
    RunLost,
    StoreError,
    StoreFull,
)
from parbake.lanes.batch import gating as quality
from parbake.lanes.batch.build import Builder, Finished, KeysChanged, Pause, filling, spread, warn_of_nothing
from parbake.lanes.batch.choosing import Pick, RefreshPolicy
from parbake.lanes.batch.fingerprint import code_of
from parbake.lanes.batch.keys import CHUNKS, SINGLE, KeyList
from parbake.lanes.batch.load import LoadBoard
from parbake.lanes.batch.off_peak import RunSlot
from parbake.lanes.batch.open_run import OpenRun, RunOpening
from parbake.lanes.batch.partition import PartitionWorker, key_bytes
from parbake.lanes.batch.rows import RowParts, RowsOf, RowsPending
from parbake.lanes.batch.runs import PROMOTED, Ended, Runs
from parbake.lanes.batch.throttle import Pacer
from parbake.ports.clock import Clock
from parbake.ports.executors import Executor
from parbake.ports.observers import Progress
from parbake.ports.store import Store
from parbake.process.system_clock import monotonic
from parbake.protocol.cause import FOR_GOOD
from parbake.protocol.check import killed_by
from parbake.protocol.control import Control, Pointer, Promotion
from parbake.protocol.record import Stamp
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computer
from parbake.serving.model_reads import lost_model
from parbake.tasks.gates import Profile
from parbake.tasks.task_types import Artifact, ModelTask
from parbake.values.redaction import one_line

AT_ONCE = RunSlot(0.0, "")
_NO_POLICIES: Mapping[str, RefreshPolicy] = {}
_LOOK_S = 0.5
"""A run looks this often, in seconds, whether the store still has it."""
_SCHEDULE = "schedule"
"""The trigger of runs that stop while they wait for a provider, because the schedule has other tasks to run."""


class BuiltTask(msgspec.Struct, frozen=True):
    """One task's part of a run. Times in seconds; ``kept_partitions`` were left by an interrupted process.

    ``pick`` holds the keys that a plugin chose.
    """

    task: str
    generation: int
    rows: int
    absent: int
    took_s: float
    size_bytes: int = 0
    partitions: int = 0
    kept_partitions: int = 0
    cpu_s: float = 0.0
    pick: Pick | None = None


class Run(msgspec.Struct, frozen=True):
    """The report of a promoted run."""

    trigger: str
    started_at: float
    took_s: float
    stamp: Stamp
    built: tuple[BuiltTask, ...]
    id: str = ""
    why: str = ""
    is_continued: bool = False


def joined(runs: Sequence[Run]) -> Run:
    """Report on runs that were made one after the other as if they were one."""
    first = runs[0]
    return msgspec.structs.replace(
        first,
        took_s=sum(run.took_s for run in runs),
        built=tuple(built for run in runs for built in run.built),
        is_continued=any(run.is_continued for run in runs),
    )


def _silent(_task: str, _done: int, _total: int) -> None:
    """Ignore the progress."""


class BatchLane:
    """Computes the values of tasks ahead of requests, and promotes them as generations."""

    def __init__(
        self,
        store: Store,
        computer: Computer,
        bound_tasks: Iterable[BoundTask],
        clock: Clock,
        *,
        executor: Executor | None = None,
        breathe: Pacer | None = None,
        board: LoadBoard | None = None,
        policies: Mapping[str, RefreshPolicy] = _NO_POLICIES,
    ) -> None:
        """``bound_tasks`` come in the order of declaration, so that inputs stand before the tasks that read them.

        Without an ``executor`` partitions are computed in this process. ``breathe`` is awaited between pieces of work.
        The ``board`` shows servers that a run is under way. ``policies`` choose the keys of some tasks, by name.
        """
        self._store = store
        self._computer = computer
        self._bound_tasks = list(bound_tasks)
        self._clock = clock
        self.runs = Runs(store)
        self._policies = policies
        self._opening = RunOpening(store, self.runs, clock)
        self.worker = PartitionWorker(store, computer)
        self._board = board
        self._breathe = breathe
        self._builder = Builder(self.worker, self.runs, executor, breathe)
        self._rows = RowsOf(RowParts(store, computer, clock, breathe))

    def chain(self, bound: BoundTask) -> list[BoundTask]:
        """The tasks that are promoted together with ``bound``: with a model all scheduled tasks that depend on it."""
        chain = [bound]
        for other in self._bound_tasks:
            models = [p.task for p in chain if isinstance(p.task, ModelTask)]
            if (
                other not in chain
                and other.task.schedule
                and not other.off
                and any(m in other.task.inputs for m in models)
            ):
                chain.append(other)
        return chain

    async def lost(self, bound: BoundTask, current: int = 0) -> int:
        """The generation of a model that a reader has found unreadable, 0 for none.

        A report of the ``current`` generation that is not true any more, because a failover took the loss back, is
        withdrawn.
        """
        place = lost_model(bound.ref)
        told = await self._store.get(place)
        generation = int(told or 0)
        if generation and generation == current and await self._is_readable(bound, generation):
            await self._store.swap(place, told, b"0")
            return 0
        return generation

    async def _is_readable(self, model: BoundTask, generation: int) -> bool:
        lookup = await self._store.read(model.ref, model.keys.encode(""), generation=generation)
        record = next((r for r in lookup.records if r.meta.generation == generation), None)
        if record is None:
            return False
        killed = killed_by(record, lookup.control, {}, now=self._clock.now())
        return killed is None or killed.cause not in FOR_GOOD

    async def control(self) -> Control:
        """The control record as it is now."""
        return (await self._store.stamp())[1]

    async def materialize(
        self,
        bound: BoundTask,
        *,
        keys: Sequence[Any] | None = None,
        trigger: str = "manual",
        slot: RunSlot = AT_ONCE,
        progress: Progress | None = None,
        anew: bool = False,
    ) -> AsyncGenerator[Run, None]:
        """Run a task and the tasks that are promoted with it, or continue an interrupted run.

        The tasks of a model that has no generation, or one that cannot be read, run one after the other, the model
        first. Requests can then compute values with the model while the batches of its readers still run. If that is
        interrupted behind the model, the next run begins with the task that was interrupted.

        Args:
            bound: The task.
            keys: The keys to compute; by default those that the task lists.
            trigger: What started the run, for the ledger.
            slot: Why the run starts now, for the report.
            progress: Called with the task's name, the rows done, and the rows in all.
            anew: Whether to begin a new run even if an interrupted one could be continued.

        Yields:
            Each run, once it is promoted.

        Raises:
            GateFailed: A gate objects; the previous generation stays current.
            RunInProgress: Another process works on a run of the task, or a run of the schedule waits for a provider.
            RunLost: The store has lost rows of the run; the next run begins again.
        """
        chain = self.chain(bound)
        if trigger == _SCHEDULE:
            await self._rows.refuse_early(chain)
        if keys is not None and isinstance(bound.task, ModelTask):
            raise BadInput(f"{bound.name} is a model: it has no keys to choose from", field="keys")
        if keys is None and await self.is_idle(bound):
            raise BadInput(
                f"{bound.name}: the plan that it follows computes nothing ahead; adopt another, or name the keys",
                field="keys",
            )
        chosen = None if keys is None else [key_bytes(bound, key) for key in keys]
        unfinished = [] if anew else await self._unfinished(chain)
        for part in unfinished or await self._parts(chain):
            yield await self._run(part, chosen, trigger, slot, progress or _silent, anew=anew)

    async def _parts(self, chain: Sequence[BoundTask]) -> list[Sequence[BoundTask]]:
        """Return what is promoted together: the chain, or each task alone if there is no model that can be read.

        After a withdrawal of a model's only generation the chain stays together: the rows of the withdrawn one are
        dead, and the new model must first pass the gates of its readers.
        """
        first = chain[0]
        if not isinstance(first.task, ModelTask):
            return [chain]
        control = await self.control()
        ended = (await self.runs.state(first.ref)).ended
        is_withdrawn = any(run.generation in control.withdrawn for run in ended)
        current = control.pointer(first.ref)
        if is_withdrawn or current not in (0, await self.lost(first, current)):
            return [chain]
        return _one_by_one(chain)

    async def _unfinished(self, chain: Sequence[BoundTask]) -> list[Sequence[BoundTask]]:
        """Return each task that the first run of a model has not reached, alone, if one of their runs can be continued.

        The model was promoted before them, so that a run of the whole chain would train it again, and throw away what
        the interrupted run has computed.
        """
        control = await self.control()
        trained = control.pointer(chain[0].ref)
        if not isinstance(chain[0].task, ModelTask) or trained == await self.lost(chain[0], trained):
            return []
        parts = [part for part in _one_by_one(chain) if control.pointer(part[0].ref) < trained]
        can_continue = [await self._opening.can_continue(part) for part in parts]
        return parts if any(can_continue) else []

    async def _run(
        self,
        chain: Sequence[BoundTask],
        chosen: Sequence[bytes] | None,
        trigger: str,
        slot: RunSlot,
        progress: Progress,
        *,
        anew: bool,
    ) -> Run:
        """Build and promote tasks together, or continue where an interrupted run of them stopped."""
        selection = b"" if chosen is None else blake2b(b"".join(chosen), digest_size=8).digest()
        before = time.perf_counter()
        run = await self._opening.open(chain, selection, anew=anew)
        run.is_urgent, run.waits = slot.is_urgent, trigger != _SCHEDULE
        try:
            await self._refuse_alone(run)
            async with self._held(run), self._board.announced() if self._board else contextlib.nullcontext():
                built = await self._promote(run, chosen, progress)
        except BaseException as error:
            if await self._must_begin_again(run, error):
                for member in chain:
                    await self.runs.release(member.ref, run.holder, "")
                return await self._run(chain, chosen, trigger, slot, progress, anew=True)
            await self._give_up(run, error, trigger, slot.why)
            raise
        await self._note(run, built, PROMOTED, trigger, slot.why)
        await self._store.sweep(())
        took = time.perf_counter() - before
        return Run(trigger, run.started_at, took, run.stamp, built, run.id, slot.why, run.is_continued)

    async def _refuse_alone(self, run: OpenRun) -> None:
        """Raise :class:`RunInProgress` if a model that has got a generation meanwhile would replace it alone."""
        first = run.chain[0]
        current = run.expected[first.ref]
        if len(run.chain) < len(self.chain(first)) and current not in (0, await self.lost(first, current)):
            raise RunInProgress(f"{first.name}: another process has just promoted one", field=first.name)

    async def _must_begin_again(self, run: OpenRun, error: BaseException) -> bool:
        """Whether a run cannot be continued, because its keys have changed or a model that it built is damaged."""
        if isinstance(error, KeysChanged):
            return True
        if not run.is_continued or not isinstance(error, NotMaterialized):
            return False
        with contextlib.suppress(StoreError):
            return any([await self.lost(member) == run.generations[member.ref] for member in run.chain])
        return False

    async def _promote(self, run: OpenRun, chosen: Sequence[bytes] | None, progress: Progress) -> tuple[BuiltTask, ...]:
        """Build each task of a chain from the unpromoted output of the earlier ones, then move all pointers at once."""
        _, control = await self._store.stamp()
        pointers: dict[str, Pointer] = {}
        built: list[BuiltTask] = []
        retain: dict[str, int] = {}
        for member in run.chain:
            earlier = {ref: run.generations[ref] for ref in pointers}
            pick = await self._picked(member) if chosen is None else None
            given = Context(pointers=earlier, lane="batch")
            async with self._keys(member, chosen, pick, given, gives_way=not run.is_urgent) as keys:
                rows = self._rows.of(member)
                computer = await rows.computer_for(run, member, keys, given) if rows else None
                found = await self._builder.build(run, member, keys, earlier, progress, computer=computer)
                if rows is not None:
                    await rows.built(member)
                sample = spread(keys, member, quality.SAMPLE)
            made = _built(member, run.generations[member.ref], found, pick)
            run.profiles[member.ref] = found.profile
            await quality.check(
                member, made.generation, found.profile, control=control, store=self._store, sample=sample
            )
            warn_of_nothing(member, made.generation, found)
            retain[member.ref] = await self._retained(member, made, control)
            pointers[member.ref] = Pointer(
                made.generation, self._clock.now(), run.started_at, made.rows, code=code_of(member.task)
            )
            built.append(made)
        for made in built:
            await self._refuse_missing_rows(made)
        await self._store.promote(Promotion(pointers, dict(run.expected), run.incarnation, retain))
        for member in run.chain:
            if (rows := self._rows.of(member)) is not None:
                await rows.promoted(member)
        return tuple(built)

    async def _refuse_missing_rows(self, made: BuiltTask) -> None:
        """Raise :class:`RunLost` unless the store holds every row that was computed here or elsewhere."""
        expected, found = made.rows + made.absent, await self._store.rows(made.generation)
        if found < expected:
            raise RunLost(
                f"{made.task}: {found} of the {expected} rows of generation {made.generation} are in the store; let "
                "each process that computes open the same store",
                field="store",
            )

    async def _retained(self, bound: BoundTask, made: BuiltTask, control: Control) -> int:
        """How many generations of a task stay once this one is promoted."""
        state, pointer = await self.runs.state(bound.ref), control.pointers.get(bound.ref)
        known = [state.of_generation(generation) for generation in (pointer.history if pointer else ())]
        sizes = [made.size_bytes, *(ended.profile.size_bytes if ended else 0 for ended in known)]
        return bound.task.retention.kept(sizes)

    @contextlib.asynccontextmanager
    async def _keys(
        self,
        bound: BoundTask,
        chosen: Sequence[bytes] | None,
        pick: Pick | None,
        context: Context,
        *,
        gives_way: bool = False,
    ) -> AsyncIterator[KeyList]:
        """The keys of a run: the chosen ones, or those that ``keys=`` lists; a model has one, the empty key."""
        listed = KeyList(_usual_size(bound))
        with contextlib.closing(listed):
            if chosen is not None:
                listed.fill(chosen, lambda raw: raw)
            elif isinstance(bound.task, ModelTask):
                listed.fill([""], msgspec.msgpack.encode)
            elif isinstance(bound.task, Artifact) and bound.task.list_keys is not None:
                async with self._pause(gives_way=gives_way) as pause:
                    lister = filling(bound.task.list_keys, listed, bound, pick.wants if pick else None, pause)
                    await self._computer.invoke(lister, (), await self._computer.begin(context), {})
            else:
                raise BadInput(f"{bound.name} declares no keys=; name them by keys=, or --key", field="keys")
            yield listed

    def _pause(self, *, gives_way: bool) -> AbstractAsyncContextManager[Pause | None]:
        if self._breathe is None or not gives_way:
            return contextlib.nullcontext()
        return self._breathe.listing()

    async def listed(self, bound: BoundTask) -> int | None:
        """How many different keys a task's ``keys=`` lists now; ``None`` for a task without ``keys=``."""
        if not isinstance(bound.task, Artifact) or bound.task.list_keys is None:
            return None
        async with self._keys(bound, None, None, Context(lane="batch")) as keys:
            return keys.total

    async def is_idle(self, bound: BoundTask) -> bool:
        """Whether a plugin that chooses the keys of a task chooses none."""
        policy = self._policies.get(bound.name)
        return policy is not None and await policy.is_idle(bound)

    async def _picked(self, bound: BoundTask) -> Pick | None:
        policy = self._policies.get(bound.name)
        return None if policy is None else await policy.picked(bound)

    @contextlib.asynccontextmanager
    async def _held(self, run: OpenRun) -> AsyncIterator[None]:
        """Attend to a run while the body works; end the body when the run is lost."""
        body = asyncio.current_task()
        lost: list[ParbakeError] = []

        async def attend() -> None:
            lost.append(await self._attend(run))
            if body is not None:
                body.cancel()

        attending = asyncio.create_task(attend())
        try:
            yield
        except asyncio.CancelledError:
            if lost:
                raise lost[0] from None
            raise
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    async def _attend(self, run: OpenRun) -> ParbakeError:
        """Renew a run's lease; return why the run must end once another process or a loss of the store has taken it."""
        renewed_at, term_s = monotonic(), self.runs.lease_s / 3
        while True:
            await asyncio.sleep(min(_LOOK_S, term_s))
            try:
                if (await self.control()).incarnation != run.incarnation:
                    return RunLost("the store has lost rows of this run; the next run begins again", field="store")
                if monotonic() >= renewed_at + term_s:
                    for bound in run.chain:
                        await self.runs.hold(bound.ref, run.holder, self._clock.now() + self.runs.lease_s)
                    renewed_at = monotonic()
            except RunInProgress as error:
                return error
            except ParbakeError:
                continue  # if the store does not answer, the run fails by itself or the next look succeeds

    async def _give_up(self, run: OpenRun, error: BaseException, trigger: str, why: str) -> None:
        """Delete the rows of a run that failed a gate, was overtaken, lost its model or found the store full.

        After any other failure the run can be continued, and the reason is kept; an interruption is not a failure and
        leaves no reason. The rows are deleted first, because a full store cannot record anything until they are gone.
        """
        if not isinstance(error, GateFailed | PromotionConflict | NotMaterialized | StoreFull):
            failure = one_line(error) if isinstance(error, Exception) else ""
            with contextlib.suppress(ParbakeError):
                for bound in run.chain:
                    if isinstance(error, RowsPending):
                        await self.runs.suspend(bound.ref, run.holder)
                    else:
                        await self.runs.release(bound.ref, run.holder, failure)
            return
        with contextlib.suppress(ParbakeError):
            await self._store.sweep(run.generations.values())
        with contextlib.suppress(ParbakeError):
            await self._note(run, (), one_line(error), trigger, why)

    async def _note(self, run: OpenRun, built: Sequence[BuiltTask], outcome: str, trigger: str, why: str) -> None:
        made = {part.task: part for part in built}
        for bound in run.chain:
            generation = run.generations[bound.ref]
            part = made.get(bound.name) or BuiltTask(bound.name, generation, 0, 0, 0.0)
            ended = Ended(
                run.id, generation, outcome, trigger, why, run.started_at, self._clock.now(),
                part.rows, part.absent, part.partitions, part.kept_partitions, run.profiles.get(bound.ref) or Profile(),
            )  # fmt: skip
            await self.runs.end(bound.ref, ended)


def _one_by_one(chain: Sequence[BoundTask]) -> list[Sequence[BoundTask]]:
    """Each task alone, models first."""
    return [[bound] for bound in sorted(chain, key=lambda bound: not isinstance(bound.task, ModelTask))]


def _usual_size(bound: BoundTask) -> int:
    return CHUNKS * bound.task.chunk if isinstance(bound.task, Artifact) and bound.batched else SINGLE


def _built(bound: BoundTask, generation: int, found: Finished, pick: Pick | None) -> BuiltTask:
    return BuiltTask(
        bound.name, generation, found.rows, found.absent, found.took_s,
        found.size_bytes, found.partitions, found.kept, found.cpu_s, pick,
    )  # fmt: skip
