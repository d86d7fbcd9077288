"""The conformance suite of executors: whatever computes the partitions, the rows are the same and none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from parbake.app.application import App
from parbake.app.settings import Batch
from parbake.errors import ComputeFailed, GateFailed
from parbake.lanes.batch.lane import Run
from parbake.ports.executors import Executor
from parbake.testing import executor_app as suite

MakeApp = Callable[[Executor | None], App]


class ExecutorSuite(ABC):
    """Subclass it and implement :meth:`make_executor`.

    ``maps_models`` says whether processes of one machine share a model's memory.
    """

    maps_models = False

    @abstractmethod
    def make_executor(self, app: str) -> Executor:
        """An executor of two processes for the app of that name."""

    @pytest.fixture
    def make_app(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
        """Make apps over one store."""
        monkeypatch.setenv(suite.STORE, f"lmdb://{tmp_path}/store")

        def make(executor: Executor | None) -> App:
            return App(suite.tasks, store=os.environ[suite.STORE], batch=Batch(executor=executor))

        return make

    @pytest.fixture
    async def app(self, make_app: MakeApp) -> AsyncIterator[App]:
        """An app that computes elsewhere."""
        app = make_app(self.make_executor(suite.NAME))
        yield app
        await app.close()

    async def test_the_rows_are_those_of_this_process(self, app: App, make_app: MakeApp) -> None:
        """Every key has the same value as when the run computes it here, from the run's own model."""
        run = await app.materialize(suite.weights)
        assert [(built.task, built.rows, built.absent) for built in run.built] == [("weights", 1, 0), ("rows", 2000, 0)]
        there = [(await app.serve(suite.rows, key)) for key in range(suite.KEYS)]
        assert {served.lane for served in there} == {"batch"}
        here = make_app(None)
        await here.materialize(suite.weights)
        values = [(await here.serve(suite.rows, key)).unwrap().value for key in range(suite.KEYS)]
        await here.close()
        assert [served.unwrap().value for served in there] == values
        processes = {served.unwrap().process for served in there}
        assert os.getpid() not in processes
        if self.maps_models:
            assert {served.unwrap().is_mapped for served in there} == {True}

    async def test_a_gate_sees_what_was_computed_elsewhere(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """A NaN in one row keeps the whole generation of that task from being promoted."""
        monkeypatch.setenv(suite.BROKEN, "nan")
        with pytest.raises(GateFailed, match="1 of 2000 rows hold a NaN"):
            await app.materialize(suite.weights)
        assert await app.ops.generation(suite.rows) == 0

    async def test_an_error_comes_back_as_it_was(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """If a task raises, the run fails with the task's own message and its name."""
        monkeypatch.setenv(suite.BROKEN, "raise")
        with pytest.raises(ComputeFailed, match="ValueError: key 7 cannot be computed") as caught:
            await app.materialize(suite.weights)
        assert caught.value.field == "rows"

    async def test_a_task_that_exits_has_failed(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """``sys.exit`` in a task ends neither its process nor the run's silently: it is the task's failure."""
        monkeypatch.setenv(suite.BROKEN, "exit")
        with pytest.raises(ComputeFailed, match="rows: SystemExit: key 7 ends its process"):
            await app.materialize(suite.weights)

    async def test_a_killed_process_loses_nothing(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that is killed in the middle of a run is replaced; every row is there and right."""
        monkeypatch.setenv(suite.PACE, "0.05")
        run, killed = await self._while_killing(app)
        assert killed
        assert run.built[-1].rows == suite.KEYS
        for key in range(suite.KEYS):
            served = await app.serve(suite.rows, key)
            assert served.lane == "batch"
            assert served.unwrap().scale == 3

    async def _while_killing(self, app: App) -> tuple[Run, list[int]]:
        """Run, and kill one of the processes once some partitions are done."""
        killed: list[int] = []
        done = asyncio.Event()

        def progress(task: str, at: int, _total: int) -> None:
            if task == "rows" and at:
                done.set()

        running: Awaitable[Run] = asyncio.create_task(app.materialize(suite.weights, progress=progress))
        await asyncio.wait_for(done.wait(), 60)
        generation = await _running(app)
        lookup = await app.engine.store.read("rows@1", b"m\x00", generation=generation)
        process = app.engine.tasks["rows"].decode(lookup.records[0].payload).process
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            killed.append(process)
        return await running, killed


async def _running(app: App) -> int:
    """The generation of rows that is being built."""
    return max((await app.engine.store.stamp())[1].running)
