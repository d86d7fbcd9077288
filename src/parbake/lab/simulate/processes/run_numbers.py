"""Numbers for batch runs, so that the oracle knows which run a value came through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parbake.app import App
from parbake.declare.gates import Profile
from parbake.fence.control import Control
from parbake.fence.record import Stamp
from parbake.lab.simulate.processes.oracle import Oracle
from parbake.lab.simulate.processes.sim_stores import SimStore
from parbake.lab.simulate.world.limits import LEASE_S
from parbake.lab.simulate.world.sim_tasks import current_run
from parbake.lab.simulate.world.world_state import World
from parbake.lanes.batch.lane import BatchLane, Run
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.runs import Part, Runs, State
from parbake.serving.bound import BoundTask
from parbake.stores.steps.base import EngineStore
from parbake.stores.steps.optimistic import OptimisticStore


class _Numbered(EngineStore):
    """Notes which run each generation belongs to, also when the run is never promoted."""

    def __init__(self, world: World, *args: Any, **options: Any) -> None:
        self._world = world
        super().__init__(*args, **options)

    async def begin(self) -> tuple[int, Stamp, Control]:
        """See :class:`parbake.ports.store.Store`."""
        begun = await super().begin()
        self._world.begun(begun[0], current_run.get())
        return begun


class NumberedSimStore(_Numbered, SimStore):
    """An embedded store that notes runs."""


class NumberedOptimisticStore(_Numbered, OptimisticStore):
    """A store on a server that notes runs."""


class _Unheld(Runs):
    """Runs whose leases no other run honours: runs collide, and only the promotion keeps them apart."""

    def refuse_if_held(self, state: State, ref: str, now: float) -> None:
        """Refuse no run."""

    async def hold(self, ref: str, holder: str, until: float) -> None:
        """Take no lease."""

    async def finish(self, ref: str, holder: str, digest: bytes, done: tuple[Part, Profile]) -> None:
        """Note no finished part: another run may own the note by now."""


def number_runs(app: App, world: World, oracle: Oracle) -> None:
    """Give every batch run of an app a number, and report the promoted runs to the oracle."""
    batch = app.engine.batch
    if not world.honours_leases:
        batch.runs = batch._builder._runs = batch._opening._runs = _Unheld(app.engine.store)
    batch.runs.lease_s = LEASE_S
    _keep_numbers(batch, world)
    materialize = batch.materialize

    async def numbered(*args: Any, **options: Any) -> Run:
        world.run += 1
        run, token = world.run, current_run.set(world.run)
        try:
            done = await materialize(*args, **options)
            run = current_run.get()
        finally:
            current_run.reset(token)
        world.say(f"run {run} promoted: {[(b.task, b.generation) for b in done.built]}")
        if any(built.task == "weights" for built in done.built):
            oracle.promoted(run)
        return done

    batch.materialize = numbered  # type: ignore[method-assign]  # the schedule reaches it by this name too


def _keep_numbers(batch: BatchLane, world: World) -> None:
    """Let a run that is continued keep the number that its rows carry."""
    begin = batch._opening.open if world.honours_leases else batch._opening._begin

    async def opened(chain: Sequence[BoundTask], selection: bytes, **_: bool) -> OpenRun:
        run = await begin(chain, selection)
        if run.is_continued:
            current_run.set(world.run_of[min(run.generations.values())])
        return run

    batch._opening.open = opened  # type: ignore[method-assign]  # what the lane calls
