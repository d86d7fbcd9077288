"""The page *Economics*: what it says was spent, and what it advises for each task."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake_console.advice import Known, verdicts
from parbake_console.charts import PLOT_WIDTH, break_even_plot
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import Cost

PATH = "/console/economics"
HOUR, DAY = 3600.0, 86_400.0


def cost(task, lane, usd, rows=1, **options):
    """Return what a task has cost in a lane."""
    return Cost(task, lane, "team", "", usd=usd, rows=rows, **options)


def even(today, *, run_usd=1.0, request_usd=0.1):
    """Return what runs and requests of the task ``planned`` have cost, which runs every two hours."""
    return BreakEven("planned", 2 * HOUR, run_usd, request_usd, 0.0, 0.0, today)


@pytest.fixture
def advise():
    """Return a function that advises on a task with a schedule, ``planned``, and on one without, ``lazy``."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(freshness_sla="2h30m", keys=names, refresh=pb.every("2h")))
    def planned(key: str) -> str:
        return key

    @tasks.artifact(**contract())
    def lazy(key: str) -> str:
        return key

    def given(*costs, evens=(), on_request=0, covered_s=DAY, failing=(), declared=tasks):
        known = Known(
            costs, {one.task: one for one in evens}, {"planned": on_request}, frozenset(failing), 0.0, covered_s
        )
        return {one.task: one for one in verdicts(declared, known)}

    return given


@pytest.mark.parametrize(
    ("on_request", "advice", "saves"), [(500, "keep", 0.0), (20, "move", 10.0), (115, "keep", 0.0)]
)
def test_a_measured_task_is_compared_by_what_requests_would_compute(advise, on_request, advice, saves):
    """Twelve runs of $1 stand against so many computations of $0.1: dear ones keep the runs, few ones move the task."""
    found = advise(evens=[even(9000)], on_request=on_request)["planned"]
    assert (found.advice, found.saves) == (advice, pytest.approx(saves))
    assert f"A day costs: ahead, every 2h $12.00; on request ${on_request * 0.1:.2f}. " in found.sentence
    assert found.sentence.endswith("Keep it as it is." if advice == "keep" else "Compute it on request.")


def test_reads_of_a_stored_value_compute_nothing(advise):
    """Nine thousand reads that need three computations are cheaper on request, however many reads there are."""
    found = advise(evens=[even(9000)], on_request=3)["planned"]
    assert (found.advice, found.figures["of them computed, on request"]) == ("move", "3")
    assert found.figures["reads from which runs pay"] == "360,000"


def test_runs_as_seldom_as_the_sla_allows_are_an_option(advise):
    """A task that runs much more often than it has to is told the longest period and what that costs."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(freshness_sla="12h", keys=names, refresh=pb.every("2h", budget="2h")))
    def planned(key: str) -> str:
        return key

    found = advise(evens=[even(9000)], on_request=500, declared=tasks)["planned"]
    assert "ahead, every 10h $2.40" in found.sentence
    assert found.sentence.endswith("Compute it ahead, every 10h.")
    assert found.saves == pytest.approx(9.6)


def test_events_cost_on_request_as_well(advise):
    """What events outdate is computed again in either lane, so it makes no lane cheaper by itself."""
    found = advise(cost("planned", "event", 5.0, 50), evens=[even(9000)], on_request=20)["planned"]
    assert "ahead, every 2h $17.00; on request $7.00" in found.sentence
    assert found.figures["again after events"] == "50"


def test_a_part_of_a_day_is_taken_for_the_whole(advise):
    """Sixty reads in an hour are 1,440 of a day; of less than half an hour nothing is concluded."""
    found = advise(evens=[even(60)], on_request=60, covered_s=HOUR)["planned"]
    assert found.figures["reads a day"] == "1,440"
    short = advise(cost("planned", "batch", 1.0), evens=[even(60)], covered_s=1700.0)["planned"]
    assert (short.plot, short.advice) == (None, "measure")
    assert "too little to compare lanes by" in short.sentence


def test_a_task_whose_runs_fail_is_told(advise):
    """The advice stays, and says what has to be mended before."""
    found = advise(evens=[even(9000)], on_request=500, failing=["planned"])["planned"]
    assert found.sentence.endswith("Its run fails now (see Freshness): mend that first.")


def test_a_task_that_only_runs_compute_is_estimated(advise):
    """A row of a run stands for a computation: few say move, many say keep, and rows that nobody read are told."""
    spent = cost("planned", "batch", 10.0, 1000, wasted=900), cost("planned", "serve", 0.0, serves=5000)
    few, many = advise(*spent, on_request=5)["planned"], advise(*spent, on_request=4000)["planned"]
    assert (few.advice, few.saved) == ("move", "$9.95 a day")
    assert "900 of its 1,000 rows were replaced before anybody read them" in few.sentence
    assert (many.advice, many.saved) == ("keep", "")


def test_what_is_not_known_is_said(advise):
    """A price that is missing, a lane that is not worth a change, and a task without any cost get their sentences."""
    found = advise(cost("planned", "batch", 1.0, unpriced="tokens of llama"), cost("lazy", "realtime", 3.0, 6))
    assert "no price for tokens of llama" in found["planned"].sentence
    assert "Computed on request 6 times, which costs $3.00 a day at most." in found["lazy"].sentence
    assert {one.advice for one in advise().values()} == {"idle"}


def test_the_lines_cross_where_both_cost_the_same():
    """The point lies on both lines, and today's reads lie where their share of the width is."""
    plot = break_even_plot(runs_usd=12.0, request_usd=0.1, even=120.0, today=60.0)
    assert plot.reads == pytest.approx(144.0)
    assert plot.even_x == pytest.approx(PLOT_WIDTH * 120 / 144)
    assert plot.today_x == pytest.approx(PLOT_WIDTH * 60 / 144)
    assert plot.asked_y > plot.ahead_y == pytest.approx(plot.even_y)


async def test_what_was_spent_is_shown_by_task_owner_and_lane(shop, settled):
    """A run, a request and reads of the app itself are priced by its book, which the page names."""
    await shop.app.materialize(shop.ahead)
    for _ in range(3):
        await shop.app.serve(shop.asked, "c")
    await settled()
    page = await shop.seen(PATH)
    assert "Prices: a price list, 2026-01-01." in page
    assert "example prices" not in page
    by_task = page.rpartition("By task")[2]
    assert "ahead catalog $" in by_task
    assert "asked search" in by_task
    assert by_task.index("By owner") < by_task.index("By lane") < by_task.rindex("on request")


async def test_how_often_requests_would_compute_is_counted_in_the_reads(shop, settled):
    """A key that is read again within its SLA computes nothing; after it, and for another key, it computes again."""
    for wait_s in (0, 60, 1800, 3600, 60):
        shop.world.clock.advance(wait_s)
        await shop.app.serve(shop.asked, "c")
        await settled()
    await shop.app.serve(shop.asked, "d")
    await settled()
    shop.world.clock.advance(61)
    assert (await shop.ledger.on_request())["asked"] in (3, 4)
