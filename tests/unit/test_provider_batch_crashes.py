"""Batch jobs and processes that break off: nothing is lost or stored twice, and nothing is bought unnoticed."""

import asyncio
import dataclasses

import pytest
from tests.unit.provider_letters import DAY, HOUR, Letters, Provider, asked
from tests.unit.shopfloor import Facts

import parbake as pb
import parbake_llm
from parbake.errors import StoreError
from parbake.ports.named_values import NamedValue
from parbake.ports.usage import Usage
from parbake.protocol.record import Stamp
from parbake.stores.memory import MemoryStore
from parbake_llm.batch.job_journal import CLOCKS_S, JobRecord, SubmittedJob, matching, shares
from parbake_llm.batch.provided import ProvidedRuns
from parbake_llm.batch.stand_ins import AnswerReader, GivenAnswer, PromptIds
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.ports.provider_jobs import BatchAnswer, SeenJob
from parbake_planner import Ledger
from provider_box import SubmitFault
from provider_box.jobs import JobLine

GRACE_S = 120.0


@pytest.fixture
def letters(world):
    """Return the letters, over a store that another app can open again."""
    return Letters(world, store=MemoryStore())


def replaced(letters):
    """Let another process take over: an app of its own on the same store."""
    letters.app = letters.opened()


async def record(letters):
    """Return the record of the task's jobs."""
    return await NamedValue(letters.app.engine.store, f"jobs/{letters.task.ref}", JobRecord, JobRecord()).read()


def jobs(letters):
    """Return how many jobs were submitted."""
    return len(letters.provider.jobs.jobs)


async def test_another_process_goes_on_with_the_job(letters):
    """The job that a dead process submitted is adopted, and not submitted again."""
    await letters.due()
    replaced(letters)
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])
    assert [lane for _, lane in await letters.served()] == ["batch"] * 3
    assert (await record(letters)).jobs == ()


@pytest.mark.parametrize("keeps_names", [True, False])
async def test_a_job_whose_id_was_not_heard_is_found_again(world, keeps_names):
    """By its name, or else by its size and time: it is adopted, and there is no second one."""
    letters = Letters(world, Provider(world.clock, keeps_names=keeps_names), store=MemoryStore())
    letters.provider.jobs.fault = SubmitFault.UNHEARD
    await letters.due()
    (row,) = (await record(letters)).jobs
    assert row.job == ""
    replaced(letters)
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])


async def test_a_job_of_somebody_else_is_not_taken_for_ones_own(world):
    """Without names a job of the same size and time is taken first. Once it has ended, its ids show whose it is."""
    letters = Letters(world, Provider(world.clock, keeps_names=False), store=MemoryStore())
    letters.provider.jobs.fault = SubmitFault.LOST
    await letters.due()
    letters.provider.jobs.submit(
        "openai", [JobLine(str(n), {"q": str(n)}, "m") for n in range(3)], {"intent": "x" * 32}
    )
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (2, [])
    assert letters.provider.jobs.jobs[0].cancelled_at is None


async def test_a_job_of_another_task_is_not_taken_for_ones_own(world):
    """The jobs of all tasks of a store are known, whichever task submitted them."""
    provider = Provider(world.clock, keeps_names=False)
    first = Letters(world, provider, store=MemoryStore())
    await first.due()
    provider.jobs.fault = SubmitFault.LOST
    second = Letters(world, provider, kind="many", store=first.options["store"])
    await second.due()
    world.clock.advance(GRACE_S + 600)
    await second.due()
    assert jobs(second) == 2
    assert await second.runs_until_done() == 3
    assert provider.asked == []


async def test_a_submission_that_never_arrived_is_made_again_after_a_grace(letters):
    """Until then the listing is asked again; there is one job in the end."""
    letters.provider.jobs.fault = SubmitFault.LOST
    await letters.due()
    assert jobs(letters) == 0
    await letters.due()
    assert jobs(letters) == 0
    letters.world.clock.advance(GRACE_S + 600)
    await letters.due()
    assert jobs(letters) == 1
    assert (await record(letters)).resubmitted == 1
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])


async def test_a_job_that_is_listed_too_late_is_bought_twice_and_stored_once(letters, caplog):
    """A duplicate is counted and logged; each row has one answer."""
    letters.provider.jobs.fault = SubmitFault.UNHEARD
    letters.provider.jobs.lists_after_s = DAY
    await letters.due()
    letters.world.clock.advance(GRACE_S + 600)
    await letters.due()
    assert await letters.runs_until_done() == 3
    assert jobs(letters) == 2
    assert "1 jobs were submitted again" in caplog.text
    assert letters.provider.asked == []


async def test_jobs_that_were_submitted_before_a_crash_are_not_submitted_again(world):
    """The prompts are collected again, and only the missing job is submitted."""
    letters = Letters(world, store=MemoryStore(), readers=[f"r{n:02}" for n in range(25)], via={"most": 10})
    submit, left = letters.provider.submit, [2]

    async def dies_at_the_third(intent, requests):
        left[0] -= 1
        if left[0] < 0:
            raise asyncio.CancelledError
        return await submit(intent, requests)

    letters.provider.submit = dies_at_the_third
    await asyncio.gather(letters.due(), return_exceptions=True)
    assert jobs(letters) == 2
    letters.provider.submit = submit
    replaced(letters)
    assert await letters.runs_until_done() == 25
    assert [len(job.lines) for job in letters.provider.jobs.jobs] == [10, 10, 5]
    assert letters.provider.asked == []


async def test_a_store_that_fails_while_answers_are_stored_costs_no_second_job(letters, monkeypatch):
    """The run is continued from the same answers."""
    await letters.due()
    letters.world.clock.advance(HOUR)
    store = letters.app.engine.store
    write = type(store).write_base

    async def fails(*_):
        raise StoreError("the disk is slow")

    monkeypatch.setattr(type(store), "write_base", fails)
    assert await letters.due() == []
    monkeypatch.setattr(type(store), "write_base", write)
    assert await letters.runs_until_done(step_s=60) == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])


async def test_a_gate_that_objects_buys_nothing_new(world, tmp_path):
    """Each later try uses the answers that were bought already, and their tokens are booked once."""
    verdicts = ["not yet", "not yet", None]
    letters = Letters(
        world, store=MemoryStore(), gates=pb.Gates(quality=lambda _: verdicts.pop(0)), ledger=tmp_path / "ledger.sqlite"
    )
    assert await letters.runs_until_done() == 3
    assert verdicts == []
    assert (jobs(letters), letters.provider.asked) == (1, [])
    await letters.app.close()
    assert {cost.lane: cost.input for cost in await letters.opened().plugins[Ledger].costs() if cost.input} == {
        "batch": 3 * 900
    }


async def test_the_next_generation_buys_new_answers(letters):
    """Answers are used for one generation only, even if the prompts are the same."""
    await letters.runs_until_done()
    letters.world.clock.advance(DAY)
    assert await letters.runs_until_done() == 3
    assert jobs(letters) == 2


async def test_a_run_that_begins_anew_uses_the_jobs_of_the_one_before(letters):
    """A run may lose its generation while it waits; its jobs were paid for, and stay valid."""
    await letters.due()
    state = await letters.app.ops.runs(letters.task)
    await letters.app.engine.store.sweep([state.under_way.generation])
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])
    assert (await letters.app.ops.runs(letters.task)).ended[0].generation != state.under_way.generation


async def test_another_model_does_not_get_the_answers_of_the_first(letters):
    """After a change of the model the prompts are submitted anew."""
    await letters.due()
    letters.provider.model = "large"
    letters.world.clock.advance(2 * HOUR)
    await letters.due()
    assert jobs(letters) == 2


async def test_changed_code_cancels_the_job_of_the_old_code(letters):
    """Its answers are to other prompts."""
    await letters.due()

    async def other(reader: str, facts: pb.Source[Facts], llm: pb.Resource[Generator]) -> str:
        return await asked(llm, f"dear {reader} {facts.get(reader)}")

    other.__name__ = letters.task.name
    letters.tasks = pb.Registry()
    letters.task = letters.tasks._add(dataclasses.replace(letters.task, fn=other))
    replaced(letters)
    letters.world.clock.advance(660)
    await letters.due()
    first, second = letters.provider.jobs.jobs
    assert first.cancelled_at is not None
    assert second.cancelled_at is None


async def test_a_provider_that_is_down_is_waited_for(letters):
    """While a job is under way a failed look changes nothing."""
    await letters.due()
    letters.provider.down = True
    letters.world.clock.advance(2 * HOUR)
    assert await letters.due() == []
    letters.provider.down = False
    assert await letters.runs_until_done() == 3
    assert (jobs(letters), letters.provider.asked) == (1, [])


async def test_a_provider_that_stays_down_costs_the_answers_but_not_the_deadline(letters):
    """At ``within`` the generator is asked directly."""
    await letters.due()
    letters.provider.down = True
    assert await letters.runs_until_done() == 3
    assert len(letters.provider.asked) == 3


async def test_a_function_that_catches_errors_cannot_take_the_collecting_for_one(world):
    """A fallback for a failed generator is not stored because of the batch interface."""
    letters = Letters(world, store=MemoryStore())
    tasks = pb.Registry()
    caught = []

    @tasks.artifact(
        freshness_sla="3d", refresh=pb.every("1d"), invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team",
        keys=lister(letters.readers), via=parbake_llm.ProviderBatch(letters.provider, within="6h"),
    )  # fmt: skip
    async def careful(reader: str, llm: pb.Resource[Generator]) -> str:
        try:
            return await asked(llm, reader)
        except Exception as error:  # noqa: BLE001 - what such a task does
            caught.append(error)
            return "sorry"

    letters.tasks, letters.task = tasks, careful
    replaced(letters)
    assert await letters.runs_until_done() == 3
    assert [value for value, _ in await letters.served()] == [f"batch: {name}" for name in letters.readers]
    assert caught == []


def lister(names):
    """Return a function that lists these keys."""

    def listed() -> list[str]:
        return names

    return listed


def job(**changes):
    """Return the intent of a job of ten requests, written at 1,000 s."""
    row = {"intent": "mine", "digest": b"", "requests": 10, "stamp": b"", "collected_at": 990.0, "written_at": 1000.0}
    return SubmittedJob(**(row | changes))


@pytest.mark.parametrize(
    ("seen", "is_found"),
    [
        (SeenJob("1", 5.0, 3, "mine"), True),
        (SeenJob("1", 1000.0, 10, "other"), False),
        (SeenJob("1", 1000.0, 10, None), True),
        (SeenJob("1", 1000.0, None, None), True),
        (SeenJob("1", 1000.0, 9, None), False),
        (SeenJob("known", 1000.0, 10, None), False),
        (SeenJob("1", 1000.0 - CLOCKS_S - 1, 10, None), False),
        (SeenJob("1", 1000.0 + GRACE_S + CLOCKS_S + 1, 10, None), False),
    ],
)
def test_a_job_is_recognised_by_its_name_or_by_its_size_and_time(seen, is_found):
    """A name decides alone; without names, the size, the time, and that no other row has the job."""
    assert (matching(job(), [seen], {"known"}, GRACE_S) is seen) == is_found


def test_requests_are_cut_by_number_and_by_size():
    """Each job is within both limits, and a request that is too large is alone."""
    cut = shares([1, 1, 1, 9, 1, 1, 20, 1], 3, 10)
    assert cut == [slice(0, 3), slice(3, 5), slice(5, 6), slice(6, 7), slice(7, 8)]
    assert shares([], 3, 10) == []


def test_the_id_of_a_prompt_depends_on_everything_that_its_answer_depends_on(world):
    """On the task, the provider, the model, the key, the prompt, its length, and how often it was sent."""
    provider = Provider(world.clock)
    prompt = Prompt(question="?")

    def first(ref="task@1", key=b"k", sent=prompt, length=10, times=1):
        ids = PromptIds(ref, provider, key)
        return [ids.of(sent, length) for _ in range(times)][-1]

    found = [
        first(),
        first("task@2"),
        first(key=b"l"),
        first(sent=Prompt(question="!")),
        first(length=9),
        first(times=2),
    ]
    provider.model = "large"
    found.append(first())
    assert len(set(found)) == 7
    assert {len(one) for one in found} == {32}
    provider.model = "small"
    assert first() == found[0]


def test_pauses_between_looks_grow_to_ten_times_the_first():
    """The first pause is the given one, and none goes beyond a deadline that is still to come."""
    record, pauses = JobRecord(), []
    for _ in range(12):
        record = record.later(0.0, 60.0, 500.0 if len(pauses) < 6 else -1.0)
        pauses.append(record.next_look)
    assert pauses[0] == 60.0
    assert pauses == sorted(pauses)
    assert (pauses[5], pauses[-1]) == (pytest.approx(60 * 1.5**5), 600.0)
    assert JobRecord(looks=9).later(0.0, 60.0, 500.0).next_look == 500.0


async def test_a_crash_between_the_promotion_and_its_note_does_not_reuse_answers(letters, monkeypatch):
    """The record of the jobs is still there, but belongs to the generation before."""
    monkeypatch.setattr(ProvidedRuns, "promoted", lambda *_: asyncio.sleep(0))
    await letters.runs_until_done()
    assert (await record(letters)).jobs
    monkeypatch.undo()
    letters.world.clock.advance(DAY)
    assert await letters.runs_until_done() == 3
    assert jobs(letters) == 2


async def test_a_refused_job_leaves_no_intent_behind(letters):
    """The next try need not look for it."""
    letters.provider.jobs.fault = SubmitFault.REFUSED
    await letters.due()
    assert (await record(letters)).jobs == ()
    letters.world.clock.advance(60)
    await letters.due()
    assert jobs(letters) == 1
    assert (await record(letters)).resubmitted == 0


async def test_a_run_that_waits_longer_than_half_the_sla_is_still_continued(world):
    """The time that it may wait counts in addition."""
    letters = Letters(world, store=MemoryStore(), via={"within": "47h"})
    letters.provider.jobs.takes_s = 45 * HOUR
    await letters.due()
    begun = (await letters.app.ops.runs(letters.task)).under_way.generation
    assert await letters.runs_until_done() == 3
    assert (await letters.app.ops.runs(letters.task)).ended[0].generation == begun


async def test_the_tokens_of_an_answer_are_reported_once(world):
    """However often a call is repeated."""
    given = GivenAnswer(BatchAnswer(custom_id="a", text="Yes.", usage=Usage(uncached=5)), Stamp(1, 1), 0.0)
    for usage in (Usage(uncached=5), Usage()):
        reader = AnswerReader(Provider(world.clock), given)
        replayed = [delta async for delta in reader.stream(Prompt(), max_tokens=1, timeout_s=1)]
        assert replayed == [Delta("Yes.", usage=usage)]
        assert given.is_booked
