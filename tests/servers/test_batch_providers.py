"""The batch interfaces of three providers, with the official clients, against a local server that speaks them."""

import asyncio
import contextlib
import traceback

import pytest

from parbake.errors import FailureKind, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.batch.provider_batch import is_provider
from parbake_llm.generators.batches.anthropic import AnthropicBatches
from parbake_llm.generators.batches.bedrock import BedrockBatches
from parbake_llm.generators.batches.openai import OpenAIBatches
from parbake_llm.generators.bedrock import AwsAccount
from parbake_llm.ports.prompts import Block, Prompt, Tool, ToolCall
from parbake_llm.ports.provider_jobs import BatchRequest, JobState, NoAnswer
from parbake_llm.testing import ProviderFault, ScriptedReply
from provider_box import JobBox, SubmitFault

SECRET = "aws-secret-0123456789"
DIALECTS = ["anthropic", "bedrock", "openai"]
INTENT, OTHER = "a" * 32, "b" * 32
PRICE = Tool("price", "The price of an item.", {"type": "object", "properties": {"id": {"type": "integer"}}})
CALL = ToolCall("call_1", "price", '{"id": 7}')
ALL = 100
"""The requests of a job: the least that Bedrock takes."""


@pytest.fixture
def box():
    """Return a box that serves."""
    with JobBox() as found:
        yield found


def made(dialect, box, *, key=None):
    """Return the batch interface of a dialect that asks the box."""
    key = box.key if key is None else key
    if dialect == "openai":
        return OpenAIBatches(model="m", api_key=key, base_url=box.openai_url)
    if dialect == "anthropic":
        return AnthropicBatches(model="m", api_key=key, base_url=box.anthropic_url)
    return BedrockBatches(
        role_arn="arn:aws:iam::000000000000:role/batch", s3_uri="s3://letters/today", model="m",
        account=AwsAccount("eu-west-1", key, SECRET), endpoint_url=box.bedrock_url, s3_url=box.s3_url,
    )  # fmt: skip


def requests(*questions, **options):
    """Return one request for each question, filled up to the least number of a job."""
    asked = [*questions, *(f"more {n}" for n in range(ALL - len(questions)))]
    return [BatchRequest(f"{n:032x}", Prompt(question=each, **options), 50) for n, each in enumerate(asked)]


def run(provider, steps):
    """Run a coroutine function with the provider, and close it."""

    async def all_of_it():
        async with contextlib.aclosing(provider):
            return await steps(provider)

    return asyncio.run(all_of_it())


async def answers(provider, job):
    """Return the answers of a job by their ids."""
    return {answer.custom_id: answer async for answer in provider.results(job)}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_job_ends_and_answers_every_request(dialect, box):
    """A job runs until its time has passed; then each request has its text, its tool calls and its tokens."""
    prompts = requests("0123", tools=(PRICE,), blocks=(Block("rules", "be kind."),))
    box.reply(lambda request: ScriptedReply("12345678", (CALL,), reasoning=3))

    async def steps(provider):
        job = await provider.submit(INTENT, prompts)
        before = await provider.state(job)
        box.advance(3600)
        return before, await provider.state(job), await answers(provider, job)

    before, after, found = run(made(dialect, box), steps)
    assert (before, after) == (JobState.RUNNING, JobState.ENDED)
    assert len(found) == ALL
    first = found[prompts[0].custom_id]
    assert (first.text, first.calls, first.lacking) == ("12345678", (CALL,), None)
    assert first.usage.input > 3
    assert first.usage.output == 2 + -(-len('price{"id": 7}') // 4) + 3
    assert box.requests == [], "nothing was asked directly"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_that_fails_fails_alone(dialect, box):
    """The other requests of the job have their answers."""
    box.reply(lambda request: ScriptedReply("no", fault=ProviderFault.BROKEN) if "bad" in str(request.body) else "yes")

    async def steps(provider):
        job = await provider.submit(INTENT, requests("good", "bad", "good, too"))
        box.advance(3600)
        return [answer for _, answer in sorted((await answers(provider, job)).items())]

    found = run(made(dialect, box), steps)
    assert [(each.text, each.lacking) for each in found[:3]] == [("yes", None), ("", NoAnswer.FAILED), ("yes", None)]
    assert {each.text for each in found[3:]} == {"yes"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("how", "why"), [("expires", NoAnswer.EXPIRED), ("is cancelled", NoAnswer.CANCELLED)])
def test_a_job_that_ends_early_has_some_answers(dialect, how, why, box):
    """The requests that were reached have answers, whether the job expires or is cancelled; the others say why not."""
    if how == "expires":
        box.jobs.takes_s = 2 * box.jobs.expires_s

    async def steps(provider):
        job = await provider.submit(INTENT, requests())
        box.advance(box.jobs.expires_s if how == "expires" else 1800)
        if how == "is cancelled":
            await provider.cancel(job)
        return await provider.state(job), (await answers(provider, job)).values()

    state, found = run(made(dialect, box), steps)
    assert state is JobState.ENDED
    assert [each.lacking for each in found].count(None) == ALL // 2
    assert {each.lacking for each in found} == {None, NoAnswer.FAILED if dialect == "bedrock" else why}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_submission_whose_answer_was_lost_is_found_in_the_listing(dialect, box):
    """By its intent, or by its size and time at a provider that keeps no name."""
    box.jobs.fault = SubmitFault.UNHEARD

    async def steps(provider):
        with pytest.raises(ProviderError) as caught:
            await provider.submit(INTENT, requests())
        assert caught.value.kind in {FailureKind.UNREACHABLE, FailureKind.CUT}
        now = box.jobs.now()
        job = box.jobs.jobs[0]
        (seen,) = await provider.recent(now - 60)
        assert await provider.state(seen.job) is JobState.RUNNING
        assert seen.created_at == job.created_at
        assert await provider.recent(now + 60) == []
        return seen

    seen = run(made(dialect, box), steps)
    assert (seen.intent, seen.requests) == {"anthropic": (None, ALL)}.get(dialect, (INTENT, None))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_listing_is_read_to_its_end(dialect, box):
    """Jobs on later pages are found, too."""

    async def steps(provider):
        for number in range(105):
            box.jobs.submit(dialect, box.jobs.jobs[0].lines if number else [line()], named(number))
        return await provider.recent(box.jobs.now() - 60)

    assert len({seen.job for seen in run(made(dialect, box), steps)}) == 105


def line():
    """Return one request as the box keeps it."""
    from provider_box.jobs import JobLine

    return JobLine("0" * 32, {}, "m")


def named(number):
    """Return what a job is called, for every dialect."""
    return {
        "parbake_intent": f"{number:032x}",
        "name": f"parbake-{number:032x}",
        "token": str(number),
        "target": "s3://x/y",
    }


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        (SubmitFault.REFUSED, {FailureKind.REJECTED}),
        (SubmitFault.LOST, {FailureKind.UNREACHABLE, FailureKind.CUT}),
        (None, {FailureKind.AUTH}),
    ],
)
def test_a_failure_is_typed_and_shows_no_secret(dialect, fault, kinds, box):
    """A refused job, a lost connection and a wrong key are told apart, and no error shows the key."""
    box.jobs.fault = fault
    key = box.key if fault else "wrong-key-9876543210"

    async def steps(provider):
        with pytest.raises(ProviderError) as caught:
            await provider.submit(INTENT, requests())
        return caught.value

    provider = made(dialect, box, key=key)
    error = run(provider, steps)
    assert error.kind in kinds
    assert error.field
    shown = "".join(traceback.format_exception(error)) + repr(provider)
    assert key not in shown
    assert SECRET not in shown
    assert box.jobs.jobs == []


def test_bedrock_makes_a_job_once_for_each_intent(box):
    """The same intent gets the same job; another one gets another."""

    async def steps(provider):
        return [await provider.submit(intent, requests()) for intent in (INTENT, INTENT, OTHER)]

    first, again, other = run(made("bedrock", box), steps)
    assert first == again != other


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_interface_fits_the_port(dialect, box):
    """It has the methods of the port, and the name by which the provider's generator is priced."""
    provider = made(dialect, box)
    assert is_provider(provider)
    assert provider.name == dialect
    assert provider.least_requests <= ALL <= provider.most_requests


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_that_cannot_be_read_is_malformed(dialect):
    """Its id is kept; the rest of the job is not affected."""
    import importlib

    from parbake_llm.generators._hosted.batch_calls import checked

    module = importlib.import_module(f"parbake_llm.generators.batches.{dialect}")
    entry = {"custom_id": "x", "recordId": "x", "result": {"type": "succeeded"}, "modelOutput": {"output": None}}
    entry |= {"response": {"status_code": 200, "body": {"choices": []}}}
    found = checked("x", entry, module._answer)
    assert (found.custom_id, found.lacking, found.usage) == ("x", NoAnswer.MALFORMED, Usage())
    assert checked(None, entry, module._answer) is None


def test_bedrock_takes_its_batch_settings_from_the_environment():
    """The role and the folder have variables of their own; a missing one or a wrong folder is named."""
    env = {
        "BEDROCK_MODEL": "m", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "box", "AWS_SECRET_ACCESS_KEY": SECRET,
        "BEDROCK_BATCH_ROLE": "arn:aws:iam::000000000000:role/batch", "BEDROCK_BATCH_S3": "s3://letters/today",
    }  # fmt: skip
    assert BedrockBatches.from_environment(env).model == "m"
    for name in ("BEDROCK_MODEL", "AWS_REGION", "BEDROCK_BATCH_ROLE", "BEDROCK_BATCH_S3"):
        with pytest.raises(ProviderError) as caught:
            BedrockBatches.from_environment({key: value for key, value in env.items() if key != name})
        assert caught.value.field == name
    with pytest.raises(ProviderError) as caught:
        BedrockBatches.from_environment(env | {"BEDROCK_BATCH_S3": "letters"})
    assert caught.value.field == "s3_uri"
