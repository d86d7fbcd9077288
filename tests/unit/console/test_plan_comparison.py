"""*Economics*: what the plan of a task costs against its alternatives, and what cached prefixes have saved."""

import contextlib
import datetime as dt
import sqlite3

import httpx
import pytest
from tests.unit.console.conftest import TOKEN, text_of
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_planner
from parbake.http import HttpApp
from parbake.ports.usage import Usage
from parbake_console import Console
from parbake_console.prefix_savings import prefix_savings
from parbake_planner import CostBook, Ledger, Planner, strategies
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.ledger.costs import Line, Offer
from parbake_planner.ledger.rows import TOKEN_KINDS
from parbake_planner.prices import Rate

PATH, BUTTON = "/console/economics", "/console/plans/liked/comparison"
DAY_MIN = 1440
PRICES = {"on_demand": 0.012, "serve": 0.0001, "batch": 0.00012, "write": 0.00001}
TODAY = dt.date(2026, 1, 1)


class Bookshop:
    """An app with a planned task that thirty shoppers have asked for on each of three weeks' days."""

    def __init__(self, world, folder, *, sla="1d"):
        """Declare the task, and write what was asked for."""
        tasks = pb.Registry()

        def everybody() -> list[str]:
            return [f"u{n}" for n in range(60)]

        @tasks.artifact(**contract(freshness_sla=sla, refresh=parbake_planner.planned(), keys=everybody))
        def liked(shopper: str) -> str:
            return shopper

        self.app = world.app(tasks, plugins=[Ledger(folder / "ledger.db"), Planner(), Console()], store="memory://")
        self.liked, self.world = liked, world
        self.app.plugins[Ledger].file.settle()
        now = int(world.clock.now()) // 60
        rows = [(now - day * DAY_MIN - 7 * n - 1, b"su%d" % n) for day in range(21) for n in range(30)]
        with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
            connection.executemany("INSERT INTO serves VALUES (?, 'liked', ?, 1, 0)", rows)
        served = HttpApp(self.app, token=TOKEN)
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost")

    async def follow(self, strategy, **evidence):
        """Adopt a plan with prices."""
        plan = AdoptedPlan(strategy, self.world.clock.now(), "because", PRICES, evidence)
        await self.app.plugins[Planner].adopted_plans.follow(self.app.engine.bound_task(self.liked), plan)

    async def seen(self):
        """Return what the page says of plans."""
        answer = await self.browser.get(PATH)
        assert answer.status_code == 200, answer.text
        return text_of(answer.text).partition("Plans against their alternatives")[2].partition("What was spent")[0]


@pytest.fixture
async def open_shop(world, tmp_path):
    """Return a function that opens the shop, signed in."""
    opened = []

    async def opening(**options):
        found = Bookshop(world, tmp_path, **options)
        await found.browser.post("/v1/session", json={"token": TOKEN})
        await found.app.drain()
        opened.append(found)
        return found

    yield opening
    for one in opened:
        await one.browser.aclose()
        await one.app.close()


async def test_a_plan_is_compared_when_somebody_asks(open_shop):
    """The page computes nothing by itself; after the button it has each strategy, the one followed and the best one."""
    shop = await open_shop()
    await shop.follow(strategies.LAZY, usd_per_day=0.3, best_simple_usd_per_day=0.2)
    page = await shop.seen()
    assert "liked lazy since" in page
    assert "Not compared yet. When it was adopted, $0.30 a day were expected; the best simple rule: $0.20." in page
    assert (await shop.browser.post(BUTTON)).json() == {"task": "liked", "is_done": True}
    page = await shop.seen()
    assert "real-time nothing ahead, nothing kept $0.36" in page
    assert "per key recommended the keys ahead that will be read $" in page
    assert "lazy followed nothing ahead; what was read is kept $0.36" in page
    assert "with 30 requests a day to 60 keys" in page


async def test_a_task_without_prices_cannot_be_compared(open_shop):
    """Nothing was computed in both lanes and no plan has prices: the page says so, and the button does nothing."""
    shop = await open_shop()
    page = await shop.seen()
    assert "It cannot be compared: it was not computed both ahead and on request, and follows no plan" in page
    assert "Compare" not in page
    answer = await shop.browser.post(BUTTON)
    assert (answer.status_code, answer.json()["field"]) == (422, "task")


async def test_a_short_sla_is_not_replayed_in_a_server(open_shop):
    """What would take long is refused before it begins, with the command to use."""
    shop = await open_shop(sla="10m")
    await shop.follow(strategies.LAZY)
    assert "its SLA is too short to replay 28 days in a server: use parbake planned" in await shop.seen()
    assert (await shop.browser.post(BUTTON)).status_code == 422


async def test_a_comparison_that_fails_is_told(open_shop, monkeypatch):
    """What the planner says stands on the page, and the button may be tried again."""
    shop = await open_shop()
    await shop.follow(strategies.LAZY)

    async def none(*_, **__):
        raise pb.BadInput("no request yet", field="log")

    monkeypatch.setattr(shop.app.plugins[Planner], "replan", none)
    assert (await shop.browser.post(BUTTON)).json()["is_done"]
    page = await shop.seen()
    assert "It cannot be compared: no request yet" in page
    assert page.rstrip().endswith("Compare")


async def test_only_a_planned_task_is_compared_and_only_by_operators(open_shop):
    """Another task is unknown, and without a session the button is refused."""
    shop = await open_shop()
    assert (await shop.browser.post("/console/plans/other/comparison")).status_code == 404
    shop.browser.cookies.clear()
    assert (await shop.browser.post(BUTTON)).status_code == 401


async def test_without_a_planner_the_page_says_so(world, tmp_path):
    """The rest of *Economics* works without one."""
    app = world.app(pb.Registry(), plugins=[Ledger(tmp_path / "ledger.db"), Console()], store="memory://")
    served = httpx.ASGITransport(HttpApp(app))
    async with httpx.AsyncClient(transport=served, base_url="http://localhost") as browser:
        page = text_of((await browser.get(PATH)).text)
    assert "or the app has no planner" in page
    assert "No provider has reported cached tokens in that time." in page
    await app.close()


def book():
    """Return a book: $1 for a million input tokens; one read from a cache costs a tenth, one written a quarter more."""
    rate = Rate(provider="maker", model="small", since=TODAY, input=1.0, output=10.0, cache_read=0.1, cache_write=1.25)
    offer = Offer(provider="maker", model="small")
    return CostBook(as_of=TODAY, cpu_hour=0.0, rates=(rate,), generators={"writer": offer})


def used(model="writer", lane="realtime", kind="tokens", **tokens):
    """Return a line of usage."""
    hour = int(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp()) // 3600
    return Line(hour, kind, "task", lane, model, 0.0, 0.0, "", dict.fromkeys(TOKEN_KINDS, 0.0) | tokens)


def test_prefixes_save_what_their_tokens_would_have_cost():
    """Two million tokens that were read cost $0.20 instead of $2; writing one cost $0.25 more; one kept warm, less."""
    line = prefix_savings(
        [
            used(cached=2e6, input=5e6, output=1e6),
            used(written=1e6),
            used(lane="prefix", cached=1e6, output=1000.0),
            used(input=1e6),
            used(kind="waste", written=1e6),
        ],
        book(),
    )["writer"]
    assert (line.read, line.written, line.uncached) == (3e6, 1e6, 4.0)
    assert line.saved == pytest.approx(4.0 - 0.3 - 1.25 - 0.01)


def test_what_has_no_price_saves_nothing_that_is_known():
    """Tokens of a model that the book does not have are counted, and the page says that their saving is not known."""
    line = prefix_savings([used("other", cached=2e6)], book())["other"]
    assert (line.saved, line.unpriced) == (None, "tokens of other")


async def test_cached_tokens_of_the_ledger_are_shown(shop, settled):
    """What a generator has reported is priced by the plugin's book, which has no price for it here."""
    shop.ledger.file.spent("asked", "realtime", "writer", Usage(uncached=100, output=1, cache_read=900))
    await settled()
    page = await shop.seen(PATH)
    assert "At most $0 in that time, and of what has no price it is not known." in page
    assert "writer no price for tokens of writer 900 0 $0 $0 not known" in page
