"""The page *Economics*: what it says was spent, and what it advises for each task."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake_console.advice import verdicts
from parbake_console.charts import PLOT_WIDTH, break_even_plot
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import Cost

PATH = "/console/economics"
HOUR, DAY = 3600.0, 86_400.0


def cost(task, lane, usd, rows=1, **options):
    """Return what a task has cost in a lane."""
    return Cost(task, lane, "team", "", usd=usd, rows=rows, **options)


def even(reads_a_day, today, *, run_usd=1.0, request_usd=0.1):
    """Return the break-even of the task ``planned``, which runs every two hours."""
    reads = None if reads_a_day is None else reads_a_day / 12
    return BreakEven("planned", 2 * HOUR, run_usd, request_usd, reads, reads_a_day, today)


@pytest.fixture
def advise():
    """Return a function that advises on a task with a schedule, ``planned``, and on one without, ``lazy``."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(freshness_sla="6h", keys=names, refresh=pb.every("2h")))
    def planned(key: str) -> str:
        return key

    @tasks.artifact(**contract())
    def lazy(key: str) -> str:
        return key

    def given(*costs, evens=(), covered_s=DAY):
        return {one.task: one for one in verdicts(tasks, costs, evens, serve=0.0, covered_s=covered_s)}

    return given


@pytest.mark.parametrize(
    ("today", "advice", "verb", "said"),
    [
        (500, "keep", "That saves", "pays from 120 reads a day; it has 500. Keep it computed ahead."),
        (20, "move", "That would save", "pays from 120 reads a day; it has 20. Compute it on request, or less often."),
        (115, "keep", "They differ by", "Both lanes cost about the same."),
    ],
)
def test_a_measured_task_is_compared_at_its_reads(advise, today, advice, verb, said):
    """Above the break-even it stays ahead, below it moves; near it the difference is not worth a change."""
    found = advise(evens=[even(120.0, today)])["planned"]
    assert found.advice == advice
    assert said in found.sentence
    assert found.difference == f"{verb} ${abs(12 - today * 0.1):.2f} a day."


def test_a_part_of_a_day_is_taken_for_the_whole(advise):
    """Sixty reads in an hour are 1,440 of a day; of less than ten minutes nothing is concluded."""
    found = advise(evens=[even(120.0, 60)], covered_s=HOUR)["planned"]
    assert found.figures["reads a day"] == "1,440"
    assert advise(cost("planned", "batch", 1.0), evens=[even(120.0, 60)], covered_s=500.0)["planned"].plot is None


def test_what_never_pays_is_moved(advise):
    """A stored read that costs as much as computing it has no break-even, and the picture has no crossing."""
    found = advise(evens=[even(None, 50)])["planned"]
    assert (found.advice, found.figures["break-even a day"], found.plot.even_x) == ("move", "never", None)


def test_refreshes_after_events_are_told_where_they_matter(advise):
    """If they cost more than the choice of a lane can save, the advice says where to look first."""
    quiet = advise(cost("planned", "event", 0.5), evens=[even(120.0, 500)])["planned"]
    loud = advise(cost("planned", "event", 90.0), evens=[even(120.0, 500)])["planned"]
    assert "after events" not in quiet.sentence
    assert "Refreshes after events cost $90.00 a day on top" in loud.sentence


def test_a_task_that_only_runs_compute_is_estimated(advise):
    """A row of a run stands for a request: few reads say move, many say keep, and rows that nobody read are told."""
    few = advise(cost("planned", "batch", 10.0, 1000, wasted=900), cost("planned", "serve", 0.0, serves=5))["planned"]
    many = advise(cost("planned", "batch", 10.0, 1000), cost("planned", "serve", 0.0, serves=5000))["planned"]
    assert (few.advice, few.difference) == ("move", "about $9.95 a day")
    assert "900 of its 1,000 rows were replaced before anybody read them" in few.sentence
    assert (many.advice, many.difference) == ("keep", "")


def test_what_is_not_known_is_said(advise):
    """A price that is missing, a lane that was never tried, and a task without any cost each get their sentence."""
    found = advise(cost("planned", "batch", 1.0, unpriced="tokens of llama"), cost("lazy", "realtime", 3.0, 6))
    assert "no price for tokens of llama" in found["planned"].sentence
    assert "Computed on request 6 times" in found["lazy"].sentence
    assert found["lazy"].difference == "at most $3.00 a day"
    assert {one.advice for one in advise().values()} == {"idle"}


def test_the_lines_cross_where_both_cost_the_same():
    """The point lies on both lines, and today's reads lie where their share of the width is."""
    plot = break_even_plot(runs_usd=12.0, request_usd=0.1, serve_usd=0.0, even=120.0, today=60.0)
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
    by_task = page.partition("By task")[2]
    assert "ahead catalog $" in by_task
    assert "asked search $" in by_task
    assert by_task.index("By owner") < by_task.index("By lane") < by_task.rindex("on request $")
