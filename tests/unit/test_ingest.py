"""Ingestion: from rows of an outbox to raised tags."""

import asyncio
import threading

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.ports.cloudevents import CloudEvent
from parbake.process.threads import THREADS


async def test_an_outbox_is_applied_to_its_end_and_once(world):
    """Each row raises its tags once; a second drain raises none."""
    app = world.app(pb.Registry())
    for name in "abc":
        world.put(name, "x")
    ack = await app.drain()
    assert set(ack.raised) == {"fact/a", "fact/b", "fact/c", "fact/*"}
    assert await app.drain() is None
    assert await app.stamp() == ack.stamp


async def test_an_event_costs_one_commit_of_the_store(world, monkeypatch):
    """One commit applies an event with its source's heartbeat; a poll without events commits the heartbeat."""
    app = world.app(pb.Registry())
    world.put("a", "x")
    await app.drain()
    store, commits = app.engine.store, []
    step = store._step

    async def counted(work):
        commits.append(work)
        return await step(work)

    monkeypatch.setattr(store, "_step", counted)
    world.put("b", "x")
    world.clock.advance(5)
    await app.drain()
    assert len(commits) == 1
    seen = await store.read("any@1", b"")
    assert seen.heartbeats == {"facts": world.clock.now()}
    await app.drain()
    assert len(commits) == 2


async def test_an_acknowledgement_names_all_that_was_applied(world, monkeypatch):
    """The acknowledgement of a drain over several pages has every tag that was raised."""
    monkeypatch.setattr("parbake.lanes.event.log_reader.PAGE", 3)
    for n in range(8):
        world.put(f"f{n}", "x")
    ack = await world.app(pb.Registry()).drain()
    assert {f"fact/f{n}" for n in range(8)} <= ack.raised.keys()
    assert ack.raised["fact/*"] == max(ack.raised.values())


async def test_a_malformed_row_blocks_nothing_and_hides_nothing(world, caplog):
    """A malformed row raises all families of its source, and the rows after it are applied."""
    app = world.app(pb.Registry())
    world.put("a", "x")
    with world.connected() as connection:
        connection.execute("UPDATE parbake_outbox SET subject = 'No Tag'")
    world.put("b", "x")
    ack = await app.drain()
    assert {"fact", "fact/*", "fact/b"} <= set(ack.raised)
    assert "position 1" in caplog.text


async def test_a_dead_source_does_not_silence_the_others(world, tmp_path):
    """Other sources are polled, and the drain raises the dead source's error."""
    dead = SqliteSource(tmp_path / "missing.sqlite", families=["other"], views=[], name="dead")
    app = world.app(pb.Registry(), sources=[dead, world.source])
    world.put("a", "x")
    with pytest.raises(pb.errors.SourceError, match="dead"):
        await app.drain()
    lookup = await app.engine.store.read("x", b"y")
    assert set(lookup.heartbeats) == {"facts"}
    assert (await app.engine.store.applied("facts")).position == 1


async def test_one_source_is_drained_while_another_hangs(world, tmp_path, monkeypatch):
    """A change of one source is acknowledged although as many calls as there are threads wait for another database."""
    door = threading.Event()
    hung = world.source_of(families=("other",))
    hung.name = "hung"
    monkeypatch.setattr(hung, "extent", lambda: door.wait(HANGS_S))
    app = world.app(pb.Registry(), sources=[hung, world.source])
    waiting = [asyncio.create_task(app.drain("hung")) for _ in range(2 * THREADS)]
    try:
        async with asyncio.timeout(HANGS_S):
            await asyncio.sleep(0)
            world.put("a", "x")
            ack = await app.drain("facts")
        assert "fact/a" in ack.raised
        with pytest.raises(pb.errors.SourceError, match="no source is named 'fact'; there are facts, hung"):
            await app.drain("fact")
    finally:
        door.set()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_adapters_own_error_is_a_source_error(world, monkeypatch):
    """Any exception of a source becomes a ``SourceError`` that names the source."""
    app = world.app(pb.Registry())
    monkeypatch.setattr(world.source, "poll", lambda after, limit: 1 / 0)
    with pytest.raises(pb.errors.SourceError, match="'facts' cannot be polled"):
        await app.drain()


async def test_touch_raises_entities_and_families(world):
    """A touch of a family without an entity raises its bulk tag."""
    app = world.app(pb.Registry(), open=["user"])
    assert set((await app.touch("fact/a", "user")).raised) == {"fact/a", "fact/*", "user", "user/*"}
    with pytest.raises(pb.BadInput):
        await app.touch("No Tag")


async def test_a_touched_value_without_a_source_is_recomputed(world):
    """A value of an app without sources is recomputed after a touch."""
    tasks, words = pb.Registry(), ["new", "old"]

    @tasks.artifact(**contract(invalidated_by=[pb.fence("policy")]))
    def answer(key: str) -> str:
        return words.pop()

    app = pb.App(tasks)
    assert (await app.serve(answer, "returns")).value == "old"
    await app.touch("policy/returns")
    assert (await app.serve(answer, "returns")).value == "new"


def test_the_synchronous_face_does_the_same(world):
    """``app.sync`` serves, touches, publishes and closes from synchronous code."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key) or "none"

    app = world.app(tasks)
    assert app.sync.serve(fact, "a").value == "none"
    app.sync.run(app.materialize(fact, keys=["a"]))
    assert app.sync.run(app.touch("fact/a")).raised
    event = CloudEvent("1", "s", "fact.changed", "fact/a")
    assert app.sync.run(app.publish(event, event)).duplicates == 1
    app.sync.close()


async def test_another_outbox_is_refused(world, tmp_path):
    """A store that was filled from one outbox refuses a different outbox under the same name."""
    tasks = pb.Registry()
    world.put("a", "1")
    app = world.app(tasks)
    await app.drain()
    for changes in (0, 3):
        other = type(world)(tmp_path / f"other{changes}")
        for n in range(changes):
            other.put("a", str(n))
        swapped = other.app(tasks, store=app.engine.store)
        with pytest.raises(pb.errors.ForeignSource, match="delete the store") as caught:
            await swapped.drain()
        assert caught.value.field == "facts"
        other.close()


async def test_an_event_of_an_outbox_has_its_own_acknowledgement(world):
    """A position's acknowledgement can be read once it is applied; before, or for an unknown position, it fails."""
    app = world.app(pb.Registry())
    world.put("a", "one")
    with pytest.raises(pb.errors.NotAcknowledged, match="position 1"):
        await app.acknowledgement(1)
    own = await app.drain()
    world.put("b", "two")
    await app.drain()
    told = await app.acknowledgement(1)
    assert told.raised == own.raised
    assert told.ticket
    for position, source in ((1, "nonsense"), (3, "facts")):
        with pytest.raises((pb.errors.NotAcknowledged, pb.errors.SourceError)):
            await app.acknowledgement(position, source)
    await app.close()
