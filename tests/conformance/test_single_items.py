"""The order of reads on a store of single items, which the guarantee needs if a fetch is not a snapshot."""

import msgspec
import pytest

from parbake.ports.event_log import Change
from parbake.protocol.check import killed_by
from parbake.protocol.control import Pointer, Promotion
from parbake.protocol.record import Built, Stamp, Tags
from parbake.stores.steps.item_names import CONTROL, mark_key, overlay_key
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems
from parbake.testing.store_suite import make_record


class Interrupted(DictItems):
    """Single items; ``then`` is called once, right after a fetch that includes the item ``when``."""

    def __init__(self, data=None):
        super().__init__(data, is_snapshot=False)
        self.when, self.then = b"", None

    async def fetch(self, names):
        """Fetch, and then let another store act."""
        found = await super().fetch(names)
        if self.then is not None and self.when in names:
            then, self.then = self.then, None
            await then()
        return found


@pytest.fixture
def two():
    """Return a store that can be interrupted, its items, and another store on the same data."""
    items = Interrupted()
    return OptimisticStore(items), items, OptimisticStore(DictItems(items.data, is_snapshot=False))


async def written(store):
    """Write a record of the key ``k``, and return it."""
    stamp, _ = await store.stamp()
    record = make_record(stamp)
    await store.write("t@1", b"k", record, now=1.0)
    return record


async def _read(store, record):
    return await store.read("t@1", b"k")


async def _read_a_generation(store, record):
    return await store.read("t@1", b"k", generation=7)


async def _look_again(store, record):
    return await store.look_again(record)


async def _scan(store, record):
    return (await anext(aiter(store.scan("t@1"))))[1]


WAYS = pytest.mark.parametrize("looked_up", [_read, _read_a_generation, _look_again, _scan])


@WAYS
async def test_a_heartbeat_is_no_newer_than_the_watermarks_it_vouches_for(two, looked_up):
    """A lookup does not combine a new heartbeat with watermarks from before it."""
    store, items, other = two
    record = await written(store)
    await looked_up(store, record)

    async def heard():
        await other.apply([Change(("policy/a",))], now=1.0)
        await other.beat("shop", 99.0, now=99.0)

    items.when, items.then = mark_key("policy/a"), heard
    lookup = await looked_up(store, record)
    assert items.then is None
    assert ("policy/a" in lookup.marks) or lookup.heartbeats.get("shop", 0.0) < 99.0
    assert dict((await looked_up(store, record)).heartbeats) == {"shop": 99.0}


@WAYS
async def test_watermarks_from_before_a_blessing_are_not_trusted_because_of_it(two, looked_up):
    """A lookup during which lost events are applied again and the store is blessed does not miss these events."""
    store, items, other = two
    record = await written(store)
    await looked_up(store, record)
    items.host = other.items.host = "second"  # a failover to a copy of the data that lacks a later event
    unblessed = await other.stamp()

    async def replayed():
        await other.apply([Change(("policy/a",))], now=1.0)
        await other.bless(unblessed.control.incarnation, raise_floor=False)

    items.when, items.then = mark_key("policy/a"), replayed
    lookup = await looked_up(store, record)
    assert items.then is None
    assert killed_by(record, lookup.control, lookup.marks, now=1.0) is not None
    await looked_up(store, record)
    assert (await looked_up(store, record)).control.is_trusted


@pytest.mark.parametrize("first", [CONTROL, overlay_key("t@1", b"k")])
async def test_a_newer_record_is_not_judged_by_an_older_control_record(two, first):
    """A write does not replace a newer record whose model was promoted during the write."""
    store, items, other = two
    stamp, control = await store.stamp()
    generation, at, _ = await other.begin()
    tags = Tags(("policy/a",), (), (Built("model@1", generation, is_model=True),))
    newer = make_record(Stamp(at.incarnation, at.sequence + 1), b"newer")
    newer = msgspec.structs.replace(newer, meta=msgspec.structs.replace(newer.meta, tags=tags))

    async def promoted():
        pointers = {"model@1": Pointer(generation, 1.0, 1.0)}
        await other.promote(Promotion(pointers, {"model@1": 0}, control.incarnation))
        await other.apply([Change(("policy/b",))], now=1.0)
        assert await other.write("t@1", b"k", newer, now=1.0)

    items.when, items.then = first, promoted
    assert not await store.write("t@1", b"k", make_record(stamp, b"older"), now=1.0)
    (kept,) = (await store.read("t@1", b"k")).records
    assert kept.payload == b"newer"
