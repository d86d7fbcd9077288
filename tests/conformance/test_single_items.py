"""The order of reads on a store of single items, which the guarantee needs if a fetch is not a snapshot."""

import msgspec
import pytest

from parbake.fence.control import Pointer, Promotion
from parbake.fence.record import Built, Stamp, Tags
from parbake.ports.event_log import Change
from parbake.stores.steps.engine import CONTROL, mark_key, overlay_key
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.items import DictItems
from parbake.testing.stores import make_record


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


async def test_a_heartbeat_is_no_newer_than_the_watermarks_it_vouches_for(two):
    """A read does not combine a new heartbeat with watermarks from before it."""
    store, items, other = two
    stamp, _ = await store.stamp()
    await store.write("t@1", b"k", make_record(stamp), now=1.0)
    await store.read("t@1", b"k")

    async def heard():
        await other.apply([Change(("policy/a",))], now=1.0)
        await other.beat("shop", 99.0)

    items.when, items.then = mark_key("policy/a"), heard
    lookup = await store.read("t@1", b"k")
    assert items.then is None
    assert ("policy/a" in lookup.marks) or lookup.heartbeats.get("shop", 0.0) < 99.0
    assert dict((await store.read("t@1", b"k")).heartbeats) == {"shop": 99.0}


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
