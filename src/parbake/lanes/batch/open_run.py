"""How a run begins: as a new one, or where an interrupted one stopped."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from parbake.errors import RunInProgress, StoreError
from parbake.lanes.batch.fingerprint import fingerprint
from parbake.lanes.batch.runs import Part, Runs, State, UnderWay
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.identity import name as holder_name
from parbake.protocol.control import Control
from parbake.protocol.record import Stamp, unpack_stamp
from parbake.serving.bound import BoundTask
from parbake.tasks.gates import Profile
from parbake.tasks.task_types import Artifact, ModelTask


@dataclass(slots=True)
class OpenRun:
    """A run that this process holds. ``finished`` are the partitions that an earlier process finished, by task ref."""

    id: str
    holder: str
    chain: Sequence[BoundTask]
    started_at: float
    stamp: Stamp
    incarnation: int
    expected: Mapping[str, int]
    generations: dict[str, int]
    finished: Mapping[str, Mapping[bytes, Part]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    is_continued: bool = False
    is_urgent: bool = False
    waits: bool = True
    """Whether the run waits where it is for what takes hours; otherwise it stops, and is continued later."""


class RunOpening:
    """Opens runs, one process at a time."""

    def __init__(self, store: Store, runs: Runs, clock: Clock) -> None:
        """Use the store, its record of runs, and the clock."""
        self._store = store
        self._runs = runs
        self._clock = clock

    async def open(self, chain: Sequence[BoundTask], selection: bytes, *, anew: bool = False) -> OpenRun:
        """Continue the interrupted run of a chain of tasks if that is possible; otherwise begin a new one.

        Args:
            chain: The tasks that are promoted together, the first one first.
            selection: Identifies the keys that were chosen; empty for all keys.
            anew: Whether to begin a new run in any case.

        Raises:
            RunInProgress: Another process works on the run.
        """
        now, states = self._clock.now(), []
        for bound in chain:
            states.append(await self._runs.in_full(bound.ref))
            self._runs.refuse_if_held(states[-1], bound.ref, now)
        _, control = await self._store.stamp()
        found = [state.under_way for state in states if state.under_way is not None]
        if len(found) == len(chain) and not anew and self._can_continue(found, chain, control, selection):
            return await self._continue(chain, found)
        if found:
            await self._store.sweep([one.generation for one in found])
            for bound, state in zip(chain, states, strict=True):
                if state.under_way is not None:
                    await self._runs.forget(bound.ref, state.under_way.run)
        return await self._begin(chain, selection)

    async def can_continue(self, chain: Sequence[BoundTask]) -> bool:
        """Whether a run of all keys of just these tasks was interrupted, and :meth:`open` would continue it."""
        states = [await self._runs.state(bound.ref) for bound in chain]
        found = [state.under_way for state in states if state.under_way is not None]
        control = (await self._store.stamp())[1]
        return len(found) == len(chain) and self._can_continue(found, chain, control, b"")

    def _can_continue(
        self, found: Sequence[UnderWay], chain: Sequence[BoundTask], control: Control, selection: bytes
    ) -> bool:
        """Whether an interrupted run is whole in the store, can still be promoted, and is not too old."""
        first, refs, now, code = found[0], tuple(bound.ref for bound in chain), self._clock.now(), _code(chain)
        return (
            all(one.run == first.run and one.chain == refs and one.selection == selection for one in found)
            and all(one.code == code for one in found)
            and control.is_trusted
            and control.incarnation == first.incarnation
            and control.floor <= first.stamp
            and all(control.pointer(ref) == number for ref, number in first.expected.items())
            and all(one.generation in control.running for one in found)
            and abs(now - first.started_at) <= _oldest_s(chain)
        )

    async def _continue(self, chain: Sequence[BoundTask], found: Sequence[UnderWay]) -> OpenRun:
        first, holder = found[0], holder_name()
        for bound, one in zip(chain, found, strict=True):
            await self._claim(
                bound, one, msgspec.structs.replace(one, holder=holder, until=self._lease(), failure="", waits=False)
            )
        return OpenRun(
            first.run,
            holder,
            chain,
            first.started_at,
            unpack_stamp(first.stamp),
            first.incarnation,
            first.expected,
            {bound.ref: one.generation for bound, one in zip(chain, found, strict=True)},
            {bound.ref: one.finished for bound, one in zip(chain, found, strict=True)},
            {bound.ref: one.profile for bound, one in zip(chain, found, strict=True)},
            is_continued=True,
        )

    async def _begin(self, chain: Sequence[BoundTask], selection: bytes) -> OpenRun:
        started, run, holder = self._clock.now(), uuid.uuid4().hex, holder_name()
        generations: dict[str, int] = {}
        generations[chain[0].ref], stamp, control = await self._store.begin()
        for bound in chain[1:]:
            generations[bound.ref], _, _ = await self._store.begin()
        expected = {ref: control.pointer(ref) for ref in (*generations, *_models_read(chain))}
        refs = tuple(generations)
        try:
            for bound in chain:
                new = UnderWay(
                    run, holder, self._lease(), generations[bound.ref], started, stamp.pack(), control.incarnation,
                    expected, refs, selection, code=_code(chain),
                )  # fmt: skip
                await self._claim(bound, None, new)
        except RunInProgress:
            with contextlib.suppress(StoreError):
                await self._store.sweep(generations.values())
            raise
        return OpenRun(run, holder, chain, started, stamp, control.incarnation, expected, generations)

    async def _claim(self, bound: BoundTask, seen: UnderWay | None, new: UnderWay) -> None:
        """Take a task's run; raises :class:`RunInProgress` if another process took it after ``seen`` was read."""
        now = self._clock.now()

        def taken(state: State) -> State:
            self._runs.refuse_if_held(state, bound.ref, now)
            if seen is not None and state.under_way != seen.bare():
                raise RunInProgress(f"{bound.name}: another process continues this run", field=bound.name)
            return msgspec.structs.replace(state, under_way=new.bare())

        await self._runs.change(bound.ref, taken)

    def _lease(self) -> float:
        return self._clock.now() + self._runs.lease_s


def _oldest_s(chain: Sequence[BoundTask]) -> float:
    """The age at which a run is not continued: half the SLA, and the time that it may have waited for a provider."""
    sla_s = min(bound.contract.freshness_sla_s for bound in chain)
    waits = [bound.task.via.within_s for bound in chain if isinstance(bound.task, Artifact) and bound.task.via]
    return min(sla_s, sla_s / 2 + max(waits, default=0.0))


def _code(chain: Sequence[BoundTask]) -> bytes:
    stored = [bound.task for bound in chain]
    return fingerprint((task.fn for task in stored), ((task.value_type, task.codecs) for task in stored))


def _models_read(chain: Sequence[BoundTask]) -> list[str]:
    """The models that a chain reads but does not replace. Their pointers must not move before the promotion."""
    own = {bound.task for bound in chain}
    return [t.ref for bound in chain for t in bound.task.inputs if isinstance(t, ModelTask) and t not in own]
