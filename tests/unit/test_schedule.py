"""When batch runs are due, and which alerts stale artifacts send."""

import asyncio

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import until

import parbake as pb


class Heard:
    """An alert sink that records alerts."""

    def __init__(self):
        """Start with no alerts."""
        self.alerts = []

    async def send(self, alert):
        """Record the alert."""
        self.alerts.append((alert.kind, alert.task, alert.owner))


class Deaf:
    """An alert sink that fails."""

    async def send(self, alert):
        """Fail."""
        raise OSError("nobody answers")


class Scheduled:
    """A model, rows built with it, and an independent task."""

    def __init__(self, world):
        """Declare the tasks and open the app."""
        self.broken = False
        self.heard = Heard()
        tasks = pb.Registry()
        settings = contract(invalidated_by=[], refresh=pb.every("20m"))

        @tasks.model(**settings)
        def train() -> int:
            return 1

        def names() -> list[str]:
            return [] if self.broken else ["a", "b"]

        @tasks.artifact(**settings, keys=names)
        def row(key: str, *, model: int = pb.Model(train)) -> int:
            return model

        @tasks.artifact(**settings, keys=names)
        def apart(key: str) -> str:
            return key

        self.train, self.row, self.apart = train, row, apart
        self.app = world.app(tasks, alerts=[Deaf(), self.heard])

    async def due(self):
        """Run what is due, and return the tasks that each run built."""
        return [[built.task for built in run.built] for run in await self.app.ops.run_due()]


@pytest.fixture
def scheduled(world):
    """Return scheduled tasks with a sink that records alerts."""
    return Scheduled(world)


async def test_what_is_due_runs_once_chains_together(scheduled, world):
    """All tasks are due at the start, the model alone, and again when their period is over, then chains as one run."""
    assert await scheduled.due() == [["train"], ["row"], ["apart"]]
    assert await scheduled.due() == []
    world.clock.advance(1199)
    assert await scheduled.due() == []
    world.clock.advance(1)
    assert await scheduled.due() == [["train", "row"], ["apart"]]


async def test_a_failed_run_tells_its_owner_and_waits_before_it_tries_again(scheduled, world):
    """A failed gate alerts the owner, does not block other tasks, and is retried after half a minute."""
    await scheduled.due()
    scheduled.broken = True
    world.clock.advance(1200)
    assert await scheduled.due() == []
    assert set(scheduled.heard.alerts) == {("gate_failed", "train", "team"), ("gate_failed", "apart", "team")}
    scheduled.broken = False
    assert await scheduled.due() == [["row"]], "rows need not wait for their model: the current one still holds"
    world.clock.advance(31)
    assert await scheduled.due() == [["train", "row"], ["apart"]]


async def test_stale_and_recovered_are_told_exactly_once_each(scheduled, world, caplog):
    """Repeated checks send one stale and one recovered alert for each task; a failing sink is only logged."""
    watch = scheduled.app.engine.watch
    await watch.check()
    await scheduled.due()
    await watch.check()
    assert scheduled.heard.alerts == []
    world.clock.advance(3601)
    for _ in range(3):
        await watch.check()
    kinds = [("stale", name, "team") for name in ("train", "row", "apart")]
    assert scheduled.heard.alerts == kinds
    await scheduled.due()
    for _ in range(3):
        await watch.check()
    assert scheduled.heard.alerts == kinds + [("recovered", name, "team") for name in ("train", "row", "apart")]
    assert "Deaf" in caplog.text


async def test_a_worker_does_it_all(scheduled):
    """``work`` runs what is due, and continues until it is cancelled."""
    working = asyncio.create_task(scheduled.app.work())

    async def runs():
        return (await scheduled.app.ops.runs(scheduled.row)).ended

    await until(runs)
    assert not working.done()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await scheduled.app.serve(scheduled.row, "a")).lane == "batch"
    await scheduled.app.close()


async def test_a_server_polls_and_watches(scheduled, world):
    """``serving`` polls the sources and records their heartbeats."""
    store = scheduled.app.engine.store

    async def beats():
        return (await store.read("x", b"y")).heartbeats

    async with scheduled.app.serving():
        assert await until(beats) == {"facts": world.clock.now()}


async def test_a_run_that_another_has_under_way_is_looked_for_again_after_five_seconds(scheduled, world, monkeypatch):
    """A task whose run another process holds is retried after five seconds, without an alert."""
    asked = []

    async def held(plan, **_):
        asked.append(plan.name)
        for run in ():
            yield run
        raise pb.errors.RunInProgress(f"{plan.name}: a run is under way", field=plan.name)

    monkeypatch.setattr(scheduled.app.engine.batch, "materialize", held)
    assert await scheduled.due() == []
    world.clock.advance(4.9)
    await scheduled.due()
    assert asked.count("apart") == 1
    world.clock.advance(0.1)
    await scheduled.due()
    assert asked.count("apart") == 2
    assert scheduled.heard.alerts == []


async def test_only_tasks_that_run_on_a_schedule_here_are_watched(world):
    """Tasks without a schedule, and tasks that are off, send no stale alert."""
    tasks, heard = pb.Registry(), Heard()
    settings = contract(invalidated_by=[])

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**settings, keys=names)
    def by_hand(key: str) -> str:
        return key

    @tasks.artifact(**settings, keys=names, refresh=pb.every("20m"))
    def nightly(key: str) -> str:
        return key

    app = world.app(tasks, alerts=[heard])
    await app.materialize(by_hand)
    await app.materialize(nightly)
    world.clock.advance(3601)
    off = world.app(tasks, alerts=[heard], store=app.engine.store, off={"nightly": "it needs a model"})
    await off.engine.watch.check()
    assert heard.alerts == []
    await app.engine.watch.check()
    assert heard.alerts == [("stale", "nightly", "team")]


async def test_the_watch_goes_on_after_a_fault_and_looks_every_second(scheduled, monkeypatch):
    """The watch checks every second, and continues after an exception."""
    watch, looks, waits = scheduled.app.engine.watch, [], []

    async def check():
        looks.append(len(waits))
        if len(looks) == 1:
            raise OSError("the store does not answer")

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(watch, "check", check)
    monkeypatch.setattr("parbake.process.loops.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await watch.run()
    assert looks == [0, 1, 2]
    assert waits == [1.0, 1.0, 1.0]
