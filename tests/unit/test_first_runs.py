"""The first generations of a chain, also after a loss: a model serves before the batches that read it have ended."""

import asyncio
import threading

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.unit.test_damaged_records import flipped, spoil
from tests.waiting import HANGS_S, until

import parbake as pb
from parbake.protocol.control import Pointer, Promotion, renumber
from parbake.serving.model_reads import lost_model
from parbake.stores.steps import item_names as names

EVERY = pb.every("20m")


class SlowChain:
    """A model, rows that are built with it and wait at a door in a batch run, and an independent task before both."""

    def __init__(self, world):
        """Declare the tasks; ``door`` is shut until the test opens it."""
        self.door = asyncio.Event()
        self.fails = False
        self.order = []
        tasks = pb.Registry()
        settings = contract(invalidated_by=[], refresh=EVERY)

        def names() -> list[str]:
            return ["a", "b"]

        @tasks.artifact(**settings, keys=names)
        def apart(key: str) -> str:
            self.order.append("apart")
            return key

        @tasks.model(**settings)
        def train() -> int:
            self.order.append("train")
            return 7

        @tasks.artifact(**settings, keys=names)
        async def row(key: str, *, model: int = pb.Model(train)) -> int:
            self.order.append("row")
            if key == "b":
                await self.door.wait()
            if self.fails:
                raise ValueError(key)
            return model

        self.train, self.row = train, row
        self.alerts = []
        self.app = world.app(tasks, alerts=[self])

    async def send(self, alert):
        """Keep an alert."""
        self.alerts.append(alert)

    async def lose_store(self):
        """Let the store count as another incarnation, as after a loss."""
        store = self.app.engine.store
        _, control = await store.stamp()
        await store._take(lambda steps: steps.save(renumber(control)))


@pytest.fixture
async def slow(world):
    """Return the chain, with its source read."""
    made = SlowChain(world)
    await made.app.drain()
    return made


async def test_a_model_serves_as_soon_as_it_is_trained(slow):
    """While the first batch of rows runs, requests compute rows with the model; the run reports on both tasks."""
    running = asyncio.create_task(slow.app.materialize(slow.train))
    await until(lambda: "row" in slow.order)
    served = await slow.app.serve(slow.row, "a")
    assert (served.value, served.lane) == (7, "realtime")
    slow.door.set()
    run = await running
    assert [(built.task, built.rows) for built in run.built] == [("train", 1), ("row", 2)]
    assert (await slow.app.serve(slow.row, "b")).lane == "batch"


async def test_a_failing_batch_does_not_take_the_model_back(slow):
    """A first batch of rows that fails leaves the model promoted, and its run is told to the plugins."""
    told = []
    slow.app.engine.on.ran.append(lambda run: told.extend(built.task for built in run.built))
    slow.fails = True
    with pytest.raises(pb.errors.ComputeFailed):
        await slow.app.materialize(slow.train)
    assert await slow.app.ops.generation(slow.train)
    assert told == ["train"]


async def test_a_first_batch_that_breaks_off_is_continued_without_training_again(slow):
    """The next run of the model continues the batch that broke off, and the run after that trains the model again."""
    slow.door.set()
    slow.fails = True
    with pytest.raises(pb.errors.ComputeFailed):
        await slow.app.materialize(slow.train)
    slow.fails = False
    run = await slow.app.materialize(slow.train)
    assert (run.is_continued, [built.task for built in run.built]) == (True, ["row"])
    assert slow.order.count("train") == 1
    run = await slow.app.materialize(slow.train)
    assert (run.is_continued, [built.task for built in run.built]) == (False, ["train", "row"])


@pytest.mark.parametrize("change", ["anew", "a newer model", "a lost model"])
async def test_a_first_batch_that_cannot_be_continued_is_built_with_a_new_model(slow, change):
    """The model is trained again if the caller asks for it, if another one was promoted, or if it cannot be read."""
    slow.door.set()
    slow.fails = True
    with pytest.raises(pb.errors.ComputeFailed):
        await slow.app.materialize(slow.train)
    slow.fails = False
    store, model = slow.app.engine.store, slow.app.engine.bound_task(slow.train)
    if change == "a newer model":
        generation, _, control = await store.begin()
        await store.promote(Promotion({model.ref: Pointer(generation, 0.0, 0.0)}, {}, control.incarnation))
    elif change == "a lost model":
        generation = await slow.app.ops.generation(slow.train)
        await spoil(slow.app, names.base_key(generation, b"s"), flipped(-6))
        await store.swap(lost_model(model.ref), None, str(generation).encode())
    run = await slow.app.materialize(slow.train, anew=change == "anew")
    assert (run.is_continued, [built.task for built in run.built]) == (False, ["train", "row"])
    assert slow.order.count("train") == 2


async def test_after_a_withdrawal_the_chain_is_promoted_together(slow):
    """A model whose only generation was withdrawn comes back only together with the rows that are built with it."""
    slow.door.set()
    await slow.app.materialize(slow.train)
    await slow.app.engine.store.withdraw([await slow.app.ops.generation(slow.train)])
    slow.fails = True
    with pytest.raises(pb.errors.ComputeFailed):
        await slow.app.materialize(slow.train)
    assert await slow.app.ops.generation(slow.train) == 0


async def test_models_without_a_generation_are_due_first(slow):
    """Where everything is missing, models are trained before batches that requests can do without."""
    slow.door.set()
    assert [[built.task for built in run.built] for run in await slow.app.ops.run_due()] == [
        ["train"],
        ["row"],
        ["apart"],
    ]
    assert slow.order[0] == "train"


async def test_a_missing_model_does_not_wait_for_the_batch_of_another(world):
    """While the first batch of what reads one model still runs, the other model is trained."""
    order, trained, tasks = [], threading.Event(), pb.Registry()
    settings = contract(invalidated_by=[], refresh=EVERY)

    def names() -> list[str]:
        return ["a"]

    @tasks.model(**settings)
    def first() -> int:
        order.append("first")
        return 1

    @tasks.artifact(**settings, keys=names)
    def of_first(key: str, *, model: int = pb.Model(first)) -> int:
        assert trained.wait(HANGS_S), "the second model waits for this batch"
        order.append("of_first")
        return model

    @tasks.model(**settings)
    def second() -> int:
        order.append("second")
        trained.set()
        return 2

    @tasks.artifact(**settings, keys=names)
    def of_second(key: str, *, model: int = pb.Model(second)) -> int:
        order.append("of_second")
        return model

    app = world.app(tasks)
    await app.drain()
    runs = await app.ops.run_due()
    assert order.index("first") < order.index("of_first")
    assert order.index("second") < order.index("of_second")
    assert sorted(built.task for run in runs for built in run.built) == sorted(order)


async def test_a_model_that_hangs_holds_up_nothing_that_does_not_read_it(world, monkeypatch):
    """While one model waits for its database, another one and its readers are made, and then the other tasks."""
    monkeypatch.setattr("parbake.lanes.worker.schedule._HEAD_START_S", 0.01)
    door, tasks = threading.Event(), pb.Registry()
    settings = contract(invalidated_by=[], refresh=pb.every("1h"), freshness_sla="3h")

    def names() -> list[str]:
        return ["a"]

    @tasks.model(**settings)
    def hung() -> int:
        door.wait(HANGS_S)
        return 1

    @tasks.artifact(**settings, keys=names)
    def of_hung(key: str, *, model: int = pb.Model(hung)) -> int:
        return model

    @tasks.model(**settings)
    def quick() -> int:
        return 2

    @tasks.artifact(**settings, keys=names)
    def of_quick(key: str, *, model: int = pb.Model(quick)) -> int:
        return model

    @tasks.artifact(**settings, keys=names)
    def apart(key: str) -> int:
        return 3

    app, made = world.app(tasks), []
    await app.drain()

    async def promoted(run):
        made.extend(built.task for built in run.built)

    working = asyncio.create_task(app.engine.schedule.run(promoted))
    try:
        await until(lambda: {"quick", "of_quick", "apart"} <= set(made))
        assert not {"hung", "of_hung"} & set(made)
        door.set()
        await until(lambda: "of_hung" in made)
        assert sorted(made) == ["apart", "hung", "of_hung", "of_quick", "quick"]
    finally:
        door.set()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_look_that_is_cancelled_leaves_its_tasks_due(slow):
    """What was cancelled before or while it ran is made by the next look."""
    running = asyncio.create_task(slow.app.ops.run_due())
    await until(lambda: "row" in slow.order)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    slow.door.set()
    runs = await slow.app.ops.run_due()
    assert {built.task for run in runs for built in run.built} == {"row", "apart"}


async def test_models_that_share_a_reader_are_both_trained_before_it(world):
    """What reads two missing models is computed once, after both."""
    tasks, order = pb.Registry(), []
    settings = contract(invalidated_by=[], refresh=pb.every("1h"), freshness_sla="3h")

    @tasks.model(**settings)
    def one() -> int:
        order.append("one")
        return 1

    @tasks.model(**settings)
    def other() -> int:
        order.append("other")
        return 2

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**settings, keys=names)
    def both(key: str, *, first: int = pb.Model(one), second: int = pb.Model(other)) -> int:
        order.append("both")
        return first + second

    app = world.app(tasks)
    await app.drain()
    await app.ops.run_due()
    assert order[:2] == ["one", "other"]
    assert set(order[2:]) == {"both"}
    assert (await app.serve(both, "a")).value == 3


async def test_a_run_ends_when_the_store_loses_it(slow):
    """A run whose store was lost does not go on to its end: it stops soon, alerts nobody, and is due again at once."""
    running = asyncio.create_task(slow.app.ops.run_due())
    await until(lambda: "row" in slow.order)
    await slow.lose_store()
    runs = await running
    assert not slow.door.is_set(), "the run did not wait for its rows"
    assert [built.task for run in runs for built in run.built] == ["train", "apart"]
    slow.door.set()
    assert ["row"] in [[built.task for built in run.built] for run in await slow.app.ops.run_due()]
    assert slow.alerts == []


async def test_two_first_runs_do_not_promote_a_model_twice_alone(slow, monkeypatch):
    """A run that finds the model promoted by another one since it began to look gives way to it."""
    lane, plan = slow.app.engine.batch, slow.app.engine.tasks["train"]
    slow.door.set()
    late = lane.materialize(plan)
    parts = lane._parts

    async def overtaken(chain):
        found = await parts(chain)
        monkeypatch.setattr(lane, "_parts", parts)
        await slow.app.materialize(slow.train)
        return found

    monkeypatch.setattr(lane, "_parts", overtaken)
    with pytest.raises(pb.errors.RunInProgress, match="another process has just promoted one"):
        await anext(late)
    assert slow.order.count("train") == 1


async def test_a_model_that_a_loss_has_killed_is_trained_at_once_and_alone(slow):
    """Once a read has met a model that is dead for good, the next due run trains it before the rows are computed."""
    slow.door.set()
    await slow.app.ops.run_due()
    await slow.app.engine.store.raise_floor((await slow.app.touch("fact/any")).stamp)
    with pytest.raises(pb.NotMaterialized, match="below the floor"):
        await slow.app.serve(slow.row, "a")
    slow.door.clear()
    slow.order.clear()
    running = asyncio.create_task(slow.app.ops.run_due())
    await until(lambda: "row" in slow.order)
    assert (await slow.app.serve(slow.row, "a")).value == 7
    slow.door.set()
    assert [[built.task for built in run.built] for run in await running] == [["train"], ["row"]]


async def test_a_report_that_a_failover_has_made_untrue_is_withdrawn(slow):
    """A model that is reported as unreadable, and can be read again, is not trained anew."""
    slow.door.set()
    await slow.app.ops.run_due()
    generation, store = await slow.app.ops.generation(slow.train), slow.app.engine.store
    place = lost_model(slow.app.engine.tasks["train"].ref)
    await store.swap(place, None, str(generation).encode())
    assert await slow.app.ops.run_due() == []
    assert await store.get(place) == b"0"


async def test_tasks_that_are_left_out_run_later(world):
    """``run_due(leave=...)`` runs the other tasks, and the one that was left is due afterwards."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    settings = contract(refresh=EVERY, keys=names, fallback_if_stale=pb.Refuse())

    @tasks.artifact(**settings)
    def needed(key: str, *, facts: pb.Source[Facts]) -> str | None:
        return facts.get(key)

    @tasks.artifact(**settings)
    def later(key: str, *, facts: pb.Source[Facts]) -> str | None:
        return facts.get(key)

    app = world.app(tasks)
    world.put("a", "x")
    await app.drain()
    runs = await app.ops.run_due(only_missing=True, leave=[later])
    assert [built.task for run in runs for built in run.built] == ["needed"]
    assert [built.task for run in await app.ops.run_due() for built in run.built] == ["later"]
    await app.close()
