"""What a provider that hangs or fails costs: limits for a request and its tries, and a circuit breaker."""

import asyncio
import contextlib
from functools import partial

import pytest
from tests.servers.test_providers import DIALECTS, made, replies
from tests.waiting import HANGS_S, until

from parbake.errors import FailureKind, ProviderError
from parbake.testing import FakeClock
from parbake_llm.generators._breaker import Breaker
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import BedrockGenerator
from parbake_llm.generators.chain import Breakers, Chain
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.limits import Limits
from parbake_llm.ports.prompts import Prompt
from parbake_llm.testing import ProviderBox

PROMPT = Prompt(question="What?")
SHORT_S, PAUSE_S = 0.4, 60.0
NEVER_S = 10 * HANGS_S


@pytest.fixture
def box():
    """Return a box whose model ``slow`` does not answer before the box is closed."""
    with ProviderBox() as found:
        found.slow_s = NEVER_S
        yield found


@pytest.fixture
def clock(monkeypatch):
    """Return the clock by which the pauses of generators end; it stands still until the test advances it."""
    found = FakeClock()
    monkeypatch.setattr("parbake_llm.generators._hosted.request.Breaker", partial(Breaker, clock=found.now))
    return found


async def kind_of(generator, *, timeout_s=HANGS_S, within_s=HANGS_S):
    """Return the kind of failure of a request; ``None`` for a whole reply."""
    try:
        async with asyncio.timeout(within_s):
            async for _ in generator.stream(PROMPT, max_tokens=50, timeout_s=timeout_s):
                pass
    except ProviderError as error:
        return error.kind
    return None


async def works_after_pause(generator, clock):
    """Whether a request gets its whole reply after a further pause."""
    clock.advance(PAUSE_S)
    return await kind_of(generator) is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_provider_that_hangs_is_not_asked_for_long(dialect, box, clock, caplog):
    """The first requests wait for the limit of the first byte; the next ones fail at once, until a try succeeds."""
    limits = Limits(first_s=SHORT_S, failures=2, pause_s=PAUSE_S)
    async with contextlib.aclosing(made(dialect, box, "slow").limited(limits)) as generator:
        assert [await kind_of(generator) for _ in range(2)] == [FailureKind.TIMEOUT] * 2
        assert {await kind_of(generator) for _ in range(20)} == {FailureKind.SKIPPED}
        box.slow_s = 0.0
        assert await until(partial(works_after_pause, generator, clock))
        assert {await kind_of(generator) for _ in range(3)} == {None}
    told = [record.getMessage() for record in caplog.records if record.name == "parbake_llm.generators"]
    assert told == [f"{dialect} failed, and is not asked for {PAUSE_S:g} s at a time", f"{dialect} is asked again"]


async def test_one_request_tries_a_provider_that_still_hangs(box, clock):
    """After the pause a single request is made; it fails, and the next ones are skipped again."""
    limits = Limits(first_s=SHORT_S, failures=1, pause_s=PAUSE_S)
    async with contextlib.aclosing(made("openai", box, "slow").limited(limits)) as generator:
        assert await kind_of(generator) is FailureKind.TIMEOUT
        assert await kind_of(generator) is FailureKind.SKIPPED
        clock.advance(PAUSE_S)
        assert await kind_of(generator) is FailureKind.TIMEOUT
        assert await kind_of(generator) is FailureKind.SKIPPED


async def test_a_caller_whose_deadline_is_as_short_as_the_limit_does_not_hide_a_hang(box):
    """A request that is given up as its time ends counts as a failure, and one that is given up early does not."""
    limits = Limits(failures=1, pause_s=NEVER_S)
    async with contextlib.aclosing(made("openai", box, "slow").limited(limits)) as generator:
        with pytest.raises(TimeoutError):
            await kind_of(generator, within_s=SHORT_S)
        with pytest.raises(TimeoutError):
            await kind_of(generator, timeout_s=SHORT_S * 1.05, within_s=SHORT_S)
        assert await kind_of(generator) is FailureKind.SKIPPED


async def test_the_whole_request_has_a_limit_of_its_own(box):
    """``total_s`` holds although the caller would wait for longer."""
    async with contextlib.aclosing(made("openai", box, "slow").limited(Limits(total_s=SHORT_S))) as generator:
        with pytest.raises(ProviderError, match=f"did not finish within {SHORT_S} s"):
            await replies(generator, PROMPT)


@pytest.mark.parametrize(("tries", "kind"), [(1, FailureKind.OVERLOADED), (3, None)])
async def test_a_failure_that_passes_is_tried_as_often_as_the_limits_say(tries, kind, box):
    """A model that fails twice answers the third try, and one try is one request."""
    async with contextlib.aclosing(made("openai", box, "flaky-2").limited(Limits(tries=tries))) as generator:
        assert await kind_of(generator) is kind
    assert len(box.requests) == tries


async def test_in_a_chain_the_chains_breaker_stands_in(box):
    """The breakers that a chain is given decide alone when a provider is not asked."""
    generator = made("openai", box, "529").limited(Limits(tries=1, failures=1, pause_s=NEVER_S))
    async with contextlib.aclosing(Chain([generator], breakers=Breakers(after=3, cooldown_s=NEVER_S))) as chained:
        kinds = [await kind_of(chained) for _ in range(4)]
    assert kinds == [FailureKind.OVERLOADED] * 3 + [FailureKind.SKIPPED]


ENVIRONMENT = {
    "OPENAI_API_KEY": "key-0123456789", "ANTHROPIC_API_KEY": "key-0123456789", "BEDROCK_MODEL": "m",
    "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key-0123456789", "AWS_SECRET_ACCESS_KEY": "key-0123456789",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"), [(OpenAIGenerator, "OPENAI"), (AnthropicGenerator, "ANTHROPIC"), (BedrockGenerator, "BEDROCK")]
)
def test_limits_come_from_the_environment_and_are_checked(kind, name):
    """Each limit has a variable of its provider; the others keep their defaults, and a wrong one is named."""
    set_ = {f"{name}_FIRST_S": "2.5", f"{name}_TOTAL_S": "20", f"{name}_TRIES": "1", f"{name}_FAILURES": "3"}
    found = kind.from_environment(ENVIRONMENT | set_).limits
    assert found == Limits(first_s=2.5, total_s=20.0, tries=1, failures=3)
    assert kind.from_environment(ENVIRONMENT).limits == Limits()
    for variable, value in (
        ("TRIES", "0"),
        ("TRIES", "1.5"),
        ("FIRST_S", "soon"),
        ("PAUSE_S", "-1"),
        ("TOTAL_S", "nan"),
    ):
        with pytest.raises(ProviderError, match=f"{name}_{variable}") as caught:
            kind.from_environment(ENVIRONMENT | {f"{name}_{variable}": value})
        assert caught.value.field == f"{name}_{variable}"
    with pytest.raises(ProviderError, match="tries=0"):
        Limits(tries=0)
