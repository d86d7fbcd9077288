"""The page *Economics*: what it says was spent, and what it advises for each task."""

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.ports.usage import Usage
from parbake_console.advice import Known, verdicts
from parbake_console.charts import PLOT_WIDTH, Computations, break_even_plot
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


def seldom():
    """Declare the task ``planned`` with an SLA that allows much longer pauses than it has."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(freshness_sla="12h", keys=names, refresh=pb.every("2h", budget="2h")))
    def planned(key: str) -> str:
        return key

    return tasks


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
    assert found.sentence == f"A day costs: ahead, every 2h $12.00; on request ${on_request * 0.1:.2f}."
    assert found.to == ("on request" if advice == "move" else "")


def test_reads_of_a_stored_value_compute_nothing(advise):
    """Nine thousand reads that need three computations are cheaper on request, and no number of reads changes that."""
    found = advise(evens=[even(9000)], on_request=3)["planned"]
    assert (found.advice, found.figures["of them computed, on request, at most"]) == ("move", "3")
    assert found.figures["reads from which runs pay"] == "never"


def test_what_saves_little_more_does_not_take_the_values_away(advise):
    """Runs as seldom as the SLA allows are kept if requests cost a little less, because nobody waits for a run."""
    found = advise(evens=[even(9000)], on_request=15, declared=seldom())["planned"]
    assert found.sentence == "A day costs: ahead, every 2h $12.00; ahead, every 10h $2.40; on request $1.50."
    assert (found.to, found.saves) == ("ahead, every 10h", pytest.approx(9.6))


def test_runs_as_seldom_as_the_sla_allows_are_an_option(advise):
    """A task that runs much more often than it has to is told the longest period and what that costs."""
    found = advise(evens=[even(9000)], on_request=500, declared=seldom())["planned"]
    assert "ahead, every 10h $2.40" in found.sentence
    assert (found.to, found.saves) == ("ahead, every 10h", pytest.approx(9.6))


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
    spent = cost("planned", "batch", 10.0, 1000, calls=12, wasted=900), cost("planned", "serve", 0.0, serves=5000)
    few, many = advise(*spent, on_request=5)["planned"], advise(*spent, on_request=4000)["planned"]
    assert (few.advice, few.saved) == ("move", "$9.95 a day")
    assert "90 % of the rows of its runs were replaced before anybody read them" in few.sentence
    assert (many.advice, many.saved, many.to) == ("keep", "", "")
    assert (few.is_estimated, few.figures["one computation on request"]) == (True, "$0.01")
    assert few.plot.asked_y > few.plot.ahead_y
    assert advise(spent[0], on_request=5)["planned"].plot.today_x == 0.0


def test_what_is_not_known_is_said(advise):
    """A price that is missing, a lane that is not worth a change, and a task without any cost get their sentences."""
    found = advise(cost("planned", "batch", 1.0, unpriced="tokens of llama"), cost("lazy", "realtime", 3.0, 6))
    assert "no price for tokens of llama" in found["planned"].sentence
    assert "It is computed 6 times a day, which costs $3.00." in found["lazy"].sentence
    assert {one.advice for one in advise().values()} == {"idle"}


def test_the_lines_cross_where_both_cost_the_same():
    """Without reuse the cost on request is a line; the point lies on both, and now where its share of the width is."""
    plot = break_even_plot(
        runs_usd=12.0, once_usd=0.1, computations=Computations.through(60.0, 60.0), even=120.0, today=60.0
    )
    assert plot.reads == pytest.approx(144.0)
    assert plot.even_x == pytest.approx(PLOT_WIDTH * 120 / 144)
    assert plot.today_x == pytest.approx(PLOT_WIDTH * 60 / 144)
    assert plot.asked_y > plot.ahead_y == pytest.approx(plot.even_y)


@pytest.mark.parametrize(("reads", "computed"), [(1000.0, 300.0), (1000.0, 999.0), (5.0, 2.0), (1e6, 3.0)])
def test_reads_compute_ever_less_often(reads, computed):
    """The curve passes through what was measured, rises to its capacity, and finds the reads of each of its points."""
    curve = Computations.through(reads, computed)
    assert curve.of(reads) == pytest.approx(computed, rel=1e-6)
    assert curve.of(2 * reads) < 2 * curve.of(reads)
    assert curve.of(1e12) == pytest.approx(curve.capacity)
    assert curve.reads_for(computed / 2) == pytest.approx(_reads_of(curve, computed / 2, reads), rel=1e-6)
    assert curve.reads_for(curve.capacity) is None
    assert Computations.through(7.0, 7.0).of(100.0) == 100.0


def _reads_of(curve, computed, most):
    """Return where a curve has a value, by trying."""
    low, high = 0.0, most
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if curve.of(middle) < computed else (low, middle)
    return high


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


async def test_what_stored_answers_saved_is_told_if_there_is_any(shop, settled):
    """The page says nothing of answers that were given again until there is one, and does not add it to the sum."""
    assert "given again" not in await shop.seen(PATH)
    shop.ledger.file.saved("proxy", "realtime", "small", Usage(uncached=1000, output=100))
    await settled()
    page = await shop.seen(PATH)
    assert "instead of being generated anew, saved $" in page
    assert "$0 were spent in that time" in page


async def test_how_often_requests_would_compute_is_counted_in_the_reads(shop, settled):
    """Two keys within an SLA of an hour can be computed 48 times a day, one 24 times, however often they are read."""
    for wait_s in (0, 60, 1800, 3600, 60):
        shop.world.clock.advance(wait_s)
        await shop.app.serve(shop.asked, "c")
        await settled()
    await shop.app.serve(shop.asked, "d")
    await settled()
    shop.world.clock.advance(61)
    assert (await shop.ledger.on_request())["asked"] in (24.0, 48.0)
