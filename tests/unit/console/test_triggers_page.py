"""The page *Triggers*: what it proposes, and how a proposal is applied and taken back."""

import contextlib
import html
import json
import re
import sqlite3

import httpx
import pytest
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_planner
from parbake.http import HttpApp
from parbake_console import Console
from parbake_planner import CostBook, Ledger, Planner, strategies
from parbake_planner.adopted import AdoptedPlan

PATH = "/console/triggers"
DEAR = CostBook(as_of=parbake_planner.ledger.costs.EXAMPLE.as_of, cpu_hour=3600.0)
HOURS = 24 * 13


@pytest.fixture
async def app(world, tmp_path):
    """Yield an app with a planned task that follows a plan, and whose runs have cost more than its requests would."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(freshness_sla="1d", refresh=parbake_planner.planned()))
    def liked(shopper: str) -> str:
        return shopper

    opened = world.app(tasks, plugins=[Ledger(tmp_path / "ledger.db", book=DEAR), Planner(), Console()])
    opened.liked = liked
    await opened.drain()
    plan = AdoptedPlan(strategies.ALL, 0.0, "it is <b>cheap</b>")
    await opened.plugins[Planner].adopted_plans.follow(opened.engine.bound_task(liked), plan)
    opened.plugins[Ledger].file.close()
    hour = int(world.clock.now()) // 3600
    rows, minutes = [], []
    for n in range(1, HOURS + 1):
        rows.append((hour - n, "miss", "liked", "missing", "", 1, 0, 0.0, 0, 0))
        rows.append((hour - n, "compute", "liked", "batch", "", 1, 0, 1000.0, 10, 0))
        rows.append((hour - n, "compute", "liked", "realtime", "", 1, 0, 0.1, 1, 0))
        minutes.append(((hour - n) * 60, "liked", b"sa", 100, 99))
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.executemany(f"INSERT INTO hourly VALUES ({','.join('?' * 10)}, 0, 0, 0, 0, 0, 0)", rows)
        connection.executemany("INSERT INTO serves VALUES (?,?,?,?,?)", minutes)
    yield opened
    await opened.close()


@pytest.fixture
async def browser(app):
    """Yield a client of a server of the app."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(HttpApp(app)), base_url="http://localhost") as client:
        yield client


async def test_a_proposal_is_applied_and_taken_back(app, browser):
    """The buttons send what the server understands: the task is computed on request, and then by its plan again."""
    page = (await browser.get(PATH)).text
    assert "compute on request" in page
    assert "it is &lt;b&gt;cheap&lt;/b&gt;" in page
    body = json.loads(html.unescape(re.search(r'data-send="POST /console/triggers" data-body="([^"]+)"', page)[1]))
    told = await browser.post(PATH, json=body)
    assert told.json() == {"task": "liked", "strategy": strategies.REAL_TIME}
    path = re.search(r'data-send="DELETE ([^"]+)"', (await browser.get(PATH)).text)[1]
    assert (await browser.delete(path)).json() == {"task": "liked", "strategy": strategies.ALL}


async def test_what_is_not_proposed_any_more_is_refused(app, browser):
    """A page that was open for long names a proposal that is gone: nothing changes."""
    answer = await browser.post(PATH, json={"trigger": "low hit rate", "task": "liked"})
    assert (answer.status_code, answer.json()["field"]) == (404, "trigger")
    assert (await app.plugins[Planner].adopted(app.liked))[0].strategy == strategies.ALL


async def test_without_a_proposal_the_page_says_what_was_looked_for(shop):
    """An app without planned tasks and without evidence has two sentences instead of tables."""
    page = await shop.seen(PATH)
    assert "No trigger has fired." in page
    assert "No task is declared with refresh=planned()" in page
