"""Reads that carry their caller's acknowledgements, which hold even if the store lost the events."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_files import restart_machine, set_disk_back, snapshot
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.ports.event_log import Ack
from parbake.protocol import acks
from parbake.protocol.acks import Seal, read_tickets
from parbake.protocol.record import Stamp
from parbake.protocol.tags import family, read_entity, read_set

STAMPS = st.binary(min_size=16, max_size=16)
TAGS = st.builds("{}/{}".format, st.sampled_from(["policy", "product"]), st.integers(0, 500))
ACKS = st.dictionaries(TAGS, STAMPS, max_size=100)
SEAL = Seal.of(b"k" * 32)


class Shop:
    """A policy that is looked up, and an answer that reads it, over a store in a folder."""

    def __init__(self, folder):
        """Declare both tasks."""
        self.days = "30"
        self.calls = 0
        self.tasks = pb.Registry()
        self.folder = folder

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
        async def policy(name: str) -> str:
            """Return the current days, and count the call."""
            self.calls += 1
            return self.days

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
        async def answer(name: str, *, policies: pb.Reader[str, str] = pb.Input(policy)) -> str:
            """Return the policy's days as a text."""
            return f"{(await policies.get(name)).value} days"

        self.answer = answer

    def open(self):
        """Open an app on the folder, as another process would."""
        return pb.App(self.tasks, store=f"lmdb://{self.folder}?map_size=16MiB")


@pytest.fixture
async def restored(tmp_path):
    """Yield a shop whose whole disk was set back, which nothing can notice, its app, and the ack of the lost event."""
    shop = Shop(tmp_path / "store")
    app = shop.open()
    await app.touch("policy/warranty")  # the first acknowledgement creates the key that signs tickets
    await app.serve(shop.answer, "returns")
    await app.close()
    files = snapshot(shop.folder)
    app, shop.days = shop.open(), "14"
    ack = await app.touch("policy/returns")
    await app.close()
    set_disk_back(shop.folder, files)
    restart_machine(shop.folder)
    app = shop.open()
    yield shop, app, ack
    await app.close()


@pytest.mark.parametrize("said", [lambda ack: ack, lambda ack: ack.ticket, lambda ack: [ack.ticket, ack]])
async def test_who_was_told_is_not_served_what_was_before(restored, said):
    """A caller with the acknowledgement of a lost event gets the new value, also through a derived task."""
    shop, app, ack = restored
    assert (await app.serve(shop.answer, "returns")).value == "30 days"  # the loss is not detected
    async with app.request(after=said(ack)):
        assert (await app.serve(shop.answer, "returns")).value == "14 days"


async def test_a_ticket_above_the_counter_costs_its_own_tags_and_ends(restored):
    """A ticket above the counter recomputes only values of its tags, until the counter has passed it."""
    shop, app, ack = restored
    await app.serve(shop.answer, "warranty")
    assert ack.stamp > await app.stamp()
    calls = shop.calls
    async with app.request(after=ack.ticket):
        await app.serve(shop.answer, "warranty")
        assert shop.calls == calls
        await app.serve(shop.answer, "returns")
        assert shop.calls == calls + 1
        await app.serve(shop.answer, "returns")
        assert shop.calls == calls + 2
        while await app.stamp() < ack.stamp:
            await app.touch("policy/cart")
        await app.serve(shop.answer, "returns")
        assert shop.calls == calls + 3
        await app.serve(shop.answer, "returns")
        assert shop.calls == calls + 3


async def test_a_copy_from_before_the_first_ticket_refuses_rather_than_serve_what_was(tmp_path):
    """A restored store without the signing key refuses older tickets, and accepts new ones."""
    shop = Shop(tmp_path / "store")
    app = shop.open()
    await app.serve(shop.answer, "returns")
    await app.close()
    files = snapshot(shop.folder)
    app, shop.days = shop.open(), "14"
    ticket = (await app.touch("policy/returns")).ticket
    await app.close()
    set_disk_back(shop.folder, files)
    restart_machine(shop.folder)
    app = shop.open()
    with pytest.raises(pb.BadInput, match="send the event again"):
        async with app.request(after=ticket):
            pass
    async with app.request(after=(await app.touch("policy/returns")).ticket):
        assert (await app.serve(shop.answer, "returns")).value == "14 days"
    await app.close()


async def test_an_acknowledgement_kills_nothing_else(restored):
    """I9: for a caller with acknowledgements, values of other entities are served from the store."""
    shop, app, ack = restored
    await app.serve(shop.answer, "warranty")
    calls = shop.calls
    async with app.request(after=ack):
        await app.serve(shop.answer, "warranty")
    assert shop.calls == calls


async def test_a_value_made_after_the_acknowledgement_is_served(tmp_path):
    """A value that is newer than the caller's acknowledgement is served from the store."""
    shop = Shop(tmp_path / "store")
    app = shop.open()
    await app.serve(shop.answer, "returns")
    ack = await app.touch("policy/returns")
    await app.serve(shop.answer, "returns")
    calls = shop.calls
    async with app.request(after=ack):
        await app.serve(shop.answer, "returns")
    assert shop.calls == calls
    await app.close()


async def test_a_scope_within_another_carries_its_acknowledgements(restored):
    """A request scope inside another one keeps the outer scope's acknowledgements."""
    shop, app, ack = restored
    async with app.request(after=ack), app.request("1s"):
        assert (await app.serve(shop.answer, "returns")).value == "14 days"


async def test_callers_with_acknowledgements_share_a_flight(tmp_path):
    """Concurrent reads with acknowledgements of other families share one computation of a key."""
    shop = Shop(tmp_path / "store")
    app = shop.open()
    told = [Ack(Stamp(1, 1), {f"cart/{n}": 1}) for n in range(20)]

    async def ask(ack):
        async with app.request(after=ack):
            return (await app.serve(shop.answer, "returns")).value

    assert set(await asyncio.gather(*map(ask, told))) == {"30 days"}
    assert shop.calls == 1
    await app.close()


def test_synchronous_code_carries_acknowledgements_too(tmp_path):
    """A request scope of ``app.sync`` applies its acknowledgements to reads; a closed app refuses to serve."""
    shop = Shop(tmp_path / "store")
    opened = shop.open()
    app = opened.sync
    assert app.run(opened.drain()) is None
    app.serve(shop.answer, "returns")
    newer = Ack(Stamp(2**62, 1), {"policy/returns": 1})
    shop.days = "14"
    with app.request("5s", after=newer) as request:
        assert app.serve(shop.answer, "returns").value == "14 days"
    assert [step.task for step in request.steps] == ["answer"]
    app.close()
    app.close()
    with pytest.raises(RuntimeError, match="closed"):
        app.serve(shop.answer, "returns")


@pytest.mark.parametrize("after", [5, b"x", [None], [[]]])
def test_what_is_no_acknowledgement_is_refused_by_name(after, tmp_path):
    """``after=`` accepts acknowledgements, tickets and ``None``, and refuses anything else."""
    app = Shop(tmp_path).open()
    with pytest.raises(pb.BadInput) as refused:
        app.request(after=after)
    assert refused.value.field == "after"
    app.request(after=None)


@pytest.mark.parametrize(
    "told",
    [
        {f"policy/{n:0249}": b"%016d" % n for n in range(50)},
        {f"f{n}/x": b"%016d" % n for n in range(300)},
        {"f" * 254 + "/x": b"%016d" % 1} | {f"p/{n}": b"%016d" % n for n in range(80)},
    ],
)
def test_every_ticket_that_is_given_out_is_taken_back(told):
    """A ticket is read back for tags of any length and any number of families."""
    read = read_tickets(acks.ticket(told, SEAL), SEAL)
    assert all(max(read.get(t, b"") for t in read_entity(tag)) >= stamp for tag, stamp in told.items())


@given(ACKS)
def test_a_ticket_tells_at_least_what_was_acknowledged(told):
    """A ticket binds at least the acknowledged tags; with few tags it holds exactly these."""
    read = read_tickets(acks.ticket(told, SEAL), SEAL)
    for tag, stamp in told.items():
        assert max(read.get(t, b"") for t in read_entity(tag)) >= stamp
    if len(told) <= acks.MAX_TAGS:
        assert read == told
    else:
        assert all(max(s for t, s in told.items() if family(t) == f) == read[f"{f}/*"] for f in map(family, told))


def test_a_ticket_of_many_tags_binds_whole_sets_too():
    """A ticket of many tags names families, and binds reads of whole sets as well."""
    told = {f"policy/{n}": b"%016d" % n for n in range(100)}
    read = read_tickets(acks.ticket(told, SEAL), SEAL)
    assert read == {"policy": b"%016d" % 99, read_set("policy")[0]: b"%016d" % 99}


@given(ACKS, ACKS)
def test_watermarks_and_acknowledgements_join_to_the_later(marks, told):
    """Joining keeps every tag with its later stamp."""
    joined = acks.joined(marks, told)
    assert joined == {t: max(marks.get(t, b""), told.get(t, b"")) for t in marks.keys() | told.keys()}


async def test_a_text_that_is_too_long_for_tickets_is_refused_by_name(tmp_path):
    """A ticket text over the limit is refused, and the error states the limit."""
    app = Shop(tmp_path).open()
    with pytest.raises(pb.BadInput, match="65536") as refused:
        async with app.request(after="x" * 80_000):
            pass
    assert refused.value.field == "after"
    await app.close()
