"""Tickets are signed with a key in the store, so none can be forged, changed or taken from another store."""

import asyncio
import base64
import pickle
import string

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.errors import StoreError
from parbake.http import HttpApp
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.event_log import Ack, Change
from parbake.protocol import acks
from parbake.protocol.record import Stamp
from parbake.serving import tickets
from parbake.serving.tickets import KEY_BYTES, NAME, Tickets
from parbake.stores.memory import MemoryStore

SEAL = acks.Seal.of(b"k" * KEY_BYTES)
TAGS = st.builds("{}/{}".format, st.sampled_from(["policy", "product"]), st.integers(0, 500))
ACKS = st.dictionaries(TAGS, st.binary(min_size=16, max_size=16), min_size=1, max_size=70)
ALPHABET = string.ascii_letters + string.digits + "-_+/="
ALL_BITS = {"policy/returns": b"\xff" * 16, "policy": b"\xff" * 16, "policy/*": b"\xff" * 16}


def text_of(raw):
    """Return bytes encoded as a ticket."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(mac=b""):
    """Return a ticket with all bits set, under an invented signature."""
    return text_of(mac + msgspec.msgpack.encode(ALL_BITS))


FORGED = {
    "the format without a signature": forged(),
    "a signature of zeros": forged(bytes(acks.MAC_BYTES)),
    "another key": acks.ticket(ALL_BITS, acks.Seal.of(b"x" * KEY_BYTES)),
    "no base64": "nonsense!",
    "not ASCII": "ticket\xe9",
    "too short for a signature": "AAAA",
    "a signature of nothing": text_of(bytes(acks.MAC_BYTES)),
}


class CountingStore(MemoryStore):
    """A store that counts reads and writes of the key, and fails on demand."""

    def __init__(self):
        super().__init__()
        self.gets = self.swaps = self.reads = 0
        self.is_down = False

    async def get(self, name):
        self.gets += name == NAME
        if self.is_down and name == NAME:
            raise StoreError("down", field="store")
        return await super().get(name)

    async def swap(self, name, expected, new):
        self.swaps += name == NAME
        return await super().swap(name, expected, new)

    async def read(self, task, key, *, generation=0):
        self.reads += 1
        return await super().read(task, key, generation=generation)

    def glimpse(self, task, key):
        self.reads += 1
        return super().glimpse(task, key)


class Shop:
    """An artifact over a counting store, and apps on it."""

    def __init__(self):
        self.calls = 0
        self.tasks = pb.Registry()
        self.store = CountingStore()

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
        async def answer(name: str) -> str:
            """Return a numbered answer."""
            self.calls += 1
            return f"answer {self.calls}"

        self.answer = answer

    def app(self):
        """Open an app, as another process would."""
        return pb.App(self.tasks, store=self.store)


async def raised(store, tag="policy/a"):
    """Return the store's acknowledgement of an event, without a seal."""
    return await store.apply([Change((tag,))], now=1.0)


async def told_by(store, text):
    """Return what a new process reads from a ticket, or ``None`` if it is refused."""
    try:
        return await Tickets(store).read(text)
    except pb.BadInput:
        return None


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_ticket_is_refused_before_anything_is_read(text):
    """A forged ticket is refused by field before the store is read or a value computed."""
    shop = Shop()
    app = shop.app()
    await app.touch("policy/other")
    await app.serve(shop.answer, "returns")
    reads = shop.store.reads
    with pytest.raises(pb.BadInput, match="send the event again") as refused:
        async with app.request(after=text):
            await app.serve(shop.answer, "returns")
    assert (refused.value.field, shop.calls, shop.store.reads) == ("after", 1, reads)
    await app.close()


@pytest.mark.parametrize("text", ["", *FORGED.values()], ids=["none", *FORGED])
async def test_a_forged_ticket_writes_nothing(text):
    """Reading a forged ticket does not create the signing key."""
    store = CountingStore()
    assert await told_by(store, text) == (None if text else {})
    assert (store.swaps, await store.get(NAME)) == (0, None)


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED.keys())
async def test_http_answers_a_forged_ticket_with_a_problem_document(text):
    """A forged ticket gets a problem document on every route, and nothing is computed."""
    shop = Shop()
    app = shop.app()
    await app.touch("policy/other")
    await app.serve(shop.answer, "returns")
    transport = httpx.ASGITransport(HttpApp(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"parbake-after": text.encode("latin-1")}
        refused = await client.post("/v1/serve/answer", json={"key": "returns"}, headers=headers)
        assert (refused.status_code, refused.json()["field"]) == (pb.BadInput.status, "parbake-after")
        assert refused.headers["content-type"] == "application/problem+json"
        assert "send the event again" in refused.json()["detail"]
        assert (await client.get("/v1/tasks", headers=headers)).status_code == pb.BadInput.status
    assert (shop.calls, dict(app.counters.misses)) == (1, {("answer", "missing", "never_computed"): 1})
    await app.close()


def test_synchronous_code_has_tickets_verified_too():
    """``app.sync.request`` accepts acknowledgements and genuine tickets, and refuses forged ones."""
    shop = Shop()
    opened = shop.app()
    app = opened.sync
    ack = app.run(opened.touch("policy/returns"))
    for after in (ack, ack.ticket, [ack, ack.ticket], f"{ack.ticket}, {ack.ticket}"):
        with app.request("5s", after=after) as request:
            assert request.acks == ack.tags
            assert app.serve(shop.answer, "returns").value == "answer 1"
    with pytest.raises(pb.BadInput, match="drop it"), app.request(after=[ack, FORGED["another key"]]):
        pass
    app.close()


@given(ACKS)
def test_a_ticket_tells_what_was_signed(told):
    """A ticket is read back under its own key, and refused under another or none."""
    text = acks.ticket(told, SEAL)
    assert acks.read_tickets(text, SEAL) == (told if len(told) <= acks.MAX_TAGS else acks._by_family(told))
    assert acks.read_tickets(text, None) is None
    assert acks.read_tickets(text, acks.Seal.of(b"l" * KEY_BYTES)) is None


@given(ACKS, st.data())
def test_a_ticket_with_one_changed_character_is_refused(told, data):
    """Any changed character is refused, also if base64 decodes it to the same bytes."""
    text = acks.ticket(told, SEAL)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=255).filter(lambda c: c != text[at]))
    assert acks.read_tickets(text[:at] + other + text[at + 1 :], SEAL) is None


@pytest.mark.parametrize("tag", ["a", "ab", "abc"])
def test_no_character_of_base64_may_stand_for_another(tag):
    """Each character is replaced by every other; this covers unused bits in the last one."""
    text = acks.ticket({tag: b"%016d" % 1}, SEAL)
    for at in range(len(text)):
        for other in ALPHABET.replace(text[at], ""):
            assert acks.read_tickets(text[:at] + other + text[at + 1 :], SEAL) is None


@given(ACKS, st.data())
def test_a_ticket_with_one_changed_byte_is_refused(told, data):
    """Any changed byte of the decoded ticket is refused."""
    raw = bytearray(base64.urlsafe_b64decode(acks.ticket(told, SEAL) + "=="))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert acks.read_tickets(text_of(raw), SEAL) is None


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_ticket_that_was_cut_or_prolonged_is_refused(cut):
    """A ticket that is cut, extended or padded is refused."""
    text = acks.ticket({"policy/a": b"%016d" % 1}, SEAL)
    for other in (text[cut:], text[:-cut], text + "A" * cut, text + "=" * cut):
        assert acks.read_tickets(other, SEAL) is None


def test_one_forged_ticket_among_many_is_enough():
    """A list of tickets is refused if one of them is forged."""
    text = acks.ticket({"policy/a": b"%016d" % 1}, SEAL)
    assert acks.read_tickets(f"{text}, {FORGED['another key']}", SEAL) is None
    assert acks.read_tickets(f" {text} ,, {text}", SEAL) == {"policy/a": b"%016d" % 1}


async def test_every_way_to_be_acknowledged_gives_a_ticket(world):
    """Publish, touch, drain and restart return tickets that the store accepts."""
    app = world.app(pb.Registry())
    world.put("a", "one")
    event = CloudEvent("1", "s", "fact.changed", "fact/b")
    given_out = [await app.drain(), await app.publish(event), await app.touch("fact/c"), await app.ops.restart("facts")]
    for ack in given_out:
        async with app.request(after=ack.ticket) as request:
            assert request.acks == ack.tags
    await app.close()


async def test_acknowledgements_together_have_one_ticket():
    """The ticket of joined acknowledgements has the tags of all, whichever is sealed."""
    store = MemoryStore()
    signer = Tickets(store)
    first = await signer.sealed(await raised(store, "policy/a"))
    second = await raised(store, "policy/b")
    both = Ack.together([first, second])
    assert await told_by(store, both.ticket) == {**first.tags, **second.tags}
    assert "," not in both.ticket


@pytest.mark.parametrize("ack", [Ack(Stamp(1, 1), {"policy/a": 1}), Ack(Stamp(1, 1), {}, seal=SEAL)])
async def test_only_what_an_app_acknowledged_has_a_ticket(ack):
    """A hand-made acknowledgement has no ticket; one that raised no tag has an empty ticket."""
    if ack.raised:
        with pytest.raises(pb.BadInput, match="returned in this process"):
            _ = ack.ticket
    else:
        assert ack.ticket == ""


async def test_the_key_stays_where_it_is(caplog):
    """The key is in no representation, error, log, metric or HTTP answer, and not in a pickled copy."""
    caplog.set_level("DEBUG")
    shop = Shop()
    app = shop.app()
    ack = await app.touch("policy/returns")
    key = await shop.store.get(NAME)
    assert ack.seal.key == key
    with pytest.raises(pb.BadInput) as refused:
        async with app.request(after=forged()):
            pass
    with pytest.raises(pb.BadInput) as misused:
        app.request(after=[ack, 5])
    shown = [repr(ack), str(refused.value), str(misused.value), caplog.text, str(msgspec.structs.asdict(ack))]
    raw = [msgspec.json.encode(ack), msgspec.msgpack.encode(ack), pickle.dumps(ack)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(HttpApp(app)), base_url="http://localhost") as client:
        event = {"specversion": "1.0", "id": "1", "source": "s", "type": "policy.changed", "subject": "policy/a"}
        raw.append((await client.post("/v1/events", json=event)).content)
        raw += [(await client.get(path)).content for path in ("/metrics", "/readyz", "/v1/tasks", "/v1/freshness")]
    for form in (
        key,
        repr(key)[2:-1].encode(),
        key.hex().encode(),
        base64.b64encode(key),
        base64.urlsafe_b64encode(key),
    ):
        assert not any(form.rstrip(b"=") in one for one in [*raw, *(text.encode() for text in shown)])
    with pytest.raises(pb.BadInput):
        _ = pickle.loads(pickle.dumps(ack)).ticket
    await app.close()


async def test_processes_that_come_first_together_agree_on_a_key():
    """Processes that create the key at the same time agree on one, and accept each other's tickets."""
    store = CountingStore()
    processes = [Tickets(store) for _ in range(8)]
    sealed = await asyncio.gather(*[one.sealed(await raised(store)) for one in processes])
    assert len({ack.seal.key for ack in sealed}) == 1
    assert len(await store.get(NAME)) == KEY_BYTES
    for one in processes:
        assert [await one.read(ack.ticket) for ack in sealed] == [ack.tags for ack in sealed]


async def test_the_key_is_kept_in_the_process():
    """Giving out and reading tickets does not read the key from the store again."""
    store = CountingStore()
    one = Tickets(store)
    text = (await one.sealed(await raised(store))).ticket
    before = store.gets
    for _ in range(50):
        text = (await one.sealed(await raised(store))).ticket
        await one.read(text)
    assert (store.gets, store.swaps) == (before, 1)


async def test_a_key_that_was_replaced_is_found_when_a_ticket_does_not_fit():
    """If a ticket does not verify, the process reads the key again, and signs with the new one from then on."""
    store, other = MemoryStore(), MemoryStore()
    one = Tickets(store)
    old = await one.sealed(await raised(store))
    await Tickets(other).sealed(await raised(other))
    assert await store.swap(NAME, await store.get(NAME), await other.get(NAME))
    new = await Tickets(store).sealed(await raised(store))
    assert await one.read(new.ticket) == new.tags
    assert await told_by(store, (await one.sealed(await raised(store))).ticket)
    assert await told_by(store, old.ticket) is None


async def test_a_flood_of_forged_tickets_is_not_one_of_reads():
    """Two thousand forged tickets cause only a few reads of the key."""
    store = CountingStore()
    one = Tickets(store)
    genuine = await one.sealed(await raised(store))
    before, loop = store.gets, asyncio.get_running_loop()
    began = loop.time()
    found = await asyncio.gather(*(one.read(forged()) for _ in range(1000)), return_exceptions=True)
    for _ in range(1000):
        with pytest.raises(pb.BadInput):
            await one.read(forged())
    assert {type(error) for error in found} == {pb.BadInput}
    assert 1 <= store.gets - before <= 2 + (loop.time() - began) / tickets.LOOK_AGAIN_S
    assert await one.read(genuine.ticket) == genuine.tags


async def test_genuine_tickets_that_come_together_share_one_read():
    """The first concurrent tickets of a process share one read of the key."""
    store = CountingStore()
    text = (await Tickets(store).sealed(await raised(store))).ticket
    fresh, before = Tickets(store), store.gets
    assert all(await asyncio.gather(*(fresh.read(text) for _ in range(20))))
    assert store.gets == before + 1


async def test_a_store_in_a_new_incarnation_is_asked_for_its_key():
    """After an event in a new incarnation, the key is read again."""
    store = MemoryStore()
    one = Tickets(store)
    await one.sealed(await raised(store))
    assert await store.swap(NAME, await store.get(NAME), b"n" * KEY_BYTES)
    ack = await raised(store)
    later = msgspec.structs.replace(ack, stamp=Stamp(ack.stamp.incarnation + 1, 1))
    assert await told_by(store, (await one.sealed(later)).ticket) == later.tags


async def test_a_key_that_the_store_lost_is_put_back(monkeypatch):
    """A process that has the key writes it back after a loss, and old tickets are valid again."""
    store = MemoryStore()
    one = Tickets(store)
    old = await one.sealed(await raised(store))
    assert await store.swap(NAME, await store.get(NAME), None)
    assert await told_by(store, old.ticket) is None
    assert await one.read(old.ticket) == old.tags
    monkeypatch.setattr(tickets, "SURE_S", -1.0)
    one._sure_until = 0.0
    await one.sealed(await raised(store))
    assert await told_by(store, old.ticket) == old.tags


@pytest.mark.parametrize("left", [b"", b"short", b"x" * 33])
async def test_what_is_not_a_key_is_replaced(left):
    """A stored key of the wrong length is replaced."""
    store = MemoryStore()
    assert await store.swap(NAME, None, left)
    ack = await Tickets(store).sealed(await raised(store))
    assert await told_by(store, ack.ticket) == ack.tags


async def test_an_event_is_acknowledged_while_its_key_cannot_be_looked_at(monkeypatch):
    """If the key cannot be read, a process signs with the key it has; a new process cannot sign, and takes tickets."""
    store = CountingStore()
    one = Tickets(store)
    await one.sealed(await raised(store))
    store.is_down, one._sure_until = True, 0.0
    ack = await one.sealed(await raised(store))
    assert await one.read(ack.ticket) == ack.tags
    with pytest.raises(StoreError):
        await Tickets(store).sealed(await raised(store))
    assert await Tickets(store).read(ack.ticket) == ack.tags, "it counts, because it cannot be checked"


async def test_a_key_that_never_stands_still_is_an_error(monkeypatch):
    """If every write of the key fails, ``StoreError`` is raised after some attempts."""
    store = MemoryStore()
    ack = await raised(store)

    async def refuse(*_):
        return False

    monkeypatch.setattr(store, "swap", refuse)
    with pytest.raises(StoreError, match="changes faster"):
        await Tickets(store).sealed(ack)


async def test_a_ticket_is_verified_within_the_requests_deadline(monkeypatch):
    """The deadline of a request also bounds the verification of its ticket."""
    shop = Shop()
    app = shop.app()

    async def hang(_):
        await asyncio.Event().wait()

    monkeypatch.setattr(shop.store, "get", hang)
    with pytest.raises(pb.errors.DeadlineExceeded):
        async with app.request("10ms", after=forged()):
            pass
    await app.close()
