"""What all servers share never makes one unready: it is named, counted, logged once, and told to the owners once."""

import logging

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.adapters.sqlite import emit
from parbake.errors import DamagedStore, ForeignSource, OutdatedStore, SourceError, StoreFull, StoreUnreachable
from parbake.http import HttpApp
from parbake.lanes.worker.notifier import Notifier
from parbake.ports.alerts import Alert
from parbake.ports.event_log import Advance
from parbake.ports.sources import Extent
from parbake.serving.warmup import LOADING
from parbake.stores.memory import MemoryStore


class Heard:
    """A sink that keeps alerts."""

    def __init__(self):
        """Keep none yet."""
        self.alerts = []

    async def send(self, alert):
        """Keep an alert."""
        self.alerts.append(alert)

    def kinds(self):
        """Return the kind and the owner of each alert."""
        return [(alert.kind, alert.owner) for alert in self.alerts]


class Troubled(MemoryStore):
    """A store in memory that fails with an error while it is set."""

    error = None

    async def look_again(self, record):
        """Fail, or look."""
        self._fail()
        return await super().look_again(record)

    async def stamp(self):
        """Fail, or read the stamp."""
        self._fail()
        return await super().stamp()

    async def beat(self, source, at, *, now):
        """Fail, or write a heartbeat."""
        self._fail()
        return await super().beat(source, at, now=now)

    def _fail(self):
        if self.error is not None:
            raise self.error


class Shop:
    """Two tasks with an owner each; only one of them depends on the database."""

    def __init__(self, world):
        """Open the app, with its batch promoted."""
        self.world, self.heard, self.store = world, Heard(), Troubled()
        tasks = pb.Registry()

        @tasks.artifact(**contract(owner="shelves"))
        def shelf(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.value(key)

        @tasks.artifact(**contract(invalidated_by=[], owner="words"))
        def word(key: str) -> str:
            return key

        self.shelf, self.word = shelf, word
        self.app = world.app(tasks, store=self.store, alerts=[self.heard], worker="none")

    async def check(self, times=1):
        """Let the watch look, each time a second later."""
        for _ in range(times):
            self.world.clock.advance(1)
            await self.app.engine.health.check()
        return await self.app.ready()


@pytest.fixture
async def shop(world):
    """Return the shop, with its source read once."""
    made = Shop(world)
    await made.app.drain()
    await made.check(times=4)
    yield made
    await made.app.close()


async def test_a_silent_source_degrades_its_tasks_and_alerts_their_owners_once(shop, monkeypatch):
    """A source that is silent for 48 s is one alert per owner and process; the server stays ready; its end is told."""

    def down(*_):
        raise SourceError("the database does not answer", field="facts")

    with monkeypatch.context() as outage:
        outage.setattr(shop.world.source, "extent", down)
        found = await shop.check(times=48)
    assert found.is_ready
    assert list(found.by_task) == ["shelf"]
    assert found.conditions[0].kind == "source_silent"
    assert shop.heard.kinds() == [("source_silent", "shelves")]
    await shop.app.drain()
    assert (await shop.check(times=3)).conditions == ()
    assert shop.heard.kinds() == [("source_silent", "shelves"), ("source_back", "shelves")]
    assert len({alert.dedupe_key for alert in shop.heard.alerts}) == 1


async def test_a_source_is_told_as_never_read_only_after_the_silence_limit(shop):
    """A store that was emptied has no heartbeat yet, and that is told only once it has lasted for the limit."""
    shop.store.__init__()
    assert (await shop.check(times=25)).degraded == []
    found = await shop.check(times=8)
    assert found.degraded[0].startswith("source facts was never read to its end")
    assert ("source_silent", "shelves") in shop.heard.kinds()
    await shop.app.drain()
    assert (await shop.check()).degraded == []
    shop.store.__init__()
    assert (await shop.check(times=25)).degraded == []


async def test_two_servers_send_an_alert_that_a_receiver_can_merge(shop, world):
    """Each process alerts by itself, since a lost store could not tell; the alerts share a key."""
    second = Heard()
    other = world.app(shop.app.tasks, store=shop.store, alerts=[second], worker="none")
    world.clock.advance(60)
    for app in (shop.app, other, other):
        await app.engine.health.check()
        world.clock.advance(4)
    assert [alert.dedupe_key for alert in shop.heard.alerts] == [alert.dedupe_key for alert in second.alerts]


async def test_the_same_trouble_of_two_apps_is_told_apart():
    """A receiver that merges equal keys does not take an alert of another app's store for this one's."""
    heard = Heard()
    for url in ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/1"):
        notifier = Notifier([heard], url)
        await notifier.send(Alert("worker_silent", "", "team", "no worker reports", 1.0))
        await notifier.close()
    assert len({alert.dedupe_key for alert in heard.alerts}) == 2
    assert not any("127.0.0.1" in alert.dedupe_key for alert in heard.alerts)


async def test_a_store_that_does_not_answer_degrades_everything_and_takes_no_server_out(shop):
    """While the store is silent every task is degraded, every owner is told once, and the server stays ready."""
    shop.store.error = StoreUnreachable("cache:6379 did not answer", field="store")
    found = await shop.check(times=3)
    assert (found.is_ready, list(found.by_task)) == (True, ["shelf", "word"])
    shop.store.error = None
    await shop.app.drain()
    assert (await shop.check()).conditions == ()
    assert sorted(shop.heard.kinds()) == sorted(
        (kind, owner) for kind in ("store_silent", "store_back") for owner in ("shelves", "words")
    )


@pytest.mark.parametrize(("error", "kind"), [(DamagedStore, "store_damaged"), (OutdatedStore, "store_outdated")])
async def test_an_unusable_store_is_told_by_its_own_kind(shop, error, kind):
    """A damaged store and an earlier one that has come back are named, and every owner is told once."""
    shop.store.error = error("/var/lib/shop/store cannot be used", field="store")
    found = await shop.check(times=3)
    assert (found.is_ready, [condition.kind for condition in found.conditions]) == (True, [kind])
    assert sorted(shop.heard.kinds()) == [(kind, "shelves"), (kind, "words")]


async def test_a_server_starts_while_its_store_does_not_answer(shop):
    """A start during an outage succeeds, so that a rolling restart does not take servers out one by one."""
    shop.store.error = StoreUnreachable("cache:6379 did not answer", field="store")
    async with shop.app.serving():
        await shop.app.engine.health.check()
        assert (await shop.app.ready()).conditions[0].kind == "store_silent"


async def test_a_lost_store_is_told_and_serves_on(shop, caplog):
    """A store that was emptied is an alert to every owner, once, with the incarnation in its key."""
    assert (await shop.app.serve(shop.word, "a")).value == "a"
    shop.store.__init__()
    with caplog.at_level(logging.ERROR):
        await shop.check()
        await shop.app.drain()
        await shop.check(times=3)
    assert sorted(kind for kind in shop.heard.kinds() if kind[0] == "store_lost") == [
        ("store_lost", "shelves"),
        ("store_lost", "words"),
    ]
    assert [record.getMessage() for record in caplog.records if "was emptied" in record.getMessage()]
    assert (await shop.app.serve(shop.word, "a")).value == "a"


@pytest.mark.parametrize("is_emptied", [True, False])
async def test_the_end_of_an_outage_says_what_was_kept(shop, is_emptied):
    """Each owner is told once that the store is back, when it is trusted again, and whether its values are there."""
    shop.store.error = StoreUnreachable("cache:6379 did not answer", field="store")
    await shop.check(times=3)
    if is_emptied:
        shop.store.__init__()
    shop.store.error = None
    await shop.check()
    await shop.app.drain()
    await shop.check(times=3)
    told = [alert for alert in shop.heard.alerts if alert.owner == "words"]
    assert [alert.kind for alert in told] == ["store_silent", "store_back"]
    kept = "it has kept its values"
    gone = "the store was emptied, replaced or set back to an older copy, so its values are gone"
    assert (
        f"resolved: the store does not answer: cache:6379 did not answer; {gone if is_emptied else kept}"
        in told[1].message
    )


async def test_a_full_store_is_named_and_told(shop):
    """While the store takes no writes the condition is there; it is over with the next heartbeat."""
    shop.store.error = StoreFull("the map is full; raise map_size", field="store.map_size")
    with pytest.raises(StoreFull):
        await shop.app.drain()
    shop.store.error = None
    found = await shop.check()
    assert found.degraded == ["the store has no room: the map is full; raise map_size"]
    await shop.app.drain()
    assert (await shop.check()).degraded == []
    kinds = [kind for kind, owner in shop.heard.kinds() if owner == "words"]
    assert kinds == ["disk_full", "disk_free"]


async def test_what_is_degraded_is_in_the_metrics_and_in_the_log_once(shop, caplog):
    """Each condition is one gauge with its kind and subject, and one line of the log when it begins and ends."""
    await shop.app.ops.complain(shop.word, "a wrong word")
    with caplog.at_level(logging.WARNING, logger="parbake.health"):
        await shop.check(times=3)
        assert b'parbake_degraded{about="word",kind="quarantined"} 1.0' in render(shop.app.counters)
        await shop.app.ops.clear(shop.word)
        await shop.check(times=3)
    assert [record.getMessage() for record in caplog.records] == [
        "degraded: word is in quarantine: a wrong word",
        "resolved: quarantined of word",
    ]


async def test_readiness_names_each_task_when_asked(shop):
    """``/readyz`` stays short; with ``?verbose`` it lists for each degraded task what degrades it."""
    await shop.app.ops.complain(shop.word, "a wrong word")
    await shop.check()
    transport = httpx.ASGITransport(HttpApp(shop.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        short, long = (await client.get("/readyz")).json(), (await client.get("/readyz?verbose")).json()
    said = ["word is in quarantine: a wrong word"]
    assert short == {"status": "ready", "lacking": [], "degraded": said}
    assert long == short | {"tasks": {"word": said}}


async def test_guests_read_no_words_of_operators(shop):
    """Where operators have a token, ``/readyz`` tells guests the kinds alone, and operators the sentences."""
    await shop.app.ops.complain(shop.word, "see http://10.0.0.7/tickets")
    await shop.check()
    shop.app.engine.warmup.lacking = ["OSError: /srv/models/secret.bin"]
    transport = httpx.ASGITransport(HttpApp(shop.app, token="correct-horse-battery"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        guest = (await client.get("/readyz?verbose")).json()
        operator = {"authorization": "Bearer correct-horse-battery"}
        sentences = (await client.get("/readyz", headers=operator)).json()
    kinds = ["quarantined"]
    assert guest == {"status": "not ready", "lacking": [LOADING], "degraded": kinds, "tasks": {"word": kinds}}
    assert sentences["degraded"] == ["word is in quarantine: see http://10.0.0.7/tickets"]
    assert sentences["lacking"] == ["OSError: /srv/models/secret.bin"]


async def test_a_misspelt_family_is_told_once(shop):
    """Events whose family nothing declares are a condition, and one alert to every owner."""
    with shop.world.connected() as connection:
        emit(connection, "fcat/a", "fact.changed")
        emit(connection, "fcat/b", "fact.changed")
    await shop.app.drain()
    found = await shop.check(times=2)
    assert found.degraded == [
        "events of 'fcat' outdate nothing, because no task or source declares it: correct their tags"
    ]
    assert sorted(shop.heard.kinds()) == [("unknown_family", "shelves"), ("unknown_family", "words")]


async def test_an_unknown_family_is_told_by_servers_that_have_not_read_the_event(shop):
    """Whoever reads the event, such as a worker, every process of the store tells of the family that it carried."""
    other = pb.App(shop.app.tasks, store=shop.store, sources=shop.app.settings.sources, clock=shop.world.clock)
    with shop.world.connected() as connection:
        emit(connection, "fcat/a", "fact.changed")
    await other.drain()
    assert not shop.app.counters.unknown_families
    assert [condition.kind for condition in (await shop.check(times=2)).conditions] == ["unknown_family"]
    assert shop.heard.kinds() == [("unknown_family", "shelves"), ("unknown_family", "words")]


async def test_a_family_that_another_version_of_the_app_does_not_know_is_not_told(shop):
    """While a new version is rolled out, the old one meets a family that only the new one declares."""
    old = pb.App(pb.Registry(), store=shop.store, sources=shop.app.settings.sources, clock=shop.world.clock)
    old.engine.unknown.known = frozenset()
    with shop.world.connected() as connection:
        emit(connection, "fact/a", "fact.changed")
    await old.drain()
    assert old.counters.unknown_families
    assert (await shop.check(times=2)).conditions == ()


async def test_an_unknown_family_is_over_once_no_event_has_named_it_for_long(shop, monkeypatch, caplog):
    """The condition ends some time after the last such event, and begins again with the next one."""

    async def misspell(name):
        with shop.world.connected() as connection:
            emit(connection, f"fcat/{name}", "fact.changed")
        await shop.app.drain()

    await misspell("a")
    assert [condition.kind for condition in (await shop.check()).conditions] == ["unknown_family"]
    caplog.clear()
    with monkeypatch.context() as later, caplog.at_level(logging.WARNING, logger="parbake.health"):
        later.setattr("parbake.lanes.event.unknown_families.UNKNOWN_S", -1.0)
        assert (await shop.check(times=2)).conditions == ()
    assert [record.getMessage() for record in caplog.records] == ["resolved: unknown_family of fcat"]
    await misspell("b")
    assert [condition.kind for condition in (await shop.check()).conditions] == ["unknown_family"]


async def test_an_outage_of_the_store_ends_nothing_that_is_seen_through_it(shop, caplog):
    """A store that comes and goes is told by its own lines and alerts only: what it had told of is still known."""
    with shop.world.connected() as connection:
        emit(connection, "fcat/a", "fact.changed")
    await shop.app.drain()
    await shop.app.ops.complain(shop.word, "a wrong word")
    await shop.check()
    shop.heard.alerts.clear()
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="parbake.health"):
        for error in (StoreUnreachable("gone", field="store"), DamagedStore("torn", field="store"), None):
            shop.store.error = error
            await shop.check(times=2)
    assert [record.getMessage() for record in caplog.records] == [
        "degraded: the store does not answer: gone",
        "degraded: the store is damaged: torn",
        "resolved: store_silent of store",
        "resolved: store_damaged of store",
    ]
    assert {alert.kind for alert in shop.heard.alerts} == {"store_silent", "store_damaged", "store_back"}


async def test_a_heartbeat_from_the_future_is_named_as_such(shop):
    """A source whose heartbeat lies in the future is silent, and the sentence says why, without a negative time."""
    await shop.store.beat("facts", shop.world.clock.now() + 600, now=shop.world.clock.now())
    assert (await shop.check()).degraded == [
        "source facts has a heartbeat from the future: whether values that depend on fact hold is unknown"
    ]


async def test_what_a_poll_failed_with_is_in_the_condition(shop, monkeypatch):
    """An outbox that is not the one the store was built from is told at once, and a silent source with the reason."""
    with monkeypatch.context() as other:
        other.setattr(shop.world.source, "extent", lambda: Extent(0, 0))
        shop.world.put("a", "one")
        await shop.app.engine.store.apply([], now=1.0, advance=Advance("facts", 0, 7))
        with pytest.raises(ForeignSource):
            await shop.app.drain()
        (found,) = (await shop.check()).conditions
        (later,) = (await shop.check(times=48)).conditions
    assert (found.kind, later.kind) == ("source_silent", "source_silent")
    assert "is not read any more: source 'facts' is not the one this store was built from" in found.message
    assert "its polls fail: source 'facts' is not the one this store was built from" in later.message
    assert "restart APP facts" in found.message
    assert shop.heard.kinds() == [("source_silent", "shelves")]


async def test_a_store_that_comes_back_brings_no_false_silence(shop):
    """The heartbeats of a store that was away are old, and say nothing before the sources were polled again."""
    shop.store.error = StoreUnreachable("gone", field="store")
    await shop.check(times=60)
    shop.store.error = None
    assert (await shop.check()).conditions == ()
    await shop.app.drain()
    assert (await shop.check(times=5)).conditions == ()
    assert "source_silent" not in {alert.kind for alert in shop.heard.alerts}


async def test_a_start_looks_for_silence_only_after_its_first_polls(shop):
    """A server that starts on a store without recent heartbeats gives its polls a moment, and tells of silence then."""
    shop.world.clock.advance(60)
    other = shop.world.app(shop.app.tasks, store=shop.store, worker="none")
    found = []
    for _ in range(5):
        await other.engine.health.check()
        found.append(len((await other.ready()).conditions))
        shop.world.clock.advance(1)
    assert found == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("begin", ["serving", "work"])
async def test_a_journal_that_cannot_be_written_ends_a_start(world, tmp_path, begin):
    """Neither a server nor a worker starts with a journal that it could not write when a quarantine needs it."""
    wrong = pb.Durability(journal=str(tmp_path / "missing" / "journal"))
    app = world.app(pb.Registry(), store=MemoryStore(), durability=wrong)
    start = app.work() if begin == "work" else app.serving().__aenter__()
    with pytest.raises(pb.BadInput, match="its folder does not exist"):
        await start
