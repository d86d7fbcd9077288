"""The page *Freshness*: what it says of tasks, sources and runs, and what it keeps of the last hour."""

import asyncio
import contextlib
import re

import pytest
from tests.unit.console.conftest import Shop

import parbake as pb
from parbake.errors import StoreUnreachable
from parbake.process import loops
from parbake.process.counters import Counters
from parbake_console.effects import between, tally
from parbake_console.history import KEPT_S, PAUSE_S

PATH = "/console/freshness"


async def test_a_task_that_was_never_built_is_told(shop):
    """A task without values is empty. The page leaves out what a server always finds before its worker starts."""
    page = await shop.seen(PATH)
    assert "ahead has no generation yet: requests compute it" in page
    assert "empty nothing is stored: every read computes" in page
    assert "Incidents None." in page


async def test_a_breach_begins_and_is_over(shop):
    """A task whose last run is older than its SLA is first in the table; a run ends that, and both times are kept."""
    await shop.app.materialize(shop.ahead)
    await shop.after(0)
    assert "in breach" not in await shop.seen(PATH)
    await shop.after(5400)
    page = await shop.seen(PATH)
    assert "1 in breach 1 empty of 2 stored tasks" in page
    assert "the last run is 30m over the SLA" in page
    assert page.index("ahead catalog") < page.index("asked search")
    assert re.search(r"ahead is in breach of its SLA \d\d:\d\d:\d\d goes on 30m as promised of that time", page)
    await shop.app.materialize(shop.ahead)
    await shop.after(60)
    page = await shop.seen(PATH)
    assert "1 in breach" not in page
    assert re.search(r"ahead is in breach of its SLA \d\d:\d\d:\d\d \d\d:\d\d:\d\d 31m as promised of that time", page)


async def test_an_incident_tells_what_reads_got_meanwhile(shop):
    """Reads of the task in breach that computed are counted while it lasts; those of others, and of before, are not."""
    await shop.app.materialize(shop.ahead)
    await shop.app.serve(shop.asked, "c")
    await shop.after(5400)
    for key in ("c", "d", "e"):
        await shop.app.serve(shop.ahead, key)
        await shop.app.serve(shop.asked, key)
    assert re.search(
        r"ahead is in breach of its SLA .* goes on 30m ahead: 3 computed on request", await shop.seen(PATH)
    )
    await shop.app.materialize(shop.ahead)
    await shop.after(60)
    await shop.app.serve(shop.ahead, "f")
    page = await shop.seen(PATH)
    assert "ahead: 3 computed on request" in page
    assert "asked: " not in page


def test_what_was_not_promised_is_counted_by_task():
    """Degraded, late and missing values count; fresh ones and runs do not; others' tasks are left out."""
    counters = Counters()
    before = tally(counters)
    for verdict in ("fresh", "degraded", "degraded", "stale", "missing", "unknown"):
        counters.served("a", b"k", verdict, "batch", 0.001)
    counters.computed("a", b"k", "batch", 0.1, outcome="stored")
    counters.computed("b", b"k", "realtime", 0.1, outcome="failed")
    after = tally(counters)
    assert between(before, after, ["a"])[0] == ("a", "served degraded", 2)
    assert {what for _, what, _ in between(before, after, ["a"])} == {
        "served degraded",
        "served late",
        "without a value",
        "in doubt",
    }
    assert between(before, after, ["b"]) == (("b", "computed on request", 1),)
    assert len(between(before, after, [])) == 5


async def test_a_failed_run_says_why(shop):
    """The reason stands beside the task and among the incidents, as text, with the time of the breach to come."""
    await shop.app.materialize(shop.ahead)
    shop.world.put("c", "broken")
    await shop.app.drain()
    with contextlib.suppress(pb.ParbakeError):
        await shop.app.materialize(shop.ahead)
    async with shop.browser() as browser:
        raw = (await browser.get(PATH)).text
    assert "&lt;i&gt;the model file is missing&lt;/i&gt;" in raw
    assert "<i>" not in raw
    page = await shop.seen(PATH)
    assert "failed its run fails: " in page
    assert "in breach of its SLA at " in page
    assert re.search(r"the run of ahead fails: .* goes on", page)
    assert shop.history.failing == {"ahead"}


async def test_a_quarantine_is_told_with_its_reason(shop):
    """Whoever is on call sees that a complaint has stopped the task, and what it said."""
    await shop.app.materialize(shop.ahead)
    await shop.app.ops.complain(shop.ahead, "it names <b>last year's</b> price")
    await shop.after(1)
    page = await shop.seen(PATH)
    assert "quarantined somebody complained" in page
    assert "ahead is in quarantine: it names <b>last year's</b> price" in page


async def test_a_source_that_is_silent_is_told(shop, world):
    """Its lag grows, and the greatest lag of the hour stays known after it was heard again."""
    await shop.after(0)
    world.clock.advance(240)
    await shop.history.look()
    page = await shop.seen(PATH)
    assert "4m / 4m" in page
    await shop.after(20)
    assert "0s / 4m" in await shop.seen(PATH)


async def test_an_hour_is_kept_and_no_more(shop):
    """Looks that are older than an hour are forgotten."""
    for _ in range(30):
        await shop.after(240)
    assert len(shop.history.samples) == KEPT_S / 240 + 1
    assert "the last hour, of which 1h is known" in await shop.seen(PATH)


async def test_a_page_does_not_look_more_often_than_every_few_seconds(shop):
    """Whoever reloads, or many who look at once, cost one look."""
    for _ in range(5):
        await shop.seen(PATH)
    assert len(shop.history.samples) == 1


async def test_a_store_that_does_not_answer_is_no_error(shop, monkeypatch):
    """The page says so and shows what was known; the look after it goes on."""
    await shop.app.materialize(shop.ahead)
    await shop.after(0)

    async def away(*_):
        raise StoreUnreachable("the store went away", field="store")

    with monkeypatch.context() as patch:
        patch.setattr("parbake.app.engine.report", away)
        await shop.after(60)
        page = await shop.seen(PATH)
    assert "store not read the store went away" in page
    assert "ahead catalog" in page
    await shop.after(60)
    assert "store not read" not in await shop.seen(PATH)


async def test_a_server_looks_by_itself_and_seldom(shop, monkeypatch):
    """It begins when the server does; the pauses add up to a multiple of what a look takes, and to some seconds."""
    pauses = []

    class Enough(BaseException):
        pass

    async def sleep(pause_s):
        pauses.append(pause_s)
        if len(pauses) == 4:
            raise Enough

    times = iter([0.0, 0.001, 10.0, 11.0])
    monkeypatch.setattr(loops.asyncio, "sleep", sleep)
    monkeypatch.setattr(loops, "perf_counter", lambda: next(times))
    with pytest.raises(Enough):
        await shop.history.run()
    assert [pauses[0] + pauses[1], pauses[2] + pauses[3]] == [PAUSE_S, 50.0]
    assert len(shop.history.samples) == 2
    assert shop.history.run in shop.app.engine.on.server


async def test_an_error_of_a_look_does_not_end_the_looks(shop, monkeypatch, caplog):
    """What nobody foresaw is logged once, and the look after it succeeds."""
    rounds = []

    async def look():
        rounds.append(len(rounds))
        if rounds[-1] == 0:
            raise ZeroDivisionError
        raise asyncio.CancelledError

    monkeypatch.setattr(shop.history, "look", look)
    monkeypatch.setattr("parbake_console.history.PAUSE_S", 0.0)
    with pytest.raises(asyncio.CancelledError):
        await shop.history.run()
    assert rounds == [0, 1]
    assert "the look of the console" in caplog.text


@pytest.fixture
async def restarted(world, tmp_path):
    """Return a function that starts a server of a shop over one store, after the one before has ended."""
    running = []

    async def start():
        for one in running:
            await one.app.close()
        running[:] = [Shop(world, tmp_path, store=f"lmdb://{tmp_path / 'store'}")]
        await running[0].app.drain()
        return running[0]

    yield start
    for one in running:
        await one.app.close()


async def test_what_was_seen_survives_a_restart(restarted):
    """The ages, an incident that goes on with its reads, and one that is over are known to the next server."""
    shop = await restarted()
    await shop.app.materialize(shop.ahead)
    await shop.app.ops.complain(shop.asked, "it is wrong")
    await shop.after(60)
    await shop.app.ops.clear(shop.asked)
    await shop.after(5400)
    await shop.app.serve(shop.ahead, "c")
    await shop.after(60)
    await shop.after(60)
    shop = await restarted()
    await shop.app.serve(shop.ahead, "d")
    await shop.after(60)
    assert len(shop.history.samples) == 4
    page = await shop.seen(PATH)
    assert re.search(r"ahead is in breach of its SLA \S+ goes on 34m ahead: 2 computed on request", page)
    assert re.search(r"asked is in quarantine: it is wrong \S+ \S+ 1h30m", page)
    await shop.app.materialize(shop.ahead)
    await shop.after(60)
    assert "goes on" not in await shop.seen(PATH)


async def test_what_is_kept_does_not_grow(shop):
    """After an hour each minute replaces one of the hour before, and a second look of a minute writes nothing."""
    for _ in range(150):
        await shop.after(60)
        await shop.after(15)
    kept = await shop.app.engine.store.entries("console-history")
    assert len(kept) == 61
    appended = []
    shop.app.engine.store.append = lambda *what: appended.append(what)
    await shop.after(0)
    assert appended == []


async def test_what_cannot_be_read_or_written_disturbs_nothing(shop, monkeypatch):
    """Entries of another version are left out, and a store that takes no entry does not fail a look."""
    await shop.app.engine.store.append("console-history", b"07", b"\xc1 broken")

    async def full(*_):
        raise StoreUnreachable("the disk is full", field="store")

    monkeypatch.setattr(shop.app.engine.store, "append", full)
    for _ in range(3):
        await shop.after(60)
    assert (len(shop.history.samples), shop.history.trouble) == (3, "")
