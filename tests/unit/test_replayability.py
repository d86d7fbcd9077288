"""Whether a store that loses its last writes may keep its values is found out: all changes must be in outboxes."""

import shutil

import pytest
from tests.unit.lossy import LossyStore, Shop
from tests.unit.shopfloor import Facts

import parbake as pb
from parbake.adapters.sqlite import SqliteSource, prune
from parbake.errors import StoreError
from parbake.lanes.event.recovery import FileJournal
from parbake.lanes.event.replayability import Sources, sources_of
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.generations import StoreNote


@pytest.fixture
def journal(tmp_path):
    """Return the place of a journal."""
    return tmp_path / "journal.jsonl"


@pytest.fixture
def store():
    """Return an empty store."""
    return LossyStore()


@pytest.fixture
async def shop(world, store, journal):
    """Return a shop whose store has just been made, with two values in it."""
    made = Shop(world, store, journal)
    world.put("a", "1")
    await made.app.drain()
    assert [await made.read(name) for name in ("a", "b")] == ["1", ""]
    return made


@pytest.fixture
def elsewhere(world):
    """Return a source under another name, which has views of its own."""
    source = SqliteSource(world.path, families=["fact"], views=[Facts], name="elsewhere")
    yield source
    source.close()


async def test_values_outlive_a_loss_while_outboxes_have_every_change(shop, store):
    """Nothing is discarded, and the lost change is read again from the outbox."""
    before = store.saved()
    shop.world.put("a", "2")
    await shop.app.drain()
    await store.lose(before)
    assert await shop.kept() is True
    assert await shop.read() == "2"


async def test_a_touch_ends_it(shop, store):
    """After one change that no outbox has, a loss discards all values, also if that change was not lost."""
    await shop.touch("a", "2")
    assert await store.mark() is None
    await shop.read("b")
    await store.lose(store.saved())
    assert await shop.kept() is False


async def test_a_lost_touch_is_known_to_the_journal(shop, store):
    """A store that lost the touch, and that there was one, keeps nothing: the journal has noted it."""
    before = store.saved()
    await shop.touch("a", "2")
    await store.lose(before)
    assert await store.mark() is not None
    assert await shop.kept() is False
    assert await shop.read() == "2"
    assert await store.mark() is None


async def test_an_event_over_http_ends_it_too(shop, store):
    """What is published is in no outbox either."""
    before = store.saved()
    shop.world.put("a", "2", tell=False)
    await shop.app.publish(CloudEvent("1", "elsewhere", "fact.changed", "fact/a"))
    await store.lose(before)
    assert await shop.kept() is False
    assert await shop.read() == "2"


async def test_the_note_comes_before_the_acknowledgement(shop, store, monkeypatch):
    """Where the journal cannot be written, the change is refused, and nothing in the store has changed."""
    before = store.saved()

    def full(journal, line):
        raise StoreError("the disk is full", field="journal")

    monkeypatch.setattr(FileJournal, "_write", full)
    with pytest.raises(StoreError, match="the disk is full"):
        await shop.touch("a", "2")
    assert store.saved() == before


async def test_a_second_touch_needs_no_journal(shop, journal):
    """The end is noted once for a store, so later changes cost nothing more."""
    await shop.touch("a", "2")
    lines = journal.read_bytes()
    await shop.touch("a", "3")
    assert journal.read_bytes() == lines


async def test_a_lost_journal_is_no_journal_without_notes(shop, store, journal):
    """A store whose journal is empty keeps nothing after a loss, and acknowledges no touch before it."""
    before = store.saved()
    journal.unlink()
    with pytest.raises(StoreError, match="is another one than that of this process"):
        await shop.touch("a", "2")
    await store.lose(before)
    assert await shop.kept() is False


async def test_an_older_copy_of_the_journal_is_noticed(shop, store, journal, tmp_path):
    """Each rollback and each quarantine renews the word that store and journal share."""
    shutil.copy(journal, tmp_path / "copy")
    await shop.app.ops.complain(shop.value, "wrong")
    await shop.app.ops.clear(shop.value)
    await shop.read("b")
    shutil.copy(tmp_path / "copy", journal)
    await store.lose(store.saved())
    assert await shop.kept() is False


async def test_a_process_with_a_journal_of_its_own_acknowledges_nothing(shop, store, world, tmp_path):
    """It could not note the change for the others. It cannot roll back either, and keeps nothing after a loss."""
    other = Shop(world, store, tmp_path / "other.jsonl")
    await other.app.drain()
    with pytest.raises(StoreError, match="name one journal in Durability"):
        await other.touch("a", "2")
    for _ in range(2):
        await other.app.materialize(other.value)
    with pytest.raises(StoreError, match="name one journal in Durability"):
        await other.app.ops.rollback(other.value)
    await store.lose(store.saved())
    assert await other.kept() is False


async def test_a_process_without_a_journal_acknowledges_nothing(shop, store, world):
    """Where another process has marked the store, one that can note nothing refuses."""
    with pytest.raises(StoreError, match="name one journal in Durability"):
        await Shop(world, store, None).touch("a", "2")
    assert await store.mark() is not None


async def test_a_process_with_other_sources_and_another_journal_is_refused(shop, store, world, tmp_path, elsewhere):
    """What its source tells could not be read again by the others, and they would not know."""
    other = Shop(world, store, tmp_path / "other.jsonl", sources=[elsewhere])
    with pytest.raises(pb.BadInput, match="of elsewhere it knows nothing"):
        await other.app.drain()


async def test_a_process_with_other_sources_and_the_same_journal_ends_it(shop, store, world, journal, elsewhere):
    """The others cannot read its source again, so the store keeps nothing after a loss from then on."""
    other = Shop(world, store, journal, sources=[elsewhere])
    await other.app.drain()
    assert await store.mark() is None


async def test_a_store_that_was_in_use_before_its_journal_keeps_nothing(world, store, journal):
    """Nobody has noted what was acknowledged before, so the store gets no mark, not even after a loss."""
    await Shop(world, store, None).touch("a", "1")
    shop = Shop(world, store, journal)
    await shop.app.drain()
    assert await store.mark() is None
    await shop.read("b")
    await store.lose(store.saved())
    assert await shop.kept() is False
    assert await store.mark() is None


async def test_a_family_without_an_outbox_means_that_it_never_begins(world, store, journal):
    """If the app says that only ``touch`` tells of a family, the store is not marked."""
    shop = Shop(world, store, journal, families=["fact", "fee"], open=["fee"])
    await shop.app.drain()
    assert await store.mark() is None


def test_what_the_sources_lack_is_said():
    """Without a source, with a topic, or with a family that no source has, some changes are in no outbox."""
    assert sources_of(["shop", "hr"], untold=[], has_topics=False) == Sources(("hr", "shop"))
    assert sources_of([], untold=[], has_topics=False).lack == "the app has no source with an outbox"
    assert "from a topic" in sources_of(["shop"], untold=["zone"], has_topics=True).lack
    assert sources_of(["shop"], untold=["zone", "fee"], has_topics=False).lack == "no outbox tells of fee, zone"


async def test_a_denial_holds_for_all_processes(shop, store, world, journal):
    """One process that says ``replayable=False`` ends it for the others, too, and the journal knows."""
    before = store.saved()
    await Shop(world, store, journal, replayable=False).app.drain()
    assert await store.mark() is None
    await store.lose(before)
    assert await shop.kept() is False


async def test_a_promise_is_believed(world, store, journal):
    """With ``replayable=True`` nothing is marked or noted, and a loss discards nothing, also after a touch."""
    shop = Shop(world, store, journal, replayable=True)
    await shop.touch("a", "1")
    await shop.app.drain()
    await shop.read("b")
    assert not journal.exists()
    await store.lose(store.saved())
    assert await shop.kept() is True


async def test_what_was_pruned_and_is_lost_outdates_everything(shop, store, world):
    """A store that has lost what the outbox does not hold any more serves none of the values that it has kept."""
    before = store.saved()
    world.put("a", "2")
    await shop.app.drain()
    with world.connected() as connection:
        assert prune(connection, (await shop.app.ops.applied())["facts"])
    await store.lose(before)
    assert await shop.kept() is False
    assert await shop.read() == "2"


async def test_a_store_that_was_emptied_begins_again(shop, store):
    """A new store has lost nothing. It gets a mark of its own, and the next touch is noted for it."""
    await shop.touch("a", "2")
    store.become(LossyStore().saved())
    await shop.app.drain()
    begun = store.saved()
    assert await store.mark() is not None
    await shop.touch("a", "3")
    assert await store.mark() is None
    await store.lose(begun)
    assert await shop.kept() is False


def test_a_note_is_no_quarantine(journal):
    """Lines about stores, quarantines and rollbacks stand in one file and are told apart."""
    file = FileJournal(journal)
    notes = [StoreNote(7, 1), StoreNote(7, 2, is_ended=True)]
    for note in notes:
        file.note_store(note)
    file.append([3])
    assert FileJournal(journal).store_notes() == notes
    assert (file.quarantines(), file.read(), file.openings()) == ({}, [3], {})
