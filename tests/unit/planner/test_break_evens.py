"""From how many reads on a task is cheaper computed ahead, by the ledger's own costs."""

import asyncio

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp
from parbake_planner import Ledger
from parbake_planner.ledger.break_evens import BreakEven, break_evens
from parbake_planner.ledger.costs import EXAMPLE, Cost, CostBook

HOUR, DAY = 3600.0, 86_400.0
BOOK = CostBook(as_of=EXAMPLE.as_of, cpu_hour=3600.0)
"""A CPU second costs a dollar."""


def cost(task, lane, usd, rows, **options):
    """Return what a task has cost in a lane."""
    return Cost(task, lane, "team", "", usd=usd, rows=rows, **options)


def test_a_run_is_as_dear_as_so_many_requests():
    """Runs of $3 each and requests of $0.5 each, stored reads of $0.1: 7.5 reads of a window, 30 of a day."""
    spent = [cost("a", "batch", 6.0, 40), cost("a", "realtime", 2.0, 4)]
    found = break_evens(spent, {"a": 6 * HOUR}, {"a": 2}, {"a": 14}, 0.1)
    assert found == [BreakEven("a", 6 * HOUR, 3.0, 0.5, pytest.approx(7.5), pytest.approx(30.0), 14)]


def test_a_stored_read_that_costs_as_much_never_pays():
    """If serving a stored value costs as much as computing it, there is no break-even, and no infinite number."""
    spent = [cost("a", "batch", 6.0, 40), cost("a", "realtime", 2.0, 4)]
    (found,) = break_evens(spent, {"a": HOUR}, {"a": 2}, {}, 0.5)
    assert (found.reads, found.reads_a_day, found.today) == (None, None, 0)


@pytest.mark.parametrize(
    ("changed", "windows", "runs"),
    [
        ({"unpriced": "tokens of x"}, {"a": HOUR}, {"a": 1}),
        ({"rows": 0}, {"a": HOUR}, {"a": 1}),
        ({"lane": "event"}, {"a": HOUR}, {"a": 1}),
        ({}, {}, {"a": 1}),
        ({}, {"a": HOUR}, {}),
    ],
)
def test_what_is_not_known_is_left_out(changed, windows, runs):
    """A task has no break-even without both lanes, a schedule, a run, or a price for all that it used."""
    asked = cost(**{"task": "a", "lane": "realtime", "usd": 1.0, "rows": 1} | changed)
    assert break_evens([cost("a", "batch", 1.0, 1), asked], windows, runs, {}, 0.0) == []


def test_the_dearest_task_is_first():
    """The order is that of the costs, which begin with the dearest."""
    spent = [cost("b", "batch", 9.0, 1), cost("a", "batch", 5.0, 1), cost("a", "realtime", 1.0, 1)]
    spent.append(cost("b", "realtime", 0.1, 1))
    both = dict.fromkeys("ab", HOUR)
    assert [each.task for each in break_evens(spent, both, {"a": 1, "b": 1}, {}, 0.0)] == ["b", "a"]


async def test_the_route_tells_it_of_what_the_ledger_has_seen(world, tmp_path):
    """Two runs, one request that was computed and two reads of today, not the one of two days ago, make the figure."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a", "b"]

    @tasks.artifact(**contract(freshness_sla="3h", refresh=pb.every("2h"), keys=names))
    def burnt(name: str, *, facts: pb.Source[Facts]) -> int:
        return sum(i * i for i in range(50_000))

    app = world.app(tasks, ledger=tmp_path / "ledger.db", book=BOOK)
    await app.drain()
    await app.materialize(burnt)
    await app.serve(burnt, "a")
    await asyncio.to_thread(app.plugins[Ledger].file.settle)
    world.clock.advance(2 * DAY)
    await app.drain()
    await app.materialize(burnt)
    await app.serve(burnt, "a")
    await app.serve(burnt, "unlisted")
    await asyncio.to_thread(app.plugins[Ledger].file.settle)
    transport = httpx.ASGITransport(HttpApp(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        (told,) = (await client.get("/v1/costs/break-even")).json()["break_evens"]
    of = {row.lane: row for row in await app.plugins[Ledger].costs(since_s=7 * DAY)}
    assert told["task"] == "burnt"
    assert told["window_s"] == 2 * HOUR
    assert told["run_usd"] == pytest.approx(of["batch"].usd / 2)
    assert told["request_usd"] == pytest.approx(of["realtime"].usd)
    assert told["reads"] == pytest.approx(of["batch"].usd / 2 / of["realtime"].usd)
    assert told["reads_a_day"] == pytest.approx(told["reads"] * 12)
    assert told["today"] == 2
    await app.close()
