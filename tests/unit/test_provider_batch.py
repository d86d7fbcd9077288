"""Batch runs through a provider's batch interface: what is stored, what falls back, and what is never served."""

import asyncio
import datetime as dt

import pytest
from tests.unit.provider_letters import DAY, HOUR, Letters, Provider
from tests.unit.shopfloor import contract
from tests.waiting import until

import parbake as pb
import parbake_llm
from parbake.errors import ContractError, ProviderError, RoleError, RunInProgress
from parbake_llm.ports.generator import Generator
from parbake_planner import Ledger
from parbake_planner.ledger.costs import CostBook, Offer
from parbake_planner.prices import Rate
from provider_box import SubmitFault


def batched(*readers):
    """Return the letters of a batch run that was answered by jobs."""
    return [(f"batch: {reader} likes {reader[0]}", "batch") for reader in readers]


@pytest.fixture
def letters(world):
    """Return the letters over a fresh world."""
    return Letters(world)


async def test_a_run_of_the_schedule_waits_for_its_job_without_staying(letters):
    """The first look submits and ends; a later one, when the job has ended, stores its answers."""
    assert await letters.due() == []
    assert (await letters.app.ops.runs(letters.task)).under_way.standing(letters.world.clock.now()) == "waiting"
    assert await letters.runs_until_done() == 3
    assert await letters.served() == batched("ann", "bob", "cid")
    assert letters.provider.asked == []
    assert len(letters.provider.jobs.jobs) == 1
    assert (await letters.app.engine.store.get(f"jobs/{letters.task.ref}")) is not None


async def test_other_tasks_run_while_a_job_is_under_way(world):
    """A run that waits holds up no other task of the schedule."""
    letters = Letters(world)

    def names() -> list[str]:
        return ["x"]

    @letters.tasks.artifact(**contract(refresh=pb.every("20m"), keys=names))
    def apart(key: str) -> str:
        return key

    letters.app = letters.opened()
    assert [run.built[0].task for run in await letters.app.ops.run_due()] == ["apart"]


async def test_looks_at_a_job_become_rarer(letters):
    """A look every second asks the provider only after pauses that grow up to ten times the first."""
    letters.provider.jobs.takes_s = 5.9 * HOUR
    for _ in range(5 * 3600 // 16):
        letters.world.clock.advance(10)
        await letters.due()
    assert 4 <= letters.provider.calls.count("state") <= 10


async def test_values_are_as_old_as_their_prompts(letters):
    """Their age and their stamp are those of the time before the first input was read."""
    before = await letters.app.stamp()
    at = letters.world.clock.now() + 6
    await letters.runs_until_done()
    served = await letters.app.serve(letters.task, "ann")
    assert served.lane == "batch"
    assert served.age_s == letters.world.clock.now() - at
    assert served.stamp >= before
    await letters.app.touch("policy/returns")
    assert served.stamp < await letters.app.stamp()


async def test_a_policy_that_changes_meanwhile_kills_every_answer(letters):
    """The prompts are the same, and yet no answer to a prompt from before the change is served."""
    await letters.due()
    await letters.app.touch("policy/returns")
    assert await letters.runs_until_done() == 3
    assert letters.provider.asked == []
    assert {lane for _, lane in await letters.served()} == {"realtime"}
    assert len(letters.provider.asked) == 3


async def test_a_prompt_whose_input_has_changed_is_asked_directly(letters):
    """Its answer was to another question; the others have theirs."""
    await letters.due()
    letters.world.put("bob", "likes chess")
    assert await letters.runs_until_done() == 3
    assert letters.provider.asked == ["bob likes chess"]
    assert await letters.served() == [
        *batched("ann"), ("direct: bob likes chess", "batch"), *batched("cid"),
    ]  # fmt: skip


async def test_a_request_without_an_answer_is_asked_directly_while_there_is_time(letters):
    """A job's failure for one request costs one direct request."""
    letters.provider.bad = {"bob likes b"}
    await letters.due()
    letters.world.clock.advance(HOUR)
    letters.provider.jobs.results(letters.provider.jobs.jobs[0])
    letters.provider.bad = set()
    assert await letters.runs_until_done() == 3
    assert letters.provider.asked == ["bob likes b"]
    assert (await letters.served())[1] == ("direct: bob likes b", "batch")


async def rows_without_time(letters):
    """Let a second run begin whose job lacks an answer and ends too late to ask directly; return its rows."""
    await letters.runs_until_done()
    letters.world.clock.advance(DAY)
    letters.provider.bad = {"bob likes b"}
    letters.provider.jobs.takes_s = HOUR
    await letters.due()
    letters.world.clock.advance(2 * DAY + HOUR)
    return await letters.runs_until_done()


@pytest.mark.parametrize("kind", ["single", "many"])
async def test_without_time_a_missing_answer_is_left_to_requests(world, kind):
    """Once the SLA is breached the run is promoted without the key, even if one call has many keys."""
    letters = Letters(world, kind=kind, via={"within": "2d"}, gates=pb.Gates(rows=0.1))
    assert await rows_without_time(letters) == 2
    assert letters.provider.asked == []
    letters.provider.bad = set()
    assert [value for value, _ in await letters.served()] == [
        "batch: ann likes a", "direct: bob likes b", "batch: cid likes c",
    ]  # fmt: skip


async def test_a_job_that_has_not_ended_in_time_is_cancelled_and_its_answers_are_used(letters):
    """At ``within`` the job is cancelled. Requests that it has answered by then are not asked again."""
    letters.provider.jobs.takes_s = 9.5 * HOUR  # a third of it is more than three hours
    assert await letters.runs_until_done() == 3
    job = letters.provider.jobs.jobs[0]
    assert job.cancelled_at - job.created_at == pytest.approx(6 * HOUR, abs=HOUR)
    assert letters.provider.asked == ["bob likes b", "cid likes c"]
    assert (await letters.served())[0] == ("batch: ann likes a", "batch")


async def test_a_run_that_is_late_already_submits_nothing(world):
    """What remains until the SLA, less the budget, is too short for a job: the generator is asked at once."""
    letters = Letters(world)
    await letters.runs_until_done()
    world.clock.advance(3 * DAY - HOUR - 30)
    assert await letters.due() == [3]
    assert len(letters.provider.jobs.jobs) == 1
    assert sorted(letters.provider.asked) == ["ann likes a", "bob likes b", "cid likes c"]


async def test_a_manual_run_waits_where_it_is(world):
    """``materialize`` returns when the answers are stored."""
    letters = Letters(world, via={"poll": "10ms"})
    running = asyncio.create_task(letters.app.materialize(letters.task))
    await until(lambda: letters.provider.calls.count("state") > 1)
    assert not running.done()
    world.clock.advance(HOUR)
    assert (await running).built[0].rows == 3
    assert letters.provider.asked == []


@pytest.mark.parametrize(("kind", "jobs", "direct"), [("many", 1, 0), ("slow", 1, 2)])
async def test_a_call_with_many_keys_sends_its_prompts_side_by_side(world, kind, jobs, direct):
    """All prompts of a call are collected at once. A function that waits for each reply shows only its first."""
    letters = Letters(world, kind=kind)
    assert await letters.runs_until_done() == 3
    assert (len(letters.provider.jobs.jobs), len(letters.provider.asked)) == (jobs, direct)
    assert len(await letters.served()) == 3


async def test_prompts_are_cut_into_jobs(world):
    """A job has at most as many requests as ``most`` says; the answers of all are used."""
    letters = Letters(world, readers=[f"r{n:02}" for n in range(25)], via={"most": 10})
    assert await letters.runs_until_done() == 25
    assert [len(job.lines) for job in letters.provider.jobs.jobs] == [10, 10, 5]
    assert letters.provider.asked == []


async def test_too_few_prompts_for_the_provider_are_asked_directly(world):
    """A job below the provider's least number is not submitted."""
    provider = Provider(world.clock)
    provider.least_requests = 4
    letters = Letters(world, provider)
    assert await letters.runs_until_done() == 3
    assert (len(provider.jobs.jobs), len(provider.asked)) == (0, 3)


async def test_tokens_of_jobs_cost_half_and_direct_ones_do_not(world, tmp_path):
    """Tokens are booked in the lane ``batch`` under the generator's name, and direct ones in the lane ``direct``."""
    rate = Rate(provider="maker", model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0, batch=0.5)
    offer = Offer(provider="maker", model="small", processing={"batch": "batch"})
    book = CostBook(as_of=dt.date(2026, 11, 25), cpu_hour=0.0, rates=(rate,), generators={"writer": offer})
    letters = Letters(world, ledger=tmp_path / "ledger.sqlite", book=book)
    await letters.due()
    letters.world.put("bob", "likes chess")
    await letters.runs_until_done()
    await letters.app.close()
    found = {cost.lane: cost for cost in await letters.opened().plugins[Ledger].costs() if cost.input}
    one = (900 * 1.0 + 100 * 10.0) / 1e6
    assert {lane: cost.usd for lane, cost in found.items()} == pytest.approx({"batch": 2 * one / 2, "direct": one})
    assert {cost.unpriced for cost in found.values()} == {""}


async def test_an_answer_that_is_read_again_is_booked_once_and_never_unpriced(world, tmp_path):
    """If a call with many keys lacks an answer and falls apart, the others are read once more and not booked again."""
    rate = Rate(provider="maker", model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0, batch=0.5)
    offer = Offer(provider="maker", model="small", processing={"batch": "batch"})
    book = CostBook(as_of=dt.date(2026, 11, 25), cpu_hour=0.0, rates=(rate,), generators={"writer": offer})
    options = {"ledger": tmp_path / "ledger.sqlite", "book": book, "gates": pb.Gates(rows=0.1)}
    letters = Letters(world, kind="many", via={"within": "2d"}, **options)
    assert await rows_without_time(letters) == 2
    await letters.app.close()
    found = {cost.lane: cost for cost in await letters.opened().plugins[Ledger].costs()}
    assert (found["batch"].input, found["batch"].unpriced) == (2 * 900, "")


async def test_a_refused_job_fails_the_run_and_says_why(letters):
    """A job that the provider will not take is not submitted again and again unnoticed."""
    letters.provider.jobs.fault = SubmitFault.REFUSED
    with pytest.raises(ProviderError, match="no such model"):
        await letters.app.materialize(letters.task)
    assert (await letters.app.ops.runs(letters.task)).under_way.failure
    assert (await letters.app.engine.store.get(f"jobs/{letters.task.ref}")) is not None


async def test_a_run_that_waits_says_for_what(letters):
    """The error names the task and the number of prompts."""
    await letters.due()
    letters.world.clock.advance(1)
    bound = letters.app.engine.bound_task(letters.task)
    said = "single: 3 prompts wait for a provider's batch interface since 1s"
    with pytest.raises(RunInProgress, match=said) as caught:
        await anext(letters.app.engine.batch.materialize(bound, trigger="schedule"))
    assert caught.value.field == "single"


def declared(fn=None, **changes):
    """Declare a task with ``via=``; ``fn`` replaces its function."""

    async def letter(key: str, llm: pb.Resource[Generator]) -> str:
        return key

    def names() -> list[str]:
        return ["a"]

    terms = {"freshness_sla": "3d", "refresh": pb.every("1d"), "keys": names}
    return pb.Registry().artifact(**contract(**(terms | changes)))(fn or letter)


def plain(key: str, llm: pb.Resource[Generator]) -> str:
    """Not async."""
    return key


async def alone(key: str) -> str:
    """Without a generator."""
    return key


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"via": "anthropic"}, ContractError, "via"),
        ({"via": True, "refresh": None}, ContractError, "via"),
        ({"refresh": None}, ContractError, "refresh"),
        ({"fn": plain}, RoleError, "via"),
        ({"fn": alone}, RoleError, "via"),
        ({"freshness_sla": "29h"}, ContractError, "via.within"),
    ],
)
def test_a_declaration_that_cannot_work_names_the_field(changes, error, field):
    """``via=`` needs a schedule, an async function with a generator, and an SLA that leaves the time."""
    via = parbake_llm.ProviderBatch(lambda: None, within="6h")
    with pytest.raises(error) as caught:
        declared(**({"via": via} | changes))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"provider": "anthropic"}, "via.provider"),
        ({"within": "soon"}, "via.within"),
        ({"poll": 0}, "via.poll"),
        ({"most": 0}, "via.most"),
    ],
)
def test_a_wrong_setting_names_the_field(settings, field):
    """Each setting is checked when it is written."""
    with pytest.raises(ContractError) as caught:
        parbake_llm.ProviderBatch(**({"provider": lambda: None} | settings))
    assert caught.value.field == field


async def test_a_function_may_open_the_batch_interface_when_it_is_needed(world):
    """It is called once; what it returns must be a batch interface."""
    provider, opened = Provider(world.clock), []

    def opens():
        opened.append(1)
        return provider

    via = parbake_llm.ProviderBatch(opens)
    assert (via.opened, via.opened, opened) == (provider, provider, [1])
    with pytest.raises(ContractError) as caught:
        _ = parbake_llm.ProviderBatch(lambda: None).opened
    assert caught.value.field == "via.provider"
