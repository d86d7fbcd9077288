"""The batch lane: joint promotion, gates, rollback, and no reads across generations."""

import asyncio

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb
from parbake.protocol.control import renumber
from parbake.protocol.recording import Sealing

EVERY = pb.every("20m")


class Chain:
    """A model and rows that are built with it; each row holds the model's number."""

    def __init__(self, world):
        """Declare the chain; ``number`` is what the next training returns."""
        self.number = 1
        self.rows = {"a": 1, "b": 2}
        self.fail_at = None
        self.tasks = pb.Registry()
        self.seen = []

        @self.tasks.model(**contract(refresh=EVERY, invalidated_by=[]))
        def train() -> int:
            return self.number

        def names() -> list[str]:
            return list(self.rows)

        @self.tasks.artifact(**contract(refresh=EVERY, invalidated_by=[pb.fence("fact/{key}")], keys=names))
        async def row(key: str, *, model: int = pb.Model(train)) -> tuple[int, int]:
            self.seen.append(key)
            await asyncio.sleep(0)
            if key == self.fail_at:
                raise ValueError(key)
            return (model, self.rows[key])

        self.train, self.row = train, row
        self.app = world.app(self.tasks)

    async def run(self, number):
        """Train with a number and promote the chain."""
        self.number = number
        return await self.app.materialize(self.train)

    async def get(self, key="a"):
        """Serve one row."""
        return await self.app.serve(self.row, key)


@pytest.fixture
async def chain(world):
    """Return a chain with one promoted generation."""
    made = Chain(world)
    await made.app.drain()
    await made.run(1)
    return made


async def test_a_run_promotes_the_chain(chain):
    """One run promotes a model and the rows built with it; reads are served from them without computing."""
    chain.seen.clear()
    served = await chain.get()
    assert (served.value, served.lane, served.verdict) == ((1, 1), "batch", pb.Verdict.FRESH)
    assert chain.seen == []
    run = await chain.run(2)
    assert [(b.task, b.rows) for b in run.built] == [("train", 1), ("row", 2)]
    assert (await chain.get()).value == (2, 1)


async def test_no_read_mixes_generations(chain):
    """I3: during a run every read gets a row of the current model: the old one, then the new one."""
    running = asyncio.create_task(chain.run(2))
    seen = []
    while not running.done():
        seen.append(((await chain.get("a")).value[0], (await chain.get("b")).value[0]))
        await asyncio.sleep(0)
    await running
    assert set(seen) <= {(1, 1), (1, 2), (2, 2)}
    assert (await chain.get()).value[0] == 2
    assert seen == sorted(seen)


async def test_what_was_built_on_demand_with_an_earlier_model_dies_with_it(chain):
    """A row computed on request with the old model is outdated when a run promotes a new model."""
    await chain.app.touch("fact/a")
    assert (await chain.get()).value == (1, 1)
    await chain.run(2)
    assert (await chain.get()).value == (2, 1)


async def test_a_gate_keeps_the_previous_generation(chain):
    """A run with far fewer rows than the last one is not promoted, and neither is its model."""
    chain.rows = {"a": 1}
    chain.rows, full = {}, chain.rows
    with pytest.raises(pb.errors.GateFailed, match="0 rows") as caught:
        await chain.run(2)
    assert caught.value.field == "row"
    chain.rows = full
    assert (await chain.get()).value == (1, 1)


async def test_a_run_that_failed_a_gate_leaves_nothing_behind(chain):
    """After a failed gate the old generation is current and the rows of the run are swept."""
    chain.rows, full = {}, chain.rows
    with pytest.raises(pb.errors.GateFailed):
        await chain.run(2)
    chain.rows = full
    assert (await chain.get()).value == (1, 1)
    control = (await chain.app.engine.store.stamp())[1]
    assert control.running == ()
    assert await chain.app.engine.store.sweep(()) == 0


async def test_what_does_not_decode_is_not_promoted(world):
    """A run with a value of the wrong type is not promoted, and the error says which task it is of."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return 7

    with pytest.raises(pb.errors.GateFailed, match="word: the value of a key does not decode"):
        await world.app(tasks).materialize(word, keys=["a"])


async def test_rollback_returns_to_the_generation_before(chain):
    """A rollback makes the previous generation current, and reads serve its value."""
    tasks = pb.Registry()
    values = ["old", "new"]

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return values[0]

    app = chain.app.__class__(tasks)
    first = await app.materialize(word, keys=["a"])
    values.pop(0)
    await app.materialize(word, keys=["a"])
    assert (await app.serve(word, "a")).value == "new"
    assert await app.ops.rollback(word) == first.built[0].generation
    served = await app.serve(word, "a")
    assert (served.value, served.generation) == ("old", first.built[0].generation)


async def test_a_second_run_in_the_meantime_is_a_conflict(chain):
    """Of two concurrent runs of one chain, one is promoted and the other raises ``RunInProgress``."""
    runs = await asyncio.gather(chain.run(2), chain.run(2), return_exceptions=True)
    assert sorted(type(run).__name__ for run in runs) == ["Run", "RunInProgress"]
    assert (await chain.get()).value[0] == 2


async def test_a_run_does_not_sweep_the_rows_of_another(world):
    """A quick run of one task does not sweep the rows of another task's run that is under way."""
    tasks, reached, held = pb.Registry(), asyncio.Event(), asyncio.Event()

    @tasks.artifact(**contract(invalidated_by=[]))
    async def slow(key: str) -> str:
        if key == "last":
            reached.set()
            await held.wait()
        return key

    @tasks.artifact(**contract(invalidated_by=[]))
    def quick(key: str) -> str:
        return key

    app = world.app(tasks)
    keys = [f"key {n}" for n in range(200)]
    running = asyncio.create_task(app.materialize(slow, keys=[*keys, "last"]))
    await reached.wait()
    await app.materialize(quick, keys=["a"])
    held.set()
    assert (await running).built[0].rows == 201
    assert [(await app.serve(slow, key)).lane for key in (keys[0], "last")] == ["batch", "batch"]


async def test_a_model_that_was_never_trained_is_said(world):
    """A task whose model has no generation raises ``NotMaterialized``, which names the model."""
    made = Chain(world)
    await made.app.drain()
    with pytest.raises(pb.NotMaterialized, match="train has no promoted generation"):
        await made.get()


async def test_a_model_past_its_sla_is_not_used(chain, world):
    """A model older than its SLA is not used to compute a value."""
    world.clock.advance(3601)
    await chain.app.drain()
    with pytest.raises(pb.NotMaterialized, match="past its SLA"):
        await chain.get("a")


async def test_keys_must_be_known(chain, world):
    """A run needs ``keys=`` from the task or the caller; a model accepts no keys and is not served."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return key

    with pytest.raises(pb.BadInput, match="declares no keys="):
        await world.app(tasks).materialize(word)
    with pytest.raises(pb.BadInput, match="is a model: it has no keys to choose from"):
        await chain.app.materialize(chain.train, keys=["a"])
    with pytest.raises(pb.BadInput, match="is a model"):
        await chain.app.serve(chain.train)


@pytest.mark.parametrize(
    ("wrong", "why"), [(7, "Expected `str`, got `int`"), (None, "Expected `str`"), ("\ud800", "surrogates not allowed")]
)
async def test_a_key_that_is_none_is_named_with_who_listed_it(world, wrong, why):
    """If a listed key has the wrong type, the error shows the key and names ``keys=``."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a", wrong]

    @tasks.artifact(**contract(invalidated_by=[], keys=names))
    def word(key: str) -> str:
        return key

    app = world.app(tasks)
    for chosen in (None, ["a", wrong]):
        with pytest.raises(pb.BadInput, match=f"^word: keys= lists .*, which is not a key: .*{why}") as caught:
            await app.materialize(word, keys=chosen)
        assert caught.value.field == "keys"
        assert repr(wrong) in str(caught.value)


async def test_a_key_that_is_listed_twice_is_one_row(world, caplog):
    """A repeated key is computed and counted once with a warning; listing it once later does not fail the gate."""
    tasks, listed, computed = pb.Registry(), [str(n) for n in range(600)], []

    def names() -> list[str]:
        return listed

    @tasks.artifact(**contract(invalidated_by=[], keys=names), gates=pb.Gates(rows=1.0))
    def word(key: str) -> str:
        computed.append(key)
        return key

    app, once = world.app(tasks), list(listed)
    listed += [*reversed(once), "7", "7"]
    assert (await app.materialize(word)).built[0].rows == 600
    assert computed == once
    assert [r.message for r in caplog.records if r.levelname == "WARNING" and r.name == "parbake.batch"] == [
        "word: keys= lists keys more than once (602 too many); each is computed and counted once"
    ]
    listed[:] = once
    assert (await app.materialize(word)).built[0].rows == 600
    assert (await app.materialize(word, keys=[*once, "7"])).built[0].rows == 600


async def test_progress_and_absent_rows_are_counted(world):
    """A batched function's missing keys are stored as absent; progress reaches the total."""
    tasks, seen = pb.Registry(), []

    @tasks.artifact(**contract(chunk=2))
    def word(keys: pb.Keys[str], *, facts: pb.Source[Facts]) -> dict[str, str]:
        return {key: key for key in keys if key != "none"}

    app = world.app(tasks)
    await app.drain()
    run = await app.materialize(word, keys=["a", "b", "none"], progress=lambda *step: seen.append(step))
    assert (run.built[0].rows, run.built[0].absent) == (2, 1)
    assert seen == [("word", 0, 3), ("word", 2, 3), ("word", 3, 3)]
    assert (await app.serve(word, "none")).reason == "no row computed"


@pytest.mark.parametrize("extra", ["d", 7, None])
async def test_a_row_that_nobody_asked_for_is_an_error(world, extra):
    """A function that returns a key it did not receive fails, in a run and on request; the error names the key."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(keys: pb.Keys[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "") | {extra: ""}

    app = world.app(tasks)
    expected = f"^word returned a value for {extra!r}, a key that it did not receive"
    with pytest.raises(pb.errors.ComputeFailed, match=expected) as caught:
        await app.materialize(word, keys=["a", "b"])
    assert caught.value.field == "word"
    with pytest.raises(pb.errors.ComputeFailed, match=expected):
        await app.serve(word, "a")


@pytest.mark.parametrize(
    ("listed", "why"), [([], "keys= lists no key"), (["none", "nil"], "none of its 2 keys has a value")]
)
async def test_a_generation_without_a_row_is_warned_of(world, caplog, listed, why):
    """A first run without rows logs a warning with the reason; a later run with rows does not."""
    tasks, found = pb.Registry(), list(listed)

    def names() -> list[str]:
        return found

    @tasks.artifact(**contract(invalidated_by=[], keys=names))
    def word(keys: pb.Keys[str]) -> dict[str, str]:
        return {key: key for key in keys if key not in ("none", "nil")}

    app = world.app(tasks)
    run = await app.materialize(word)
    warned = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert warned == [f"word: generation {run.built[0].generation} has no row: {why}"]
    caplog.clear()
    found.append("a")
    await app.materialize(word)
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []


async def test_the_write_rule_spares_newer_rows_than_the_run(chain):
    """A row made after an event during a run is newer than the run, and is served after the promotion."""
    running = asyncio.create_task(chain.run(1))
    await asyncio.sleep(0)
    chain.rows["a"] = 9
    ack = await chain.app.touch("fact/a")
    await running
    served = await chain.get()
    assert served.value == (1, 9)
    assert served.stamp >= ack.stamp


async def test_a_run_that_began_in_two_incarnations_promotes_nothing(chain, monkeypatch):
    """If the store's incarnation changes while a run begins its generations, the run fails and the next succeeds."""
    store = chain.app.engine.store
    begin, begun = store.begin, []

    async def losing():
        found = await begin()
        begun.append(found)
        if len(begun) == 1:
            await store._take(lambda steps: steps.save(renumber(found[2])))
        return found

    monkeypatch.setattr(store, "begin", losing)
    with pytest.raises(pb.errors.PromotionConflict, match="the next run begins again"):
        await chain.run(2)
    assert len(begun) == 2
    await chain.run(3)
    assert (await chain.get()).value[0] == 3


async def test_a_run_that_outlasts_the_silence_limit_hears_its_sources(world):
    """A process that only runs a batch polls its sources meanwhile, so late rows are still trusted."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(refresh=EVERY, keys=names, fallback_if_stale=pb.Refuse()))
    async def first(key: str, *, facts: pb.Source[Facts]) -> str | None:
        world.clock.advance(25)
        await until(is_heard)
        return facts.get(key)

    @tasks.artifact(**contract(refresh=EVERY, keys=names, fallback_if_stale=pb.Refuse()))
    async def second(
        key: str, *, facts: pb.Source[Facts], read: pb.Reader[str, str | None] = pb.Input(first)
    ) -> str | None:
        world.clock.advance(25)
        await until(is_heard)
        return (await read.get(key)).value or facts.get(key)

    async def is_heard():
        heartbeats = (await app.engine.store.read("x", b"y")).heartbeats
        return heartbeats["facts"] == world.clock.now()

    app = world.app(tasks, heartbeat="10ms")
    world.put("a", "x")
    await app.drain()
    assert [built.task for run in await app.ops.run_due() for built in run.built] == ["first", "second"]
    assert len((await app.materialize(second)).built) == 1
    await app.close()


@pytest.mark.parametrize("listed", ["one", b"one"])
async def test_a_text_is_no_list_of_keys(world, listed):
    """A string or bytes from ``keys=`` is refused, as it would be read as a list of its letters."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return listed

    @tasks.artifact(**contract(refresh=pb.every("20m"), keys=names))
    def value(name: str) -> str:
        return name

    app = world.app(tasks)
    with pytest.raises(pb.BadInput, match="a string or bytes, not a list") as caught:
        await app.materialize(value)
    assert caught.value.field == "keys"


@pytest.mark.parametrize("change", ["append", "pop"])
async def test_a_function_cannot_change_what_it_was_asked_for(world, change):
    """Changing the list of keys changes only a copy: an added key is an error, a removed key is absent."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a", "b", "c"]

    @tasks.artifact(**contract(refresh=pb.every("20m"), keys=names))
    def value(keys: pb.Keys[str]) -> dict[str, str]:
        keys.append("zz") if change == "append" else keys.pop()
        return {key: key.upper() for key in keys}

    app = world.app(tasks)
    if change == "append":
        with pytest.raises(pb.errors.ComputeFailed, match="did not receive"):
            await app.materialize(value)
    else:
        built = (await app.materialize(value)).built[0]
        assert (built.rows, built.absent) == (2, 1)


async def test_rows_are_written_while_the_next_are_computed(world, monkeypatch):
    """A large enough chunk is written at once if no write is under way, so the end waits for the last only."""
    tasks, written = pb.Registry(), []

    def names() -> list[str]:
        return [f"{n:05}" for n in range(300)]

    @tasks.artifact(**contract(invalidated_by=[], refresh=EVERY, keys=names, chunk=100))
    def row(keys: pb.Keys[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "value")

    monkeypatch.setattr("parbake.lanes.batch.partition.WORTH_ROWS", 100)
    app = world.app(tasks)
    write = app.engine.store.write_base

    async def noted(task, generation, rows):
        written.append(len(rows))
        await write(task, generation, rows)

    monkeypatch.setattr(app.engine.store, "write_base", noted)
    await app.materialize(row)
    assert written == [100, 100, 100]


async def test_a_store_that_falls_behind_gets_larger_commits(world, monkeypatch):
    """While a write is under way, rows are collected for the next commit, up to its maximum."""
    tasks, written, slow = pb.Registry(), [], asyncio.Event()

    def names() -> list[str]:
        return [f"{n:05}" for n in range(500)]

    @tasks.artifact(**contract(invalidated_by=[], refresh=EVERY, keys=names, chunk=100))
    def row(keys: pb.Keys[str]) -> dict[str, str]:
        if "00400" in keys:
            slow.set()
        return dict.fromkeys(keys, "value")

    monkeypatch.setattr("parbake.lanes.batch.partition.WORTH_ROWS", 100)
    app = world.app(tasks)
    write = app.engine.store.write_base

    async def late(task, generation, rows):
        written.append(len(rows))
        await until(slow.is_set)
        await write(task, generation, rows)

    monkeypatch.setattr(app.engine.store, "write_base", late)
    await app.materialize(row)
    assert written[0] == 100
    assert written[1] >= 300
    assert sum(written) == 500


async def test_what_binds_every_row_of_a_call_is_made_out_once(world, monkeypatch):
    """Tags that do not depend on the key are sealed once for a call; a row with a tag of its own is sealed apart."""
    sealed = []
    seal = Sealing.tags

    def counted(self, *args, **options):
        sealed.append(args)
        return seal(self, *args, **options)

    monkeypatch.setattr(Sealing, "tags", counted)
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact")]), chunk=100)
    def row(keys: pb.Keys[str], *, facts: pb.Source[Facts]) -> dict[str, str]:
        facts.get("shared")
        return {key: pb.Value(key, tags=("fact/own",)) if key == "7" else key for key in keys}

    app = world.app(tasks)
    await app.materialize(row, keys=[str(n) for n in range(50)])
    assert len(sealed) == 2
    tags = {key: (await app.engine.store.read(row.ref, app.engine.tasks["row"].keys.encode(key))) for key in "67"}
    fences = {key: set(lookup.records[0].meta.tags.fences) for key, lookup in tags.items()}
    assert "fact/own" in fences["7"] - fences["6"]
    assert any("shared" in tag for tag in fences["6"] & fences["7"])
