"""A damaged record counts as missing: it is counted, computed again and overwritten."""

import random

import msgspec
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.errors import ForeignStore
from parbake.lanes.worker.freshness import report
from parbake.protocol.cause import Cause
from parbake.stores.steps import item_names as names


def declared(**changes):
    """Declare a task that reads a fact, and return a list of its computations."""
    tasks, calls = pb.Registry(), []

    @tasks.artifact(**contract(**changes))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        calls.append(key)
        return facts.get(key)

    return tasks, fact, calls


async def opened(world, store, tasks):
    """Open an app over a store, with one fact."""
    app = world.app(tasks, store=store)
    world.put("a", "one")
    await app.drain()
    return app


async def spoil(app, name, change):
    """Change the stored bytes of one item, bypassing the app."""
    store = app.engine.store
    raw = (await store._several([name]))[name]
    await store._put([(name, change(raw))])


def flipped(place):
    """Return a function that flips one bit."""

    def change(raw):
        spoiled = bytearray(raw)
        spoiled[place] ^= 0x10
        return bytes(spoiled)

    return change


CHANGES = {
    "empty": lambda raw: b"",
    "cut": lambda raw: raw[:-1],
    "longer": lambda raw: raw + b"x",
    "stamp": flipped(12),
    "computed_at": flipped(24),
    "length": flipped(37),
    "tags": flipped(48),
    "value": flipped(-6),
    "checksum": flipped(-1),
}
FALLBACKS = [pb.Recompute(), pb.ServeStale("1h"), pb.Refuse()]


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("kind", ["memory", "lmdb"])
async def test_a_damaged_value_is_computed_again_and_overwritten(world, tmp_path, kind, change):
    """A damaged value is not served: the next read computes it, and later reads find the new record."""
    tasks, fact, calls = declared()
    app = await opened(world, "memory://" if kind == "memory" else f"lmdb://{tmp_path}/store", tasks)
    await app.serve(fact, "a")
    await spoil(app, names.overlay_key(fact.ref, b"sa"), CHANGES[change])
    world.clock.advance(1)
    for _ in range(3):
        assert (await app.serve(fact, "a")).value == "one"
    assert calls == ["a", "a"]
    assert app.counters.damaged == {"fact": 1}
    assert app.counters.misses["fact", "missing", Cause.DAMAGED.value] == 1
    await app.close()


@pytest.mark.parametrize("fallback", FALLBACKS, ids=lambda found: type(found).__name__)
async def test_damage_is_a_miss_under_every_fallback(world, fallback):
    """A damaged value is computed under every fallback, because it counts as missing and not as stale."""
    tasks, fact, calls = declared(fallback_if_stale=fallback)
    app = await opened(world, "memory://", tasks)
    await app.serve(fact, "a")
    await spoil(app, names.overlay_key(fact.ref, b"sa"), flipped(-6))
    assert (await app.serve(fact, "a")).value == "one"
    assert calls == ["a", "a"]


async def test_a_damaged_batch_row_leaves_the_others_and_a_good_one_beside_it(world):
    """Only the damaged row is computed on request; other rows are served, and the second read finds the new record."""
    tasks, fact, calls = declared()
    app = await opened(world, "memory://", tasks)
    world.put("b", "two")
    await app.drain()
    run = await app.materialize(fact, keys=["a", "b"])
    calls.clear()
    await spoil(app, names.base_key(run.built[0].generation, b"sa"), flipped(-6))
    lanes = [(await app.serve(fact, key)).lane for key in ("a", "b", "a")]
    assert lanes == ["realtime", "batch", "realtime"]
    assert calls == ["a"], "the second read of it finds what the first has stored"


async def test_a_damaged_model_is_built_again_by_the_next_worker(world):
    """A task that needs a damaged model raises an error, and the next due run builds the model at once."""
    tasks = pb.Registry()

    @tasks.model(**contract(refresh=pb.every("40m")))
    def weights(*, facts: pb.Source[Facts]) -> list[str]:
        return facts.names()

    @tasks.artifact(**contract())
    def ranked(key: str, *, model: list[str] = pb.Model(weights)) -> str:
        return f"{key} of {len(model)}"

    app = await opened(world, "memory://", tasks)
    run = await app.materialize(weights)
    await spoil(app, names.base_key(run.built[0].generation, b"s"), flipped(-6))
    with pytest.raises(pb.NotMaterialized, match="is damaged; a worker builds another"):
        await app.serve(ranked, "a")
    (run,) = await app.ops.run_due()
    assert run.why == "the current generation cannot be read"
    assert (await app.serve(ranked, "a")).value == "a of 1"
    assert await app.ops.run_due() == []


async def test_a_run_whose_own_model_is_damaged_is_not_continued(world):
    """An interrupted run reads its unpromoted model; if that is damaged, the run begins again instead of failing."""
    tasks, broken = pb.Registry(), []

    def listed() -> list[str]:
        return ["a"]

    @tasks.model(**contract(refresh=pb.every("40m")))
    def weights(*, facts: pb.Source[Facts]) -> list[str]:
        return facts.names()

    @tasks.artifact(**contract(refresh=pb.every("40m")), keys=listed)
    def ranked(key: str, *, model: list[str] = pb.Model(weights)) -> str:
        if broken:
            raise ValueError("interrupted")
        return f"{key} of {len(model)}"

    app = await opened(world, "memory://", tasks)
    await app.materialize(weights)
    broken.append(True)
    with pytest.raises(pb.errors.ComputeFailed, match="interrupted"):
        await app.materialize(weights)
    broken.clear()
    generation = (await app.ops.runs(weights)).under_way.generation
    await spoil(app, names.base_key(generation, b"s"), flipped(-6))
    other = world.app(tasks, store=app.engine.store)  # a process that has not decoded the model yet
    await other.drain()
    run = await other.materialize(weights)
    assert (run.is_continued, run.built[0].generation > generation) == (False, True)
    assert (await other.serve(ranked, "a")).value == "a of 1"


async def test_reports_and_scans_pass_over_damage(world):
    """The freshness report, scans and the event lane skip damaged records."""
    tasks, fact, _ = declared()
    app = await opened(world, "memory://", tasks)
    world.put("b", "two")
    await app.drain()
    for key in "ab":
        await app.serve(fact, key)
    await spoil(app, names.overlay_key(fact.ref, b"sa"), flipped(-6))
    assert [raw for raw, lookup in [pair async for pair in app.engine.store.scan(fact.ref)] if lookup.records] == [
        b"sb"
    ]
    (row,) = await report(app.engine)
    assert row.keys == 1
    world.put("a", "three")
    await app.drain()
    await app.engine.events.step()
    assert (await app.serve(fact, "a")).value == "three"


async def test_mutated_records_are_never_served_and_never_raise(world):
    """After each of 1,000 random mutations of a record, a read returns the right value."""
    tasks, fact, _ = declared()
    app = await opened(world, "memory://", tasks)
    drawn = random.Random(14)
    name = names.overlay_key(fact.ref, b"sa")

    def mutate(raw):
        spoiled = bytearray(raw)
        for _ in range(drawn.randint(1, 4)):
            spoiled[drawn.randrange(len(spoiled))] = drawn.randrange(256)
        return bytes(spoiled[: drawn.choice((len(spoiled), drawn.randrange(len(spoiled) + 1)))])

    for _ in range(1000):
        await app.serve(fact, "a")
        await spoil(app, name, mutate)
        assert (await app.serve(fact, "a")).value == "one"


@pytest.mark.parametrize("kind", ["memory", "lmdb"])
async def test_a_store_of_the_format_before_is_refused_plainly(world, tmp_path, kind):
    """A store of an older record format is refused with both versions, before anything is computed."""
    tasks, fact, calls = declared()
    app = await opened(world, "memory://" if kind == "memory" else f"lmdb://{tmp_path}/store", tasks)
    await app.serve(fact, "a")
    calls.clear()

    control = msgspec.msgpack.decode((await app.engine.store._several([names.CONTROL]))[names.CONTROL])
    del control["format"]
    await app.engine.store._put([(names.CONTROL, msgspec.msgpack.encode(control))])
    with pytest.raises(pb.errors.ForeignStore, match="it has format 1, and this version reads 3 and 4") as caught:
        await app.serve(fact, "a")
    assert caught.value.field == "store"
    assert calls == []
    await app.close()


@pytest.mark.parametrize("name", [names.CONTROL, names.BEATS], ids=["control", "heartbeats"])
@pytest.mark.parametrize("kind", ["memory", "lmdb"])
async def test_a_store_whose_common_records_are_damaged_says_what_to_do(world, tmp_path, kind, name):
    """If the store's common records cannot be decoded, the error is a ``ForeignStore`` that says what to do."""
    tasks, fact, _ = declared()
    app = await opened(world, {"memory": "memory://", "lmdb": f"lmdb://{tmp_path}/s"}[kind], tasks)
    await app.serve(fact, "a")
    await spoil(app, name, lambda _: b"\xff" * 40)
    with pytest.raises(ForeignStore, match="delete the store"):
        await app.serve(fact, "a")
