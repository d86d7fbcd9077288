"""Apps on one store accept each other's tickets, in every kind of store; apps on another store do not."""

import pytest

import parbake as pb
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems


def memory(_):
    """Return a function that gives every app the same memory store."""
    store = MemoryStore()
    return lambda: store


def lmdb(folder):
    """Return a function that opens the same file for every app."""
    return lambda: open_store(f"lmdb://{folder}?map_size=16MiB")


def server(is_snapshot):
    """Return a function for stores whose apps each connect to the same items."""

    def opened(_):
        data = {}
        return lambda: OptimisticStore(DictItems(data, is_snapshot=is_snapshot))

    return opened


KINDS = {"lmdb": lmdb, "memory": memory, "single": server(False), "snapshot": server(True)}


@pytest.fixture(params=sorted(KINDS))
def places(request, tmp_path):
    """Return two functions of one kind, each of which opens its own store for any number of apps."""
    return KINDS[request.param](tmp_path / "one"), KINDS[request.param](tmp_path / "other")


async def test_apps_on_one_store_take_each_others_tickets(places):
    """Each app accepts the tickets of the others, whichever created the signing key."""
    place, _ = places
    apps = [pb.App(pb.Registry(), open=["policy"], store=place()) for _ in range(3)]
    given_out = [await apps[0].touch("policy/a"), await apps[1].touch("policy/b")]
    for app in apps:
        for ack in given_out:
            async with app.request(after=ack.ticket) as request:
                assert request.acks == ack.tags
    for app in apps:
        await app.close()


async def test_a_ticket_of_another_store_is_refused(places):
    """A ticket of another store is refused, also if that store raised the same tags."""
    here, there = (pb.App(pb.Registry(), open=["policy"], store=place()) for place in places)
    ticket = (await there.touch("policy/a")).ticket
    await here.touch("policy/a")
    with pytest.raises(pb.BadInput) as refused:
        async with here.request(after=ticket):
            pass
    assert refused.value.field == "after"
    await here.close()
    await there.close()


async def test_tickets_outlive_the_process_that_signed_them(places):
    """An app that is opened later on the same store accepts the ticket."""
    place, _ = places
    app = pb.App(pb.Registry(), open=["policy"], store=place())
    ack = await app.touch("policy/a")
    await app.close()
    app = pb.App(pb.Registry(), open=["policy"], store=place())
    async with app.request(after=ack.ticket) as request:
        assert request.acks == ack.tags
    await app.close()
