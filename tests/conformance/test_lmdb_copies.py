"""An older copy of an LMDB store that comes back is recovered before anything in it is trusted."""

import pytest
from tests.store_files import copy_back, copy_of, copy_over, overwrite
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.errors import DamagedStore
from parbake.ports.event_log import Advance, Change, Move
from parbake.protocol.control import Pointer, Promotion, Quarantine
from parbake.testing.store_suite import make_record

TASK = "task@1"


async def touch(store):
    """Raise a tag, as ``app.touch`` does."""
    await store.apply([Change(("policy/a", "policy/*"))], now=2.0)


async def event(store):
    """Apply an event with an id."""
    await store.apply([Change(("policy/a", "policy/*"), "shop", "1")], now=2.0)


async def outbox(store):
    """Apply a row of an ordered log."""
    change = Change(("policy/a", "policy/*"), "shop", "1")
    await store.apply([change], now=2.0, advance=Advance("shop", 0, 1))


async def unordered_outbox(store):
    """Apply a page of a log that is read with a cursor."""
    await store.apply([Change(("policy/a", "policy/*"), "shop", "1")], now=2.0, advance=Move("shop", b"", b"one"))


async def rollback(store):
    """Withdraw the current generation."""
    await store.rollback(TASK, 2.0)


async def withdrawal(store):
    """Withdraw generations by number, as a recovery does."""
    await store.withdraw([1])


async def quarantine(store):
    """Put a task in quarantine."""
    await store.quarantine("task", Quarantine(2.0, "wrong", 1.0))


async def clearing(store):
    """Release a task from its quarantine."""
    await store.quarantine("other", None)


async def named_value(store):
    """Swap a named value."""
    assert await store.swap("lease", None, b"mine")


async def entry(store):
    """Add an entry to a list."""
    await store.append("complaints", b"1", b"wrong")


async def log_entry(store):
    """Add an entry to a log."""
    await store.note("complaints", b"wrong")


async def floor(store):
    """Raise the floor."""
    await store.raise_floor((await store.stamp()).stamp)


CHANGES = [
    touch, event, outbox, unordered_outbox, rollback, withdrawal, quarantine, clearing, named_value, entry, log_entry,
    floor,
]  # fmt: skip


async def fill(store):
    """Store a record, two generations and a quarantine."""
    await store.apply([Change(("policy/b", "policy/*"))], now=1.0)
    assert await store.write("overlay@1", b"k", make_record((await store.stamp()).stamp), now=1.0)
    for _ in range(2):
        generation, started, control = await store.begin()
        await store.write_base(TASK, generation, [(b"k", make_record(started, generation=generation))])
        pointers = {TASK: Pointer(generation, 1.0, 1.0)}
        await store.promote(Promotion(pointers, {TASK: control.pointer(TASK)}, control.incarnation))
    await store.quarantine("other", Quarantine(1.0, "wrong", 1.0))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("restore", [copy_back, copy_over, overwrite])
async def test_a_copy_that_lacks_a_change_is_not_trusted(place, opened, change, restore, monkeypatch):
    """With all processes stopped, a copy from before an acknowledged change comes back as a new incarnation."""
    store = opened()
    await fill(store)
    await store.close()
    copy = copy_of(place)
    store = opened()
    await change(store)
    before = (await store.stamp()).control
    await store.close()
    restore(place, copy, monkeypatch)
    store = opened()
    stamp, control = await store.stamp()
    assert not control.is_trusted
    assert stamp.incarnation > before.incarnation
    assert await store.get("lease") is None
    assert (await store.bless(stamp.incarnation, raise_floor=True)).is_trusted


async def test_the_documented_restore_serves_nothing_old(place, monkeypatch):
    """After rm -r and cp -r with stopped processes, a read shows what was acknowledged by a touch before."""
    tasks, days = pb.Registry(), ["30"]

    @tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
    async def policy(name: str) -> str:
        """Return the current days."""
        return days[0]

    def app():
        return pb.App(tasks, store=f"lmdb://{place}?map_size=16MiB")

    first = app()
    await first.serve(policy, "returns")
    await first.close()
    copy = copy_of(place)
    second = app()
    days[0] = "14"
    await second.touch("policy/returns")
    await second.close()
    copy_back(place, copy, monkeypatch)
    third = app()
    served = await third.serve(policy, "returns")
    assert not served.has_value or served.value == "14"
    await third.drain()
    assert (await third.serve(policy, "returns")).value == "14"
    await third.close()


async def glimpse(store):
    """Read the newest record at once."""
    store.glimpse(TASK, b"k")


USES = [lambda store: store.read(TASK, b"k"), glimpse, lambda store: store.stamp(), lambda store: store.get("x"), touch]


@pytest.mark.parametrize("use", USES)
async def test_a_file_that_is_overwritten_under_a_process_is_not_used(place, opened, use):
    """A running process refuses to read or to write a file over which an older copy was written."""
    store = opened()
    await fill(store)
    copy = copy_of(place)
    await touch(store)
    overwrite(place, copy)
    with pytest.raises(DamagedStore):
        await use(store)


@pytest.mark.parametrize("restore", [copy_back, copy_over])
async def test_a_copy_that_its_source_finds_older_as_well_can_be_used_again(place, opened, restore, monkeypatch):
    """The opening begins an incarnation, the source another one: after the recovery every opening takes the store."""
    store = opened()
    await fill(store)
    await store.close()
    copy = copy_of(place)
    store = opened()
    await touch(store)
    await store.close()
    restore(place, copy, monkeypatch)
    store = opened()
    opening = (await store.stamp()).control
    control = await store.distrust_store(opening.incarnation)
    assert control.incarnation > opening.incarnation
    assert (await store.bless(control.incarnation, raise_floor=True)).is_trusted
    await store.close()
    assert (await opened().stamp()).control.is_trusted
