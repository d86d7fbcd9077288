"""Faults of events: wrong clocks, unknown families, failing sources and malformed events."""

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.adapters.sqlite import SqliteSource
from parbake.ports.cloudevents import CloudEvent
from parbake.process.counters import MAX_FAMILIES, Counters
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.verdict import judge
from parbake.stores.memory import MemoryStore


def metric(app, line):
    """Return whether the metrics contain a line."""
    return line in render(app.counters).decode().splitlines()


def lookup_task(world, **options):
    """Return an app with one task over the world's facts."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(fallback_if_stale=pb.Refuse()))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
        return facts.get(key) or pb.Absent("none")

    return world.app(tasks, **options), fact


@pytest.mark.parametrize(("ahead", "verdict"), [(4, "fresh"), (29, "fresh"), (31, "unknown"), (86400, "unknown")])
async def test_a_heartbeat_from_the_future_hides_no_silence(world, ahead, verdict):
    """A heartbeat beyond the silence limit in the future counts as silence."""
    world.put("a", "x")
    app, fact = lookup_task(world)
    await app.drain()
    await app.serve(fact, "a")
    assert (await app.serve(fact, "a")).value == "x"
    await app.engine.store.beat("facts", world.clock.now() + ahead, now=world.clock.now())
    assert (await app.serve(fact, "a")).verdict == verdict


async def test_a_clock_that_was_wrong_once_is_forgiven_and_counted(world):
    """The next poll replaces a heartbeat from the future, and a metric counts the skew."""
    world.put("a", "x")
    app, fact = lookup_task(world)
    await app.drain()
    await app.serve(fact, "a")
    await app.engine.store.beat("facts", world.clock.now() + 3600, now=world.clock.now())
    await app.drain()
    assert (await app.serve(fact, "a")).verdict == "fresh"
    assert metric(app, "parbake_clock_skew_total 1.0")


@pytest.mark.parametrize(("age_s", "verdict"), [(-59, "fresh"), (-61, "stale")])
def test_a_record_from_the_future_is_stale(age_s, verdict):
    """A record more than a minute in the future is stale."""
    bound = pb.Registry()

    @bound.artifact(**contract())
    def fact(key: str) -> str:
        return key

    judgement = judge(fact.contract, age_s=age_s, killed_by=None, pending=False)
    assert judgement.verdict == verdict
    assert judgement.reason == (Reason(Cause.FROM_THE_FUTURE) if verdict == "stale" else None)


async def test_a_record_from_the_future_is_computed_anew_and_kept(world):
    """A record from the future is computed again once, and a metric counts the skew."""
    store, tasks, calls = MemoryStore(), pb.Registry(), []

    @tasks.artifact(**contract(fallback_if_stale=pb.Recompute()))
    def fact(key: str) -> str:
        calls.append(key)
        return key

    app = world.app(tasks, store=store, sources=[])
    world.clock.advance(7200)
    await app.serve(fact, "a")
    world.clock.advance(-7200)
    assert (await app.serve(fact, "a")).verdict == "fresh"
    assert (await app.serve(fact, "a")).verdict == "fresh"
    assert calls == ["a", "a"]
    assert metric(app, "parbake_clock_skew_total 1.0")


async def test_an_events_own_time_is_checked_and_never_believed(world):
    """An event's time in the future is counted, an invalid one is ignored, and both events raise their tags."""
    app, _ = lookup_task(world)
    ahead = CloudEvent("1", "s", "fact.changed", "fact/a", time="2999-01-01T00:00:00Z")
    for event in (ahead, CloudEvent("2", "s", "fact.changed", "fact/a", time="yesterday")):
        assert (await app.publish(event)).raised
    assert app.counters.clock_skew == 1


async def test_unknown_families_are_told_and_bounded(world):
    """The acknowledgement names unknown families, and the metric counts a limited number of them by name."""
    app, _ = lookup_task(world)
    told = [CloudEvent(str(n), "elsewhere", "x.changed", tag) for n, tag in enumerate(["fact/a", "fcat/a", "b"])]
    assert (await app.publish(told[0])).unknown == ()
    assert (await app.publish(*told)).unknown == ("b", "fcat")
    for n in range(MAX_FAMILIES + 20):
        await app.publish(CloudEvent(f"i{n}", "elsewhere", "x.changed", f"invented{n}/x"))
    counted = app.counters.unknown_families
    assert len(counted) == MAX_FAMILIES + 1
    assert counted["other"] == 22
    assert metric(app, 'parbake_events_unknown_family_total{family="fcat"} 1.0')


def test_a_family_named_other_counts_as_any():
    """A family that is named like the remainder's label stays within the limit."""
    counters = Counters()
    counters.unknown(["other", *(f"f{n}" for n in range(100))])
    assert len(counters.unknown_families) <= MAX_FAMILIES + 1
    assert counters.unknown_families["other"] == 1 + 100 - (MAX_FAMILIES - 1)


async def test_a_source_that_is_down_is_named_and_counted(world, tmp_path):
    """Other sources are polled, and each failed poll is counted for its source."""
    dead = SqliteSource(tmp_path / "missing.sqlite", families=["other"], views=[], name="dead")
    app = world.app(pb.Registry(), sources=[dead, world.source])
    for _ in range(2):
        with pytest.raises(pb.errors.SourceError) as caught:
            await app.drain()
        assert caught.value.field == "dead"
    assert metric(app, 'parbake_source_failures_total{source="dead"} 2.0')
    assert set((await app.engine.store.read("x", b"y")).heartbeats) == {"facts"}


async def test_a_topic_that_fails_in_its_own_way_is_a_source_error(world):
    """Any exception of a topic becomes a ``SourceError`` that names it."""

    class Odd:
        name, families = "odd", ("odd",)

        def parts(self):
            return 1 / 0

        def close(self):
            pass

    app = world.app(pb.Registry(), events=[Odd()])
    with pytest.raises(pb.errors.SourceError, match="'odd' cannot be polled"):
        await app.drain()
    assert set((await app.engine.store.read("x", b"y")).heartbeats) == {"facts"}
    await app.close()


async def test_an_event_sources_silence_makes_its_families_unknown(world, tmp_path):
    """If an event source without views is silent, values fenced by its families are unknown."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(fallback_if_stale=pb.Refuse(), invalidated_by=[pb.fence("fact/{key}")]))
    def fact(key: str) -> str:
        return key

    app = world.app(tasks, sources=[], events=[world.source])
    await app.drain()
    await app.serve(fact, "a")
    assert (await app.serve(fact, "a")).verdict == "fresh"
    world.clock.advance(31)
    assert (await app.serve(fact, "a")).verdict == "unknown"
    await app.drain()
    assert (await app.serve(fact, "a")).verdict == "fresh"


async def test_one_bad_event_refuses_the_batch(world):
    """One malformed event refuses the whole HTTP batch; nothing is raised or parked."""
    from parbake.ports.cloudevents import BATCH, parse

    app, _ = lookup_task(world)
    good = '{"id": "1", "source": "s", "type": "fact.changed", "subject": "fact/a"}'
    with pytest.raises(pb.BadInput) as caught:
        parse({"content-type": BATCH}, f"[{good}, {good.replace('fact/a', 'No Tag')}]".encode())
    assert caught.value.field == "subject"
    assert (await app.ops.parked(), (await app.stamp()).sequence) == ([], 0)


async def test_parking_is_atomic_with_the_position(world):
    """Two processes that poll the same malformed row park it once, with its position and reason."""
    world.put("a", "x")
    with world.connected() as connection:
        connection.execute("UPDATE parbake_outbox SET type = 'fact.vanished'")
    app, _ = lookup_task(world)
    other, _ = lookup_task(world, store=app.engine.store)
    await app.drain()
    await other.drain()
    (parked,) = await other.ops.parked()
    assert (parked.position, parked.at) == (1, world.clock.now())
    assert "must end in one of" in parked.reason
    assert (await app.stamp()).sequence == 1


async def facts_are_applied(app):
    """Return whether the first event of the facts is applied."""
    return await app.ops.applied() == {"facts": 1}


async def test_a_running_server_outlives_a_source_that_was_replaced(world, tmp_path, caplog):
    """A replaced outbox is logged by a running server, which continues; a new server refuses to start."""
    world.put("a", "1")
    app, _ = lookup_task(world, heartbeat="10ms")
    async with app.serving():
        with world.connected() as connection:
            connection.execute("DELETE FROM parbake_outbox")
            connection.execute("UPDATE sqlite_sequence SET seq = 0")
        await until(lambda: "is not the one this store was built from" in caplog.text)
        await app.ops.restart("facts")
        world.put("b", "1")
        await until(lambda: facts_are_applied(app))
    with world.connected() as connection:
        connection.execute("DELETE FROM parbake_outbox")
        connection.execute("UPDATE sqlite_sequence SET seq = 0")
    with pytest.raises(pb.errors.ForeignSource):
        async with app.serving():
            pass


async def test_another_process_that_goes_on_is_no_other_source(world, monkeypatch):
    """An event that another process applies between two steps of a poll does not make the source foreign."""
    store = MemoryStore()
    first, _ = lookup_task(world, store=store)
    world.put("a", "1")
    await first.drain()
    second, _ = lookup_task(world, store=store)
    applied = store.applied

    async def before_another_drain(source):
        monkeypatch.setattr(store, "applied", applied)
        done = await applied(source)
        world.put("a", "2")
        await first.drain()
        return done

    monkeypatch.setattr(store, "applied", before_another_drain)
    await second.drain()
    assert await second.ops.applied() == {"facts": 2}


async def test_a_loss_that_the_recovering_poll_notices_is_recovered_by_the_same_drain(world, monkeypatch):
    """If a source finds, while a store is recovered, that it has lost more, one drain ends with a trusted store."""
    store = MemoryStore()
    app, _ = lookup_task(world, store=store)
    await app.drain()
    world.put("a", "1")
    await store.distrust_store((await store.stamp()).control.incarnation)
    applied = store.apply

    async def apply_after_a_loss(*args, **options):
        monkeypatch.setattr(store, "apply", applied)
        await store.distrust_store((await store.stamp()).control.incarnation)
        return await applied(*args, **options)

    monkeypatch.setattr(store, "apply", apply_after_a_loss)
    ack = await app.drain()
    assert ack is not None
    assert ack.trusted
    assert (await store.stamp()).control.is_trusted
