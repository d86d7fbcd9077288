"""Numbers for batch runs, by which the oracle knows the run of a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parbake.app.application import App
from parbake.lanes.batch.lane import BatchLane, Run
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.runs import Part, Runs, State
from parbake.ports.generations import NewGeneration
from parbake.serving.bound import BoundTask
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.tasks.gates import Profile
from simulator.processes.oracle import Oracle
from simulator.processes.sim_files import SimFileStore
from simulator.processes.sim_stores import SimStore
from simulator.world.limits import LEASE_S
from simulator.world.sim_tasks import current_run
from simulator.world.world_state import World


class _Numbered(EngineStore):
    """Records the run of each generation, even if the run is never promoted."""

    def __init__(self, world: World, *args: Any, **options: Any) -> None:
        self._world = world
        super().__init__(*args, **options)

    async def begin(self) -> NewGeneration:
        """See :class:`parbake.ports.store.Store`."""
        begun = await super().begin()
        self._world.begun(begun.generation, current_run.get())
        return begun


class NumberedSimStore(_Numbered, SimStore):
    """An embedded store that records runs."""


class NumberedFileStore(_Numbered, SimFileStore):
    """A store in a file that records runs."""


class NumberedOptimisticStore(_Numbered, OptimisticStore):
    """A store on a server that records runs."""


class _Unheld(Runs):
    """Runs whose leases are ignored by other runs: runs collide, and only the promotion separates them."""

    def refuse_if_held(self, state: State, ref: str, now: float) -> None:
        """Refuse no run.

        Args:
            state: The state of the run.
            ref: The task's ref.
            now: The current time, in epoch seconds.
        """

    async def hold(self, ref: str, holder: str, until: float) -> None:
        """Take no lease.

        Args:
            ref: The task's ref.
            holder: The holder of the lease.
            until: End of the lease, in epoch seconds.
        """

    async def finish(self, ref: str, holder: str, digest: bytes, done: tuple[Part, Profile]) -> None:
        """Record no finished part, because another run may own the record by now.

        Args:
            ref: The task's ref.
            holder: The holder of the lease.
            digest: The digest of the part.
            done: The part and its profile.
        """


def number_runs(app: App, world: World, oracle: Oracle) -> None:
    """Give every batch run of an app a number, and report the promoted runs to the oracle.

    Args:
        app: The app.
        world: The state of the history.
        oracle: The oracle.
    """
    batch = app.engine.batch
    if not world.honours_leases:
        batch.runs = batch._builder._runs = batch._opening._runs = _Unheld(app.engine.store)
    batch.runs.lease_s = LEASE_S
    _keep_numbers(batch, world)
    run_once = batch._run

    async def numbered(*args: Any, **options: Any) -> Run:
        world.run += 1
        token = current_run.set(world.run)
        try:
            done = await run_once(*args, **options)
        finally:
            current_run.reset(token)
        run = world.run_of[min(built.generation for built in done.built)]
        world.say(f"run {run} promoted: {[(b.task, b.generation) for b in done.built]}")
        if any(built.task == "weights" for built in done.built):
            oracle.promoted(run)
        return done

    batch._run = numbered  # type: ignore[method-assign]  # the function that the lane calls


def _keep_numbers(batch: BatchLane, world: World) -> None:
    """Let a resumed run keep the number that its rows carry."""
    open_run, begin = batch._opening.open, batch._opening._begin

    async def opened(chain: Sequence[BoundTask], selection: bytes, *, anew: bool = False) -> OpenRun:
        ours = open_run(chain, selection, anew=anew) if world.honours_leases else begin(chain, selection)
        run = await ours
        if run.is_continued:
            current_run.set(world.run_of[min(run.generations.values())])
        return run

    batch._opening.open = opened  # type: ignore[method-assign]  # the function that the lane calls
