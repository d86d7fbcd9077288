"""Reversal triggers over a ledger: each proposal has evidence, and an applied one can be rolled back."""

import contextlib
import datetime as dt
import sqlite3

import msgspec
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_planner
from parbake.http import HttpApp
from parbake_planner import Ledger, Planner, strategies
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.breakeven import Prices
from parbake_planner.cli.triggers_command import _stated
from parbake_planner.ledger.costs import CostBook, Offer
from parbake_planner.prices import Rate

HOURS = 13 * 24
DEAR = CostBook(as_of=dt.date(2026, 1, 1), cpu_hour=3600.0)
ALL = AdoptedPlan(strategies.ALL, 0.0, "it is cheap")
PRICES = {"on_demand": 0.012, "serve": 0.0001, "batch": 0.00012, "write": 0.00001}


class Heard:
    """An alert sink that records alerts."""

    def __init__(self):
        self.alerts = []

    async def send(self, alert):
        """Record the alert."""
        self.alerts.append(alert)


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a planned task and a ledger file."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(freshness_sla="1d", refresh=parbake_planner.planned()))
    def liked(shopper: str) -> str:
        return shopper

    app = world.app(tasks, ledger=tmp_path / "ledger.db")
    app.liked, app.file = liked, tmp_path / "ledger.db"
    await app.drain()
    yield app
    await app.close()


def past(app, clock, *, serves, misses=0, batch_cpu_s=0.0, request_cpu_s=0.0, batch_tokens=0, request_tokens=0):
    """Write thirteen days of hours: serves, of which some were computed first, and what both lanes used.

    An hour's batch makes ten rows; tokens are those of an hour's batch, and of one request.
    """
    app.plugins[Ledger].file.close()
    now = int(clock.now())
    rows, minutes = [], []
    for n in range(1, HOURS + 1):
        hour = now // 3600 - n
        rows.append((hour, "miss", "liked", "missing", "", misses, 0, 0, 0, 0, 0, 0, 0))
        rows.append((hour, "compute", "liked", "batch", "", 1, 0, batch_cpu_s, 10, 0, 0, 0, 0))
        rows.append((hour, "compute", "liked", "realtime", "", misses, 0, misses * request_cpu_s, misses, 0, 0, 0, 0))
        for lane, tokens in (("batch", batch_tokens), ("realtime", misses * request_tokens)):
            rows += [(hour, "tokens", "liked", lane, "writer", 1, 0, 0, 0, 0, tokens, 0, 0)] if tokens else []
        minutes.append((hour * 60, "liked", b"sa", serves, serves - misses))
    with contextlib.closing(sqlite3.connect(app.file)) as connection, connection:
        connection.executemany(f"INSERT INTO hourly VALUES ({','.join('?' * 13)}, 0, 0, 0)", rows)
        connection.executemany("INSERT INTO serves VALUES (?,?,?,?,?)", minutes)


async def test_a_healthy_task_proposes_nothing(shop, world):
    """A high hit rate and a batch cheaper than its requests give no proposal."""
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(shop.liked), ALL)
    past(shop, world.clock, serves=1000, misses=100, batch_cpu_s=1.0, request_cpu_s=0.1)
    assert await shop.plugins[Planner].triggers() == []


async def test_a_low_hit_rate_is_proposed_with_its_evidence(shop, world):
    """A hit rate of one half over thirteen days gives a proposal with the rate."""
    past(shop, world.clock, serves=1000, misses=500)
    (one,) = await shop.plugins[Planner].triggers()
    assert (one.trigger, one.task) == ("key hit rate", "liked")
    assert one.evidence["rate"] == pytest.approx(0.5)


async def test_a_batch_that_costs_more_than_its_requests_is_applied_and_taken_back(shop, world):
    """The proposal states the saving; applied, it is a plan that can be rolled back and is not proposed again."""
    past(shop, world.clock, serves=100, misses=1, batch_cpu_s=1000.0, request_cpu_s=0.1)
    book = CostBook(as_of="2026-01-01", cpu_hour=3600.0)
    assert await shop.plugins[Planner].triggers(book=book) == [], "it computes nothing ahead: no plan was adopted"
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(shop.liked), ALL)
    (one,) = await shop.plugins[Planner].triggers(book=book)
    assert (one.trigger, one.action) == ("batch dearer", "compute on request")
    assert 20_000 < one.saving < 24 * (1000.0 - 100 * 0.1), "surely, so less than the mean"
    assert await shop.plugins[Planner].triggers(book=book, switching=1e9) == []
    adopted = await shop.plugins[Planner].apply(one)
    assert (adopted.strategy, adopted.reason) == (strategies.REAL_TIME, one.reason)
    assert await shop.plugins[Planner].triggers(book=book) == [], "what was applied is not proposed again"
    assert await shop.plugins[Planner].apply(one) == adopted, "nor adopted twice"
    back = await shop.plugins[Planner].unadopt(shop.liked)
    assert (back.strategy, back.adopted_at) == (strategies.ALL, world.clock.now())
    assert await shop.plugins[Planner].triggers(book=book) == [], "days from before the rollback were judged already"


@pytest.mark.parametrize(("batch", "request_", "is_dearer"), [(10**6, 10, True), (10**5, 10_000, False)])
async def test_tokens_count_on_both_sides(shop, world, batch, request_, is_dearer):
    """Token costs count for the batch and for the requests; without prices there is no proposal."""
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(shop.liked), ALL)
    past(shop, world.clock, serves=100, misses=1, batch_tokens=batch, request_tokens=request_)
    rate = Rate(provider="maker", model="small", since=dt.date(2020, 1, 1), input=1.0, output=1.0)
    offers = {"writer": Offer(provider="maker", model="small")}
    priced = CostBook(as_of=dt.date(2026, 1, 1), cpu_hour=0.0, rates=(rate,), generators=offers)
    assert [one.trigger for one in await shop.plugins[Planner].triggers(book=priced)] == ["batch dearer"] * is_dearer
    unpriced = CostBook(as_of=dt.date(2026, 1, 1), cpu_hour=0.0)
    assert await shop.plugins[Planner].triggers(book=unpriced) == [], "without prices nothing is known"


async def test_a_new_plan_is_not_judged_by_the_days_before_it(shop, world):
    """A plan adopted three days ago gives no proposal."""
    past(shop, world.clock, serves=100, misses=1, batch_cpu_s=1000.0, request_cpu_s=0.1)
    adopted = msgspec.structs.replace(ALL, adopted_at=world.clock.now() - 3 * 86_400)
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(shop.liked), adopted)
    assert await shop.plugins[Planner].triggers(book=DEAR) == []


async def test_a_task_with_a_schedule_of_its_own_is_reversed_by_hand(world, tmp_path):
    """For a task with ``every()`` the proposal states what to declare, and cannot be applied."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(freshness_sla="1d", refresh=pb.every("20h"), keys=names))
    def liked(shopper: str) -> str:
        return shopper

    app = world.app(tasks, ledger=tmp_path / "ledger.db")
    app.file = tmp_path / "ledger.db"
    await app.drain()
    past(app, world.clock, serves=100, misses=1, batch_cpu_s=1000.0, request_cpu_s=0.1)
    (one,) = await app.plugins[Planner].triggers(book=DEAR)
    assert "refresh=planned()" in one.action
    with pytest.raises(pb.BadInput, match="a person has to do it"):
        await app.plugins[Planner].apply(one)
    await app.close()


@pytest.mark.parametrize(("slower", "found"), [(1.5, ["peak harm"]), (1.0, [])])
async def test_a_batch_that_slows_requests_down_is_proposed_to_give_way(shop, world, slower, found):
    """A higher p95 of requests during runs than at the same hours without them gives a proposal."""
    shop.plugins[Ledger].file.close()
    now = int(world.clock.now()) // 3600
    rows = []
    for day in range(13):
        hour = now - 24 * day - 5
        rows.append((hour, True, 600, 600 * 0.010 * slower * (1 + 0.01 * (day % 3))))
        rows.append((hour if day % 2 else hour - 24, False, 600, 600 * 0.010))
    with contextlib.closing(sqlite3.connect(shop.file)) as connection, connection:
        connection.executemany("INSERT OR REPLACE INTO pace VALUES (?,?,?,?)", rows)
    proposals = await shop.plugins[Planner].triggers()
    assert [one.trigger for one in proposals] == found
    assert all(one.evidence["p95_times_at_least"] > 1.4 for one in proposals)


async def test_a_task_that_reverses_itself_does_when_it_surely_should(world, tmp_path):
    """With ``reverses=True`` the proposal is applied once and the owner gets one alert."""
    found = {}
    for reverses in (True, False):
        tasks, heard = pb.Registry(), Heard()

        @tasks.artifact(**contract(freshness_sla="1d", refresh=parbake_planner.planned(reverses=reverses)))
        def liked(shopper: str) -> str:
            return shopper

        app = world.app(tasks, ledger=tmp_path / f"{reverses}.db", alerts=[heard], book=DEAR)
        app.file = tmp_path / f"{reverses}.db"
        await app.drain()
        await app.plugins[Planner].adopted_plans.follow(app.engine.bound_task(liked), ALL)
        past(app, world.clock, serves=100, misses=1, batch_cpu_s=1000.0, request_cpu_s=0.1)
        for _ in range(2):
            await app.plugins[Planner].reverse()
        strategies_ = [plan.strategy for plan in await app.plugins[Planner].adopted(liked)]
        found[reverses] = (strategies_, [alert.kind for alert in heard.alerts])
        await app.close()
    assert found[True] == ([strategies.REAL_TIME, strategies.ALL], ["reversed"])
    assert found[False] == ([strategies.ALL], [])


def test_an_app_is_given_a_book_by_its_path(tmp_path):
    """The ledger's ``book=`` accepts a path, and refuses a missing file or another type."""
    (tmp_path / "book.json").write_text('{"as_of": "2026-01-01", "cpu_hour": 7}')
    assert Ledger("ledger.db", book=tmp_path / "book.json").book.cpu_hour == 7
    for bad in (7, tmp_path / "absent.json"):
        with pytest.raises(pb.BadInput):
            Ledger("ledger.db", book=bad)


async def test_prices_of_an_unknown_task_are_refused(shop):
    """Prices for an unknown task are refused by its name."""
    with pytest.raises(pb.errors.UnknownTask, match="liekd"):
        await shop.plugins[Planner].triggers(prices={"liekd": Prices(**PRICES)})


async def test_a_changed_price_is_proposed_against_the_plans_own(shop, world):
    """A price five times lower than the plan's gives a proposal; unchanged prices do not."""
    plan = AdoptedPlan(strategies.PER_KEY, 0.0, "because", PRICES, {"flip_factor": 3.0})
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(shop.liked), plan)
    assert await shop.plugins[Planner].triggers(prices={"liked": Prices(**PRICES)}) == []
    (one,) = await shop.plugins[Planner].triggers(prices={"liked": Prices(**PRICES | {"on_demand": 0.0024})})
    assert (one.trigger, one.action) == ("price", "compute on request")
    assert one.evidence["times_cheaper"] == pytest.approx(5.0)


async def test_a_complaint_is_proposed_until_it_is_cleared(shop):
    """A complaint is proposed until it is cleared, and cannot be applied."""
    await shop.ops.complain(shop.liked, "told yesterday's", age_s=100.0)
    (one,) = await shop.plugins[Planner].triggers()
    assert (one.trigger, one.evidence) == ("stale complaint", {"proposed_sla_s": 50.0})
    with pytest.raises(pb.BadInput, match="a person has to do it"):
        await shop.plugins[Planner].apply(one)
    await shop.ops.clear(shop.liked)
    assert await shop.plugins[Planner].triggers() == []


async def test_over_http(shop):
    """The triggers, feedback and costs routes answer, and refuse bad input by its field."""
    import httpx

    transport = httpx.ASGITransport(HttpApp(shop, token="a-token-of-operators"))
    sent = {"authorization": "Bearer a-token-of-operators"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=sent) as client:
        told = await client.post("/v1/feedback", json={"task": "liked", "reason": "old", "age_s": 60})
        assert told.status_code == 202, told.text
        assert (told.json()["task"], told.json()["proposed_sla_s"]) == ("liked", 30.0)
        (one,) = (await client.get("/v1/triggers")).json()["proposals"]
        assert one["task"] == "liked"
        for body, status in (({"task": "nothing"}, 404), ({"task": "liked", "age_s": -1}, 422), ({}, 422)):
            assert (await client.post("/v1/feedback", json=body)).status_code == status
        for since, status in (("1h", 200), ("0", 422), ("-1d", 422), ("abc", 422)):
            answer = await client.get("/v1/costs", params={"since": since})
            assert answer.status_code == status, answer.text
        assert answer.json()["field"] == "since"
        answer = await client.get("/v1/costs", params={"sinse": "1h"})
        assert (answer.status_code, answer.json()["field"]) == (422, "sinse")


def test_the_command_says_when_nothing_speaks_for_a_change(tmp_path, monkeypatch):
    """``parbake triggers`` reports that there is no proposal, and refuses to apply one or invalid prices."""
    (tmp_path / "calm_app.py").write_text(
        "import parbake as pb\nfrom parbake_planner import Ledger, Planner\ntasks = pb.Registry()\n"
        '@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="x")\n'
        "def value(key: str) -> str:\n    return key\n"
        f'app = pb.App(tasks, store="lmdb://{tmp_path}/store", plugins=[Ledger("{tmp_path}/ledger.db"), Planner()])\n'
    )
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words):
        return invoke("calm_app", "triggers", "calm_app:app", *words)

    assert "there is no reason for a change" in run().output
    assert "there is no proposal" in str(run("--apply", "value").exception)
    assert "must be TASK=FILE" in str(run("--prices", "prices.json").exception)
    with pytest.raises(pb.BadInput):
        _stated("nothing", None)
