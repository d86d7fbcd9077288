"""After an outage of the store no value goes back: it is trusted once its sources were heard."""

import asyncio

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.unit.test_without_store import Shop
from tests.waiting import until

import parbake as pb
from parbake.errors import ComputeFailed, SourceError
from parbake.protocol.cause import Cause


class CalmShop(Shop):
    """A shop with one task that tolerates silence."""

    def _declare(self):
        super()._declare()

        @self.tasks.artifact(**contract(tolerate_silence="1h"))
        async def calm(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        self.calm = calm


@pytest.fixture
async def shop(world):
    """Return a shop that stored two facts, and computed a newer version of the first one while its store was away."""
    made = CalmShop(world)
    for key in ("a", "same"):
        world.put(key, "30")
    await made.app.drain()
    for key in ("a", "same"):
        for task in (made.fact, made.strict, made.calm):
            assert (await made.app.serve(task, key)).value == "30"
    world.clock.advance(1)
    made.store.is_away = True
    world.put("a", "14")
    assert (await made.app.serve(made.fact, "a")).value == "14"
    made.store.is_away = False
    yield made
    await made.app.close()


def breaks(world, monkeypatch):
    """Let the source of facts answer nobody."""

    def fails(*_):
        raise SourceError("the database is away", field="facts")

    for name in ("extent", "poll", "open"):
        if hasattr(world.source, name):
            monkeypatch.setattr(world.source, name, fails)


async def test_a_stored_value_is_not_served_in_place_of_a_newer_one(shop):
    """The store has returned and knows an older value: a read computes until the source was polled."""
    assert (await shop.app.serve(shop.fact, "a")).value == "14"


async def test_a_contract_that_refuses_what_is_uncertain_does(shop):
    """Until its source was polled, a value is treated as while the source is silent; afterwards it is served."""
    served = await shop.app.serve(shop.strict, "same")
    assert (served.value, served.verdict, served.cause) == (None, pb.Verdict.UNKNOWN, Cause.SOURCE_SILENT)
    await shop.app.drain()
    served = await shop.app.serve(shop.strict, "same")
    assert (served.value, served.verdict) == ("30", pb.Verdict.FRESH)


async def test_the_older_value_stays_hidden_while_the_source_is_away(world, shop, monkeypatch):
    """With the store back and the source away there is an error, and no older value; then the source returns."""
    with monkeypatch.context() as broken:
        breaks(world, broken)
        with pytest.raises(SourceError):
            await shop.app.drain()
        with pytest.raises((ComputeFailed, SourceError)):
            await shop.app.serve(shop.fact, "a")
    await shop.app.drain()
    assert (await shop.app.serve(shop.fact, "a")).value == "14"


async def test_a_poll_that_began_before_does_not_count(world, shop, monkeypatch):
    """A poll that had read the source before a value was computed without the store says nothing of that value."""
    reads, goes_on = asyncio.Event(), asyncio.Event()
    drain = shop.app.engine.ingest._reader.drain

    async def slow(source, before):
        found = await drain(source, before)
        reads.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(shop.app.engine.ingest._reader, "drain", slow)
    polling = asyncio.ensure_future(shop.app.drain())
    await reads.wait()
    shop.store.is_away = True
    world.put("a", "15")
    assert (await shop.app.serve(shop.fact, "a")).value == "15"
    shop.store.is_away = False
    goes_on.set()
    await polling
    assert (await shop.app.serve(shop.strict, "same")).cause is Cause.SOURCE_SILENT


async def test_a_value_that_the_store_did_not_get_counts(world, shop):
    """A value that is served unstored, because the store went away before the write, hides older ones."""
    await shop.app.drain()
    shop.gate.clear()
    shop.calls.clear()
    asking = asyncio.ensure_future(shop.app.serve(shop.fact, "b"))
    await until(lambda: shop.calls)
    shop.store.is_away = True
    shop.gate.set()
    await asking
    shop.store.is_away = False
    assert (await shop.app.serve(shop.strict, "same")).cause is Cause.SOURCE_SILENT


async def test_another_process_may_poll(world, shop):
    """A process that does not poll believes a heartbeat that began so much later that clocks cannot be the reason."""
    others = CalmShop(world)
    others.app = world.app(others.tasks, store=shop.store)
    for seconds, is_silent in ((4, True), (2, False)):
        world.clock.advance(seconds)
        await others.app.drain()
        served = await shop.app.serve(shop.strict, "same")
        assert (served.cause is Cause.SOURCE_SILENT) == is_silent
    assert served.value == "30"


async def test_tolerance_of_silence_holds(shop):
    """A task that tolerates a silent source serves what is stored, and says that the source is silent, as ever."""
    served = await shop.app.serve(shop.calm, "a")
    assert (served.value, served.verdict, served.cause) == ("30", pb.Verdict.DEGRADED, Cause.SOURCE_SILENT)


async def test_other_processes_are_not_concerned(world, shop):
    """A process that computed nothing without the store trusts it as before."""
    other = CalmShop(world)
    other.app = world.app(other.tasks, store=shop.store)
    assert (await other.app.serve(other.strict, "a")).value == "30"
