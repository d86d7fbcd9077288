"""Apps on one store take each other's tickets, on every kind of store; apps on another do not."""

import pytest

import parbake as pb
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.items import DictItems


def memory(_):
    """One memory for every app."""
    store = MemoryStore()
    return lambda: store


def lmdb(folder):
    """Open the same file for every app."""
    return lambda: open_store(f"lmdb://{folder}?map_size=16MiB")


def server(is_snapshot):
    """Return what gives every app a connection to the same items."""

    def opened(_):
        data = {}
        return lambda: OptimisticStore(DictItems(data, is_snapshot=is_snapshot))

    return opened


KINDS = {"lmdb": lmdb, "memory": memory, "single": server(False), "snapshot": server(True)}


@pytest.fixture(params=sorted(KINDS))
def places(request, tmp_path):
    """Return two places of one kind; each opens a store for as many apps as want one."""
    return KINDS[request.param](tmp_path / "one"), KINDS[request.param](tmp_path / "other")


async def test_apps_on_one_store_take_each_others_tickets(places):
    """Whoever made the key: one that acknowledged first, one that came later, and one that has only read."""
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
    """Also where that store is of the same app and has raised the same tags."""
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
    """An app that is opened later on what the store keeps verifies them."""
    place, _ = places
    app = pb.App(pb.Registry(), open=["policy"], store=place())
    ack = await app.touch("policy/a")
    await app.close()
    app = pb.App(pb.Registry(), open=["policy"], store=place())
    async with app.request(after=ack.ticket) as request:
        assert request.acks == ack.tags
    await app.close()
