"""Chains of generators and their circuit breakers, with stand-ins for the generators."""

import asyncio
import contextlib
import functools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.skipping_loop import SkippingLoop

from parbake.errors import DeclarationError, FailureKind, MissingDependency, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.generators.chain import Breaker, Breakers, BreakerState, Chain, chain
from parbake_llm.generators.extractive import Extractive
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt, Tool, ToolCall

PROMPT = Prompt(question="What?", evidence=("Returns take 30 days.",))
USAGE = Usage(uncached=1, output=2)
FOREVER = object()


class Scripted:
    """A generator that yields, raises or waits as it is told."""

    def __init__(self, name, *script, provider=None):
        self.name, self.script, self.asked, self.timeouts, self.is_closed = name, script, 0, [], False
        self.provider, self.model = provider or name, "m"
        self.was_left = False

    async def stream(self, prompt, *, max_tokens, timeout_s):
        self.asked += 1
        self.timeouts.append(timeout_s)
        try:
            for step in self.script:
                if step is FOREVER:
                    await asyncio.Event().wait()
                if isinstance(step, Exception):
                    raise step
                yield step if isinstance(step, Delta) else Delta(step)
        finally:
            self.was_left = True

    async def aclose(self):
        self.is_closed = True


def failed(kind=FailureKind.OVERLOADED):
    """Return the error of a provider."""
    return ProviderError("no", kind=kind)


def first_s(found, left, timeout_s):
    """Return how long the first generator of a chain may take until something can be passed on."""
    return found._first_s(found._members[1:], left, timeout_s)


def ask(generator, *, timeout_s=10.0, loop_factory=None):
    """Return the pieces of a reply."""

    async def collect():
        return [delta async for delta in generator.stream(PROMPT, max_tokens=9, timeout_s=timeout_s)]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(collect())


@pytest.fixture
def clocked(monkeypatch):
    """Return a function that asks a chain without waiting, and returns the pieces of its reply."""
    now = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("parbake_llm.generators.chain.time", now)
    return functools.partial(ask, loop_factory=SkippingLoop)


def text_of(deltas):
    """Return the text of a reply."""
    return "".join(delta.text for delta in deltas)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


def test_the_first_generator_answers_and_is_named_on_every_piece():
    """The reply passes through unchanged, and each piece names its writer, so that it is known of a cut reply, too."""
    first, second = Scripted("first", "a", "b", Delta(usage=USAGE)), Scripted("second", "c")
    found = Chain([first, second])
    deltas = ask(found)
    assert [delta.text for delta in deltas] == ["a", "b", ""]
    assert [delta.model for delta in deltas] == ["first"] * 3
    assert deltas[-1].usage == USAGE
    assert second.asked == 0
    assert found.answered == {"first": 1}
    assert not found.failovers


def test_a_chain_in_a_chain_names_the_one_that_wrote():
    """The inner name is kept."""
    assert ask(Chain({"outer": Chain([Scripted("inner", "a")])}))[0].model == "inner"


@pytest.mark.parametrize(
    "script",
    [
        (failed(),),
        (RuntimeError("secret"),),
        (Delta(), failed()),
        (MissingDependency("not installed", field="x"),),
    ],
)
def test_a_failure_before_the_first_piece_goes_to_the_next_generator(script):
    """Whatever the first one raises, the second one answers, and the failover is counted."""
    found = Chain([Scripted("first", *script), Scripted("second", "b", Delta(usage=USAGE))])
    deltas = ask(found)
    assert text_of(deltas) == "b"
    assert deltas[-1].model == "second"
    assert [label for label, _ in found.failovers] == ["first"]


def test_a_failure_after_the_first_piece_is_raised_and_nothing_is_taken_back():
    """Once a piece was passed on, no other generator continues the reply."""
    second = Scripted("second", "b")
    seen = []

    async def read():
        async for delta in Chain([Scripted("first", "a", failed(FailureKind.CUT)), second]).stream(
            PROMPT, max_tokens=9, timeout_s=10.0
        ):
            seen.append(delta.text)  # noqa: PERF401  # what came before the failure is wanted, too

    with pytest.raises(ProviderError) as caught:
        asyncio.run(read())
    assert caught.value.kind is FailureKind.CUT
    assert (seen, second.asked) == (["a"], 0)


def test_a_chain_can_hold_back_until_the_first_sentence_is_whole():
    """A reply that is cut in its first sentence is not shown, and one that is cut later is."""
    early, late = ("Half a ", failed(FailureKind.CUT)), ("Whole one. ", "And half ", failed(FailureKind.CUT))
    second = Scripted("second", "Another.", Delta(usage=USAGE))
    assert text_of(ask(Chain([Scripted("first", *early), second], hold="sentence"))) == "Another."
    with pytest.raises(ProviderError):
        ask(Chain([Scripted("first", *late), second], hold="sentence"))
    assert second.asked == 1


def test_a_tool_call_is_passed_on_at_once():
    """A complete tool call ends the holding back, since it is acted on."""
    call = Delta(call=ToolCall("1", "t", "{}"))
    second = Scripted("second", "b")
    with pytest.raises(ProviderError):
        ask(Chain([Scripted("first", call, failed()), second], hold="sentence"))
    assert second.asked == 0


def test_a_silent_generator_leaves_time_for_the_next_one(clocked):
    """The first one may keep silent for three quarters of the deadline, and its stream is closed then."""
    first, second = Scripted("first", FOREVER), Scripted("second", "b", Delta(usage=USAGE))
    found = Chain([first, second])
    assert text_of(clocked(found, timeout_s=20.0)) == "b"
    assert first.was_left
    assert (first.timeouts, second.timeouts) == ([20.0], [pytest.approx(5.0)])
    assert found.failovers == {("first", FailureKind.TIMEOUT): 1}


@pytest.mark.parametrize(("count", "share"), [(1, 1.0), (2, 0.75), (3, 0.5), (4, 0.25), (8, 0.125)])
def test_each_later_generator_keeps_its_share_of_the_deadline(count, share):
    """A quarter is kept for each later one, but the first always gets its equal part."""
    found = Chain([Scripted(f"g{n}", "a") for n in range(count)])
    assert first_s(found, 8.0, 8.0) == pytest.approx(8.0 * share)


def test_the_extractive_generator_needs_little_time_and_others_what_is_set():
    """2 % are kept for quoting, and at least a tenth of a second; other shares can be set by name."""
    assert first_s(Chain([Scripted("a", "a"), Extractive()]), 2.0, 2.0) == pytest.approx(1.9)
    assert first_s(Chain([Scripted("a", "a"), Extractive()]), 0.2, 0.2) == pytest.approx(0.15)
    assert first_s(Chain([Scripted("a", "a"), Extractive()]), 10.0, 10.0) == pytest.approx(9.8)
    assert first_s(Chain([Scripted("a", "a"), Scripted("b", "b")], reserves={"b": 0.1}), 10.0, 10.0) == 9.0


def test_after_the_first_piece_a_generator_may_use_the_whole_deadline(clocked):
    """The time that is kept for later generators is not taken from a reply that has begun."""

    class Slow(Scripted):
        async def stream(self, prompt, *, max_tokens, timeout_s):
            yield Delta("a")
            await asyncio.sleep(0.8 * timeout_s)
            yield Delta("b", usage=USAGE)

    assert text_of(clocked(Chain([Slow("first"), Scripted("second", "c")]), timeout_s=20.0)) == "ab"


def test_a_reply_that_never_ends_fails_at_the_deadline(clocked):
    """The deadline holds for a generator that does not keep it itself."""
    with pytest.raises(ProviderError) as caught:
        clocked(Chain([Scripted("first", "a", FOREVER)]), timeout_s=20.0)
    assert caught.value.kind is FailureKind.TIMEOUT


def test_the_last_failure_is_raised_if_nobody_answers():
    """If every generator fails, the error is that of the last one, and all are counted."""
    found = Chain([Scripted("first", failed()), Scripted("second", failed(FailureKind.RATE_LIMITED))])
    with pytest.raises(ProviderError) as caught:
        ask(found)
    assert caught.value.kind is FailureKind.RATE_LIMITED
    assert len(found.failovers) == 2


def test_what_an_unknown_generator_says_is_not_shown():
    """The message of a foreign exception may hold a secret, so that only its type is named."""
    with pytest.raises(ProviderError, match="RuntimeError") as caught:
        ask(Chain([Scripted("first", RuntimeError("sk-secret"))]))
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_caller_who_leaves_is_no_failure_of_the_generator():
    """Leaving a reply closes its stream, and counts neither as a failure nor as a success."""
    first = Scripted("first", "a", FOREVER)
    found = Chain([first, Scripted("second", "b")], breakers=Breakers(after=1))

    async def leave():
        async with contextlib.aclosing(found.stream(PROMPT, max_tokens=9, timeout_s=9.0)) as pieces:
            await anext(pieces)

    asyncio.run(leave())
    assert first.was_left
    assert found.breakers.states() == {("first", "m"): BreakerState.CLOSED, ("second", "m"): BreakerState.CLOSED}


def test_a_model_that_keeps_failing_is_not_asked_for_a_while():
    """After three failures in a row the next generator is asked at once, and after the cooldown the first again."""
    clock = Clock()
    first, second = Scripted("first", failed()), Scripted("second", "b", Delta(usage=USAGE))
    found = Chain([first, second], breakers=Breakers(clock=clock))
    for _ in range(8):
        assert text_of(ask(found)) == "b"
    assert first.asked == 3
    assert found.failovers["first", FailureKind.SKIPPED] == 5
    assert found.breakers.states()["first", "m"] is BreakerState.OPEN
    clock.at, first.script = 30.0, ("a", Delta(usage=USAGE))
    assert text_of(ask(found)) == "a"
    assert found.breakers.states()["first", "m"] is BreakerState.CLOSED


def test_chains_that_share_breakers_learn_from_each_other():
    """A model that one chain found failing is not asked by the other; another model of the provider is."""
    breakers = Breakers(after=1)
    bad = Scripted("bad", failed(), provider="p")
    ask(Chain([bad, Extractive()], breakers=breakers))
    same, other = Scripted("same", "a", provider="p"), Scripted("other", "a", provider="p")
    other.model = "n"
    assert ask(Chain([same, Extractive()], breakers=breakers))[-1].model == "extractive"
    assert ask(Chain([other, Extractive()], breakers=breakers))[-1].model == "other"


def test_a_chain_is_declared_in_one_line():
    """The names are looked up in order, and only what is named is made."""
    made = []

    def make(name):
        made.append(name)
        return Scripted(name, failed())

    available = {"a": lambda: make("a"), "b": lambda: make("b"), "extractive": Extractive}
    found = chain("a -> extractive", available)
    assert repr(found) == "Chain(a -> extractive)"
    assert made == ["a"]
    assert ask(found)[-1].model == "extractive"


@pytest.mark.parametrize("line", ["", "a -> ", "a -> c", "a -> a", "a > b"])
def test_a_line_that_cannot_be_a_chain_is_refused(line):
    """An unknown name, an empty one and a repeated one are errors of the declaration."""
    with pytest.raises(DeclarationError) as caught:
        chain(line, {"a": Scripted("a", "a"), "b": Scripted("b", "b")})
    assert caught.value.field == "chain"


def test_members_have_different_names():
    """Two generators of one kind are told apart by a mapping; without one they are refused."""
    one, other = Scripted("same", failed()), Scripted("same", "b", Delta(usage=USAGE))
    with pytest.raises(DeclarationError):
        Chain([one, other])
    with pytest.raises(DeclarationError):
        Chain([])
    assert ask(Chain({"small": one, "large": other}))[-1].model == "large"


def test_a_prompt_with_tools_goes_only_to_generators_that_call_them():
    """Others are left out, and if none is left the request is refused as it is."""
    able, unable = Scripted("able", "a"), Scripted("unable", "b")
    able.calls_tools = True
    prompt = Prompt(question="?", tools=(Tool("t", "d", {"type": "object"}),))

    async def read(found):
        return [delta async for delta in found.stream(prompt, max_tokens=9, timeout_s=9.0)]

    both = Chain([unable, able])
    assert asyncio.run(read(both))[0].model == "able"
    assert (unable.asked, both.calls_tools, list(both.members)) == (0, True, ["unable", "able"])
    with pytest.raises(ProviderError) as caught:
        asyncio.run(read(Chain([unable])))
    assert caught.value.kind is FailureKind.REJECTED


def test_closing_a_chain_closes_its_members():
    """Each member that can be closed is closed."""
    members = [Scripted("a", "a"), Scripted("b", "b")]
    asyncio.run(Chain([*members, Extractive()]).aclose())
    assert all(member.is_closed for member in members)


async def test_an_earlier_request_that_ends_does_not_let_a_second_one_try():
    """While one request tries, the end of one from before the failures changes nothing."""
    clock = Clock()
    breakers = Breakers(after=1, clock=clock)
    first = Scripted("first", "a", FOREVER)
    found = Chain([first, Scripted("second", "b")], breakers=breakers)
    earlier = found.stream(PROMPT, max_tokens=9, timeout_s=99.0)
    await anext(earlier)
    breakers.of("first", "m").failed()
    clock.at = 30.0
    trying = found.stream(PROMPT, max_tokens=9, timeout_s=99.0)
    assert (await anext(trying)).model == "first"
    await earlier.aclose()
    assert not breakers.of("first", "m").allows()
    await trying.aclose()
    assert breakers.of("first", "m").allows()


def test_a_rejected_key_opens_the_breaker_at_once():
    """Asking again with the same key is in vain."""
    breaker = Breaker(clock=Clock())
    breaker.failed(FailureKind.AUTH)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows()


def test_a_refused_request_is_not_held_against_the_model():
    """Requests that are wrong in themselves never open the breaker."""
    breaker = Breaker(after=2, clock=Clock())
    for _ in range(9):
        breaker.failed(FailureKind.REJECTED)
    assert breaker.state is BreakerState.CLOSED


def test_after_the_cooldown_one_request_tries():
    """Only one request passes a half-open breaker; its failure opens it again, its success closes it."""
    clock = Clock()
    breaker = Breaker(after=1, cooldown_s=30.0, clock=clock)
    breaker.failed()
    clock.at = 29.9
    assert not breaker.allows()
    clock.at = 30.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    clock.at = 60.0
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert (breaker.opened, breaker.closed) == (2, 1)


def test_requests_that_hang_stop_further_ones_until_one_is_answered():
    """While so many requests wait too long, no other is made; the first beginning of an answer lets others through."""
    clock = Clock()
    breaker = Breaker(after=2, clock=clock)
    with breaker.asking("m") as begun, breaker.asking("m"):
        clock.at = 1.4
        assert breaker.allows()
        clock.at = 1.6
        with pytest.raises(ProviderError, match="failed or hung too often") as caught, breaker.asking("m"):
            pass
        assert caught.value.kind is FailureKind.SKIPPED
        begun()
        assert breaker.allows()
    assert breaker.allows()
    assert breaker.state is BreakerState.CLOSED


def test_a_model_that_is_always_slow_is_not_taken_for_one_that_hangs():
    """A request may take three times as long to begin as the slowest of the last ones did."""
    clock = Clock()
    breaker = Breaker(after=1, clock=clock)
    with breaker.asking("m") as begun:
        clock.at = 5.0
        begun()
        begun()
    with breaker.asking("m"):
        clock.at = 19.9
        assert breaker.allows()
        clock.at = 20.1
        assert not breaker.allows()


def test_a_try_that_is_given_up_lets_another_one_try():
    """A caller who leaves in the middle of the try does not block the breaker, and neither does one who hangs."""
    clock = Clock()
    breaker = Breaker(after=1, cooldown_s=30.0, clock=clock)
    breaker.failed()
    clock.at = 30.0
    assert breaker.allows()
    breaker.given_up()
    assert [breaker.allows(), breaker.allows()] == [True, False]
    clock.at = 60.0
    assert breaker.allows()


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 6))
def test_a_breaker_opens_after_so_many_failures_in_a_row_and_never_before(results, after):
    """With a clock that stands still, it is open exactly if there was such a row."""
    breaker, row, expected = Breaker(after=after, clock=Clock()), 0, BreakerState.CLOSED
    for is_success in results:
        if not breaker.allows():
            break
        row = 0 if is_success else row + 1
        (breaker.succeeded if is_success else breaker.failed)()
        expected = BreakerState.OPEN if row >= after else BreakerState.CLOSED
        assert breaker.state is expected
