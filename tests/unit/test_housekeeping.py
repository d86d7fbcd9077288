"""The floor follows the longest age that a contract allows, and records below it are swept."""

import pytest
from tests.unit.shopfloor import Facts, World, contract

import parbake as pb
from parbake.lanes.worker.housekeeping import MARGIN_S
from parbake.protocol.record import Stamp


@pytest.fixture
async def shop(tmp_path):
    """Return a world, its app and a task with an SLA of an hour that may be served an hour longer when stale."""
    world, tasks = World(tmp_path), pb.Registry()

    @tasks.artifact(**contract(fallback_if_stale=pb.ServeStale("1h")))
    async def fact(name: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
        """Return one fact."""
        return facts.get(name) or pb.Absent("none")

    app = world.app(tasks)
    yield world, app, fact
    await app.close()


async def test_the_floor_stays_while_anything_so_old_may_be_served(shop):
    """No watermark or record is removed until the longest age plus the margin is over."""
    world, app, fact = shop
    world.put("a", "1")
    await app.drain()
    await app.serve(fact, "a")
    world.clock.advance(7200 + MARGIN_S - 1)
    assert await app.engine.housekeeping.step() == 0
    assert (await app.engine.store.read(fact.ref, b"sa")).records


async def test_what_lies_below_the_floor_is_swept(shop):
    """Records and watermarks below the floor are removed, and the value is computed again on request."""
    world, app, fact = shop
    world.put("a", "1")
    world.put("b", "1")
    await app.drain()
    await app.serve(fact, "a")
    world.put("a", "2")
    await app.drain()
    world.clock.advance(7200 + MARGIN_S + 1)
    world.put("b", "2")
    await app.drain()
    removed = await app.engine.housekeeping.step()
    assert removed == 2, "the record of a, and its watermark; b and fact/* were raised again since"
    lookup = await app.engine.store.read(fact.ref, b"sa")
    assert lookup.records == ()
    assert (await app.serve(fact, "a")).value == "2"
    assert await app.engine.housekeeping.step() == 0


async def test_what_a_plugin_keeps_is_left_alone(tmp_path):
    """The floor also follows the greatest age of the records that a plugin keeps in the store."""

    class Keeps(pb.Plugin[None]):
        def open(self, parts):
            parts.keeps_s = 9000.0

    world = World(tmp_path)
    app = world.app(pb.Registry(), plugins=[Keeps()])
    world.put("a", "1")
    await app.drain()
    world.clock.advance(9000 + MARGIN_S - 1)
    assert await app.engine.housekeeping.step() == 0
    world.clock.advance(2)
    assert await app.engine.housekeeping.step() > 0
    await app.close()


async def test_a_store_in_doubt_is_not_swept(shop):
    """Nothing is removed while the incarnation is not blessed, because outboxes have yet to be replayed."""
    world, app, fact = shop
    world.put("a", "1")
    await app.drain()
    await app.serve(fact, "a")
    world.clock.advance(100_000)
    store = app.engine.store
    _, control = await store.stamp()
    before = await store.log(Stamp(0, 0), 10)
    from parbake.protocol.control import adopt
    from parbake.stores.steps.record_steps import numbers

    moved = adopt(adopt(control, "one", numbers()), "two", numbers())
    await store._take(lambda steps: steps.save(moved))
    assert await app.engine.housekeeping.step() == 0
    assert await store.log(Stamp(0, 0), 10) == before
