"""A journal elsewhere tells that the whole disk of an LMDB store was set back."""

import msgspec
import pytest
from tests.store_files import restart_machine, set_disk_back, side_file, snapshot
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.errors import BadInput, StoreError
from parbake.lanes.event import recovery
from parbake.lanes.event.recovery import FileJournal
from parbake.protocol.control import Quarantine


class Shop:
    """A policy whose changes are only told by ``touch``, and a journal that lies elsewhere."""

    def __init__(self, folder):
        """Declare the task."""
        self.days, self.place, self.journal = "30", folder / "store", folder / "elsewhere" / "journal"
        self.journal.parent.mkdir()
        self.tasks = pb.Registry()

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{name}")]))
        async def policy(name: str) -> str:
            """Return the current days."""
            return self.days

        self.policy = policy

    def open(self):
        """Open an app, as another process would."""
        durability = pb.Durability(journal=self.journal)
        return pb.App(self.tasks, store=f"lmdb://{self.place}?map_size=16MiB", durability=durability)

    async def use(self, *touched):
        """Open an app, touch tags, read the policy, and close; return what was served."""
        app = self.open()
        for tag in touched:
            await app.touch(tag)
        served = await app.serve(self.policy, "returns")
        await app.close()
        return served.value if served.has_value else None


@pytest.fixture
def shop(tmp_path):
    """Return a shop."""
    return Shop(tmp_path)


async def test_a_disk_that_was_set_back_serves_nothing_old(shop):
    """The store and its side file are from before an acknowledged touch, and the machine was started again."""
    assert await shop.use() == "30"
    files = snapshot(shop.place)
    shop.days = "14"
    assert await shop.use("policy/returns") == "14"
    set_disk_back(shop.place, files)
    restart_machine(shop.place)
    assert await shop.use() != "30"
    app = shop.open()
    await app.drain()
    assert (await app.serve(shop.policy, "returns")).value == "14"
    await app.close()
    incarnation = memoryview(side_file(shop.place).read_bytes()).cast("Q")[0]
    shop.days = "not told"
    assert await shop.use() == "14"  # it is answered once: the next opening is trusted
    assert memoryview(side_file(shop.place).read_bytes()).cast("Q")[0] == incarnation


def lines(shop):
    """Return the lines of the journal."""
    return shop.journal.read_bytes().splitlines()


async def test_an_opening_is_one_line_whoever_joins_it(shop):
    """Apps that open a store which others have open add nothing, and each later opening adds a line."""
    first, second = shop.open(), shop.open()
    assert first.engine.store is second.engine.store
    assert len(lines(shop)) == 1
    await first.close()
    await second.close()
    await shop.use()
    assert len(lines(shop)) == 2


async def test_openings_of_another_store_mean_nothing(shop):
    """Two stores share a journal, or a deleted store is made again: none is compared with the openings of the other."""
    await shop.use()
    place, shop.place = shop.place, shop.place.with_name("other")
    assert await shop.use("policy/returns") == "30"
    shop.place, shop.days = place, "not told"
    assert await shop.use() == "30"
    assert len(FileJournal(shop.journal).openings()) == 2


async def test_a_store_that_was_replaced_under_an_app_is_told_to_the_journal(shop):
    """A worker puts an empty store in place of a damaged one: the next poll adds its opening."""
    app = shop.open()
    store = app.engine.store
    store._place.flag(store._host)
    assert await store.heal()
    await app.drain()
    assert len(FileJournal(shop.journal).openings()) == 2
    await app.close()


async def test_a_journal_of_an_earlier_version_is_read(shop):
    """Its lines stay what they were. An earlier version reads a line about an opening as the clearing of no task."""
    entry = Quarantine(1.0, "wrong", 2.0)
    shop.journal.write_bytes(b"[3,4]\n" + msgspec.json.encode({"task": "policy", "quarantine": entry}) + b"\n")
    await shop.use()
    journal = FileJournal(shop.journal)
    assert (journal.read(), journal.quarantines(), len(journal.openings())) == ([3, 4], {"policy": entry}, 1)
    earlier = msgspec.defstruct("Earlier", [("task", str), ("quarantine", Quarantine | None)])
    assert msgspec.json.decode(lines(shop)[-1], type=list[int] | earlier) == earlier("", None)


async def test_an_app_whose_journal_cannot_be_read_is_not_opened(shop):
    """Nobody could tell whether its store was set back."""
    shop.journal.mkdir()
    with pytest.raises(StoreError, match="journal"):
        await shop.use()
    shop.journal.rmdir()
    shop.journal.write_bytes(b"a text\n")
    with pytest.raises(BadInput, match="not a journal"):
        await shop.use()
    app = shop.open()
    app.ops.leave_journal()
    await app.serve(shop.policy, "returns")
    await app.close()


async def test_a_journal_that_cannot_be_written_is_a_warning(shop, caplog):
    """The app opens, because the journal is behind the store then and not ahead of it."""
    shop.journal.parent.rmdir()
    assert await shop.use() == "30"
    assert "journal" in caplog.text


async def test_two_apps_distrust_a_store_once(shop, monkeypatch):
    """Both compare before either has written to the journal: the store has answered the first one already."""
    await shop.use()
    files = snapshot(shop.place)
    await shop.use()
    words = FileJournal(shop.journal).openings()
    set_disk_back(shop.place, files)
    restart_machine(shop.place)
    monkeypatch.setattr(recovery, "OpeningJournal", type(None))  # no journal is asked
    app = shop.open()
    store = app.engine.store
    before = (await store.stamp()).control
    current = store.confirm_opening(words)
    once = (await store.stamp()).control
    assert store.confirm_opening(words) == current
    assert current.store in words
    assert (await store.stamp()).control == once
    assert (before.is_trusted, once.is_trusted) == (True, False)
    await app.close()
