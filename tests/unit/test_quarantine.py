"""A complaint quarantines a task in every process: reads compute in real time until its owner clears it."""

import shutil

import msgspec
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.errors import StoreError
from parbake.lanes.event.recovery import FileJournal
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.control import Control, Quarantine, quarantine


class Heard:
    """An alert sink that records alerts."""

    def __init__(self):
        """Start with no alerts."""
        self.alerts = []

    async def send(self, alert):
        """Record the alert."""
        self.alerts.append(alert)


class Counter:
    """A task that counts its computations, and an app with an alert sink."""

    def __init__(self, world, *, fallback=None, **options):
        """Declare the task and open the app with these options."""
        self.computed = 0
        tasks = pb.Registry()

        @tasks.artifact(
            **contract(invalidated_by=[pb.fence("fact/{name}")], fallback_if_stale=fallback or pb.Recompute())
        )
        def value(name: str, *, facts: pb.Source[Facts]) -> int:
            self.computed += 1
            return self.computed

        self.value = value
        self.heard = Heard()
        self.app = world.app(tasks, alerts=[self.heard], **options)


@pytest.fixture
async def counter(world):
    """Return the task, after polling its source."""
    made = Counter(world)
    await made.app.drain()
    return made


async def test_nothing_stored_is_served_until_it_is_cleared(counter):
    """In quarantine every read computes; after clearing, no value from before is served."""
    app, value = counter.app, counter.value
    assert [(await app.serve(value, "a")).value for _ in range(3)] == [1, 1, 1]
    entry = await app.ops.complain(value, "told 30\x1b days,\nit was 14", age_s=120.0)
    assert (entry.reason, entry.sla_s) == ("told 30 days, it was 14", 60.0)
    assert [(await app.serve(value, "a")).lane for _ in range(3)] == ["realtime"] * 3
    assert counter.computed == 4
    await app.ops.clear(value)
    assert [(await app.serve(value, "a")).value for _ in range(3)] == [5, 5, 5]


async def test_its_owner_hears_of_it_once(counter):
    """One alert is sent; further complaints only shorten the SLA, to one second at least."""
    await counter.app.ops.complain(counter.value, "first", age_s=1000.0)
    entry = await counter.app.ops.complain(counter.value, "second", age_s=10.0)
    assert (entry.reason, entry.sla_s) == ("first", 5.0)
    assert (await counter.app.ops.complain(counter.value, "new and wrong", age_s=0.0)).sla_s == 1.0, (
        "the shortest SLA is one second"
    )
    assert [(a.kind, a.task) for a in counter.heard.alerts] == [("quarantined", "value")]
    assert list(await counter.app.ops.quarantined()) == ["value"]
    await counter.app.ops.clear(counter.value)
    with pytest.raises(pb.errors.UnknownResource, match="not in quarantine"):
        await counter.app.ops.clear(counter.value)


async def test_a_contract_that_refuses_refuses(world):
    """A quarantined task with ``Refuse`` as its fallback refuses reads."""
    made = Counter(world, fallback=pb.Refuse())
    await made.app.drain()
    assert (await made.app.serve(made.value, "a")).value == 1
    await made.app.ops.complain(made.value, "wrong")
    served = await made.app.serve(made.value, "a")
    assert (served.value, served.reason) == (None, "in quarantine: wrong")


async def test_another_process_sees_it_at_once(world, tmp_path):
    """A quarantine is in the store, so another app on it serves no stored value from its next read on."""
    one, two = Counter(world), Counter(world)
    url = f"lmdb://{tmp_path}/store"
    for made in (one, two):
        made.app = pb.App(made.app.tasks, store=url, sources=[world.source], clock=world.clock)
        await made.app.drain()
    assert (await one.app.serve(one.value, "a")).value == 1
    assert (await two.app.serve(two.value, "a")).lane == "realtime"
    await one.app.ops.complain(one.value, "wrong")
    await two.app.serve(two.value, "a")
    await two.app.serve(two.value, "a")
    assert two.computed == 2
    for made in (one, two):
        await made.app.close()


def test_a_quarantine_by_the_rules():
    """A quarantine invalidates every stamp, and a cleared one every stamp before the clearing."""
    written = msgspec.msgpack.encode(msgspec.structs.asdict(Control(1, 1)) | {"quarantined": {}})
    control = quarantine(msgspec.msgpack.decode(written, type=Control), "faq", Quarantine(1.0, "wrong", 60.0), b"\1")
    assert control.quarantined["faq"].kills(rb"\9") == Reason(Cause.QUARANTINED, "wrong")
    cleared = quarantine(control, "faq", None, b"\5").quarantined["faq"]
    assert (cleared.kills(b"\4"), cleared.kills(b"\5")) == (Reason(Cause.BEFORE_CLEARING), None)


MODULE = """
import parbake as pb
tasks = pb.Registry()

@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="support")
def answer(key: str) -> str:
    return key

@tasks.live(why="only now")
async def now(text: pb.Live[str]) -> str:
    return text

app = pb.App(tasks, store="lmdb://STORE")
"""


def test_the_command_shows_puts_and_clears(tmp_path, monkeypatch):
    """``parbake quarantine`` lists, puts and clears tasks."""
    (tmp_path / "quarantined_app.py").write_text(MODULE.replace("STORE", str(tmp_path / "store")))
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words):
        return invoke("quarantined_app", "quarantine", "quarantined_app:app", *words)

    assert "nothing is in quarantine" in run().output
    put = run("--put", "answer", "--reason", "told [bold]twice")
    assert put.exit_code == 0, put.output
    assert "told [bold]twice" in put.output
    assert "cannot be combined" in str(run("--put", "answer", "--clear", "answer").exception)
    assert "nothing is in quarantine" in run("--clear", "answer").output
    assert "not in quarantine" in str(run("--clear", "answer").exception)


@pytest.mark.parametrize("is_cleared", [False, True])
async def test_an_emptied_store_forgets_no_quarantine(world, tmp_path, is_cleared):
    """A deleted store gets its quarantines back from the journal, except cleared ones."""
    store, kept = tmp_path / "store", {"durability": pb.Durability(journal=tmp_path / "journal")}
    first = Counter(world, store=f"lmdb://{store}?map_size=16MiB", **kept)
    await first.app.drain()
    await first.app.ops.complain(first.value, "old")
    if is_cleared:
        await first.app.ops.clear(first.value)
    await first.app.close()
    shutil.rmtree(store)
    again = Counter(world, store=f"lmdb://{store}?map_size=16MiB", **kept)
    await again.app.drain()
    assert set(await again.app.ops.quarantined()) == (set() if is_cleared else {"value"})
    await again.app.close()


async def test_a_quarantine_that_the_journal_does_not_have_says_that_it_is_in_force(world, tmp_path):
    """The error tells that the values are dead, and that only a loss of the store would bring them back."""
    made = Counter(world, durability=pb.Durability(journal=tmp_path / "journal"))
    await made.app.drain()
    (tmp_path / "journal").unlink()
    (tmp_path / "journal").mkdir()
    with pytest.raises(StoreError, match="value is in quarantine, but would not be any more after a loss"):
        await made.app.ops.complain(made.value, "old")
    assert [(await made.app.serve(made.value, "a")).value for _ in range(2)] == [1, 2]
    assert [alert.kind for alert in made.heard.alerts] == ["quarantined"]
    await made.app.close()


async def test_a_store_that_knows_better_is_not_told_by_the_journal(world, tmp_path):
    """A journal that did not record a clearing by another host does not restore the quarantine."""
    store = f"lmdb://{tmp_path / 'store'}?map_size=16MiB"
    first = Counter(world, store=store, durability=pb.Durability(journal=tmp_path / "one", replayable=False))
    await first.app.drain()
    await first.app.ops.complain(first.value, "old")
    await first.app.close()
    other = Counter(world, store=store, durability=pb.Durability(journal=tmp_path / "other", replayable=False))
    await other.app.ops.clear(other.value)
    await other.app.close()
    again = Counter(world, store=store, durability=pb.Durability(journal=tmp_path / "one", replayable=False))
    await again.app.drain()
    assert await again.app.ops.quarantined() == {}
    await again.app.close()


async def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path, caplog):
    """A cut line in the journal is skipped and logged with its number; later lines are read."""
    journal = FileJournal(tmp_path / "journal")
    entry = Quarantine(1.0, "old", 60.0)
    journal.note_quarantine("first", entry)
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'{"task":"sec')
    journal.append([7])
    journal.note_quarantine("third", entry)
    assert journal.quarantines() == {"first": entry, "third": entry}
    assert journal.read() == [7]
    assert "journal, line 2" in caplog.text


@pytest.mark.parametrize("journal", ["", 5, object()])
def test_a_journal_that_cannot_be_one_is_refused(journal):
    """An invalid ``journal=`` is refused by name when the app is made."""
    with pytest.raises(pb.BadInput) as refused:
        pb.App(pb.Registry(), durability=pb.Durability(journal=journal))
    assert refused.value.field == "journal"


async def test_who_only_looks_is_told_what_an_emptied_store_forgot(world, tmp_path):
    """Listing and clearing quarantines read the journal, though they poll no source."""
    store, kept = tmp_path / "store", {"durability": pb.Durability(journal=tmp_path / "journal")}
    first = Counter(world, store=f"lmdb://{store}?map_size=16MiB", **kept)
    await first.app.drain()
    await first.app.ops.complain(first.value, "old")
    await first.app.close()
    shutil.rmtree(store)
    again = Counter(world, store=f"lmdb://{store}?map_size=16MiB", **kept)
    await again.app.ops.clear(again.value)
    assert await again.app.ops.quarantined() == {}
    await again.app.close()
    assert FileJournal(tmp_path / "journal").quarantines() == {}


async def test_a_store_from_before_a_second_quarantine_is_told_of_it(world, tmp_path):
    """A restored store that has an earlier quarantine as cleared gets the later one from the journal."""
    store, kept = tmp_path / "store", {"durability": pb.Durability(journal=tmp_path / "journal")}
    settings = {"store": f"lmdb://{store}?map_size=16MiB", **kept}
    first = Counter(world, **settings)
    await first.app.drain()
    await first.app.ops.complain(first.value, "old")
    await first.app.ops.clear(first.value)
    await first.app.close()
    shutil.copytree(store, tmp_path / "backup")
    world.clock.advance(60)
    second = Counter(world, **settings)
    await second.app.ops.complain(second.value, "old again")
    await second.app.close()
    shutil.rmtree(store)
    shutil.copytree(tmp_path / "backup", store)
    restored = Counter(world, **settings)
    await restored.app.drain()
    assert [entry.reason for entry in (await restored.app.ops.quarantined()).values()] == ["old again"]
    await restored.app.close()


async def test_a_quarantine_is_cleared_again_where_the_journal_failed(counter, tmp_path, monkeypatch):
    """If the journal fails, the owner is alerted, the task stays in quarantine, and clearing works later."""
    journal = FileJournal(tmp_path / "journal")
    recovery = counter.app.engine.recovery
    monkeypatch.setattr(recovery, "_journal", journal)

    def full(*_):
        raise pb.errors.StoreError("the disk is full", field="journal")

    with monkeypatch.context() as failing:
        failing.setattr(journal, "note_quarantine", full)
        with pytest.raises(pb.errors.StoreError, match="full"):
            await counter.app.ops.complain(counter.value, "old")
        assert [alert.kind for alert in counter.heard.alerts] == ["quarantined"]
        with pytest.raises(pb.errors.StoreError, match="full"):
            await counter.app.ops.clear(counter.value)
    assert set(await counter.app.ops.quarantined()) == {"value"}
    await counter.app.ops.clear(counter.value)
    assert await counter.app.ops.quarantined() == {}
