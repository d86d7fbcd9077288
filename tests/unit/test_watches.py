"""The reversal triggers over a real ledger: each proposes with evidence, and what can be applied can be taken back."""

import contextlib
import sqlite3

import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.cli.triggers import _stated
from parbake.costs import CostBook
from parbake.lanes.planned import AdoptedPlan
from parbake.planner import strategies

HOURS = 13 * 24
PRICES = {"on_demand": 0.012, "serve": 0.0001, "batch": 0.00012, "write": 0.00001}


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a planned task and a place to write its past to."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(freshness_sla="1d", refresh=pb.planned()))
    def liked(shopper: str) -> str:
        return shopper

    app = world.app(tasks, ledger=tmp_path / "ledger.db")
    app.liked, app.file = liked, tmp_path / "ledger.db"
    await app.drain()
    yield app
    await app.close()


def past(app, clock, *, serves, misses=0, batch_cpu_s=0.0, request_cpu_s=0.0):
    """Write thirteen days of hours: serves, of which some were computed first, and the CPU seconds of both lanes."""
    app.engine.ledger.close()
    now = int(clock.now())
    rows, minutes = [], []
    for n in range(1, HOURS + 1):
        hour = now // 3600 - n
        rows.append((hour, "miss", "liked", "missing", "", misses, 0, 0, 0, 0, 0, 0, 0))
        rows.append((hour, "compute", "liked", "batch", "", 1, 0, batch_cpu_s, 10, 0, 0, 0, 0))
        rows.append((hour, "compute", "liked", "realtime", "", misses, 0, misses * request_cpu_s, misses, 0, 0, 0, 0))
        minutes.append((hour * 60, "liked", b"sa", serves))
    with contextlib.closing(sqlite3.connect(app.file)) as connection, connection:
        connection.executemany(f"INSERT INTO hourly VALUES ({','.join('?' * 13)})", rows)
        connection.executemany("INSERT INTO serves VALUES (?,?,?,?)", minutes)


async def test_a_healthy_task_proposes_nothing(shop, world):
    """High hits, a batch that costs less than its requests would, and no complaint."""
    past(shop, world.clock, serves=1000, misses=100, batch_cpu_s=1.0, request_cpu_s=0.1)
    assert await shop.triggers() == []


async def test_a_low_hit_rate_is_proposed_with_its_evidence(shop, world):
    """Half of the reads are computed first, day after day."""
    past(shop, world.clock, serves=1000, misses=500)
    (one,) = await shop.triggers()
    assert (one.trigger, one.task) == ("key hit rate", "liked")
    assert one.evidence["rate"] == pytest.approx(0.5)


async def test_a_batch_that_costs_more_than_its_requests_is_applied_and_taken_back(shop, world):
    """The proposal is dated in dollars a day; applied, it is a plan like others, and one step leads back."""
    past(shop, world.clock, serves=100, misses=1, batch_cpu_s=1000.0, request_cpu_s=0.1)
    book = CostBook(as_of="2026-01-01", cpu_hour=3600.0)
    (one,) = await shop.triggers(book=book)
    assert (one.trigger, one.action) == ("batch dearer", "compute on request")
    assert 20_000 < one.saving < 24 * (1000.0 - 100 * 0.1), "surely, so less than the mean"
    assert await shop.triggers(book=book, switching=1e9) == []
    adopted = await shop.apply(one)
    assert (adopted.strategy, adopted.reason) == (strategies.REAL_TIME, one.reason)
    assert (await shop.unadopt(shop.liked)).strategy == strategies.LAZY


async def test_a_changed_price_is_proposed_against_the_plans_own(shop, world):
    """Five times cheaper computing is told with the factor from which real-time wins; the same prices say nothing."""
    plan = AdoptedPlan(strategies.PER_KEY, 0.0, "because", PRICES, {"flip_factor": 3.0})
    await shop.engine.adopted.follow(shop.engine.plan(shop.liked), plan)
    assert await shop.triggers(prices={"liked": pb.Prices(**PRICES)}) == []
    (one,) = await shop.triggers(prices={"liked": pb.Prices(**PRICES | {"on_demand": 0.0024})})
    assert (one.trigger, one.action) == ("price", "compute on request")
    assert one.evidence["times_cheaper"] == pytest.approx(5.0)


async def test_a_complaint_is_proposed_until_it_is_cleared(shop):
    """It waits for a person: no action of ours ends it."""
    await shop.complain(shop.liked, "told yesterday's", age_s=100.0)
    (one,) = await shop.triggers()
    assert (one.trigger, one.evidence) == ("stale complaint", {"proposed_sla_s": 50.0})
    with pytest.raises(pb.BadInput, match="for a person"):
        await shop.apply(one)
    await shop.clear(shop.liked)
    assert await shop.triggers() == []


async def test_over_http(shop):
    """``GET /v1/triggers`` shows the same; ``POST /v1/feedback`` complains and refuses what is computed anyway."""
    import httpx

    transport = httpx.ASGITransport(pb.HttpApp(shop))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
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


def test_the_command_says_when_nothing_speaks_for_a_change(tmp_path, monkeypatch):
    """And refuses to apply what was not proposed, and prices that name no task."""
    (tmp_path / "calm_app.py").write_text(
        "import parbake as pb\ntasks = pb.Registry()\n"
        '@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="x")\n'
        "def value(key: str) -> str:\n    return key\n"
        f'app = pb.App(tasks, store="lmdb://{tmp_path}/store", ledger="{tmp_path}/ledger.db")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words):
        return invoke("calm_app", "triggers", "calm_app:app", *words)

    assert "nothing speaks for a change" in run().output
    assert "nothing is proposed" in str(run("--apply", "value").exception)
    assert "expected TASK=FILE" in str(run("--prices", "prices.json").exception)
    with pytest.raises(pb.BadInput):
        _stated("nothing", None)
