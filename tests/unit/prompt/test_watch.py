"""Each request's report is compared with its prediction, every miss has one cause, and drifts are reported once."""

import msgspec
import pytest

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import Block, MissCause, Prediction, Prompt
from parbake_llm.watching.prompt_watch import FEWEST, PromptWatch
from parbake_llm.watching.shares import shares_of, split
from parbake_llm.writing.placement import CachePlace, CacheRules

PLACE = CachePlace("anthropic", "m", "anthropic")
RULES = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))
PREFIX = (Block("rules", "r" * 800), Block("policy", "p" * 1200, "policy"))


def request(question="q" * 400, session="s", blocks=PREFIX, turns=()):
    """Return a prompt with a prefix of 500 tokens and a question of 100."""
    return Prompt(blocks=blocks, turns=turns, question=question, prefix="assistant", session=session)


class Provider:
    """A provider that reports what the watch expects, or what a test says."""

    def __init__(self, place=PLACE, rules=RULES):
        self.watch, self.place, self.rules = PromptWatch(), place, rules

    def ask(self, prompt, *, now, usage=None, prediction=None):
        """Send one request, and return its reconciliation."""
        sent = self.watch.send(self.place, self.rules, prompt, now=now)
        found = sent.prediction
        if usage is None:
            usage = Usage(
                uncached=found.uncached,
                cache_read=found.read,
                cache_write=found.write,
                cache_write_hour=found.write_hour,
            )
        return self.watch.report(sent, usage, prediction)


def test_a_second_request_is_expected_to_read_the_prefix():
    """The first request is cold and writes the prefix; the second reads it, and both agree with the provider."""
    provider = Provider()
    first, second = provider.ask(request(), now=0), provider.ask(request("x" * 400, "t"), now=10)
    assert (first.expected, first.drift, first.miss.cause) == (0, 0, MissCause.COLD)
    assert (second.expected, second.drift, second.miss) == (500, 0, None)


def test_misses_have_their_causes():
    """A lapsed prefix, a changed policy and a provider that read less than expected are told apart."""
    provider = Provider()
    provider.ask(request(), now=0)
    assert provider.ask(request(), now=4000).miss.cause is MissCause.TTL_LAPSED
    changed = (PREFIX[0], msgspec.structs.replace(PREFIX[1], text="n" * 1200))
    miss = provider.ask(request(blocks=changed), now=4010).miss
    assert (miss.cause, miss.name) == (MissCause.PREFIX_CHANGED, "policy")
    said = provider.ask(request(blocks=changed), now=4020, usage=Usage(uncached=600, cache_read=0))
    assert (said.expected, said.reported, said.miss.cause) == (500, 0, MissCause.PROVIDER_SAYS_OTHERWISE)
    (stats,) = provider.watch.stats().values()
    assert stats.causes == {"cold": 1, "ttl_lapsed": 1, "prefix_changed": 1, "provider_says_otherwise": 1}
    assert (stats.requests, stats.unreported) == (4, 0)


def test_a_new_conversation_misses_because_the_policy_has_changed():
    """If the prefix was sent before with other bytes, a session that is new misses because of the changed part."""
    provider = Provider()
    provider.ask(request(), now=0)
    changed = (PREFIX[0], msgspec.structs.replace(PREFIX[1], text="n" * 1200))
    miss = provider.ask(request(session="new", blocks=changed), now=10).miss
    assert (miss.cause, miss.at, miss.name) == (MissCause.PREFIX_CHANGED, 1, "policy")


def test_kinds_of_prefixes_are_counted_apart():
    """Two variants of a task have their own figures; a block of the user makes no variant."""
    provider = Provider()
    provider.ask(request(), now=0)
    provider.ask(request(blocks=(*PREFIX, Block("me", "m" * 40, "user"))), now=1)
    provider.ask(request(blocks=PREFIX[:1]), now=2)
    assert {one.kind: stats.requests for one, stats in provider.watch.stats().items()} == {
        ("rules", "policy"): 2,
        ("rules",): 1,
    }


def test_what_is_not_reported_is_no_miss():
    """A provider that reports no reads gives no drift, and is counted apart."""
    provider = Provider()
    provider.ask(request(), now=0)
    found = provider.ask(request(), now=1, usage=Usage(uncached=600, output=1))
    assert (found.reported, found.drift) == (None, None)
    (stats,) = provider.watch.stats().values()
    assert (stats.unreported, stats.drift) == (1, 0.0)


def test_the_generators_own_prediction_counts_more():
    """A generator that knows its cache says itself what it expects."""
    provider = Provider(CachePlace("llama", "m", "llama"), CacheRules(mechanism="slots"))
    found = provider.ask(
        request(), now=0, usage=Usage(uncached=100, cache_read=500), prediction=Prediction(read=500, uncached=100)
    )
    assert (found.expected, found.drift, found.miss) == (500, 0, None)
    assert provider.ask(request(), now=1, usage=Usage(uncached=600)) is None


def test_a_drift_is_reported_once_until_it_is_over():
    """A provider that stops reading is reported once, and once more when it reads as predicted again."""
    provider = Provider()
    for n in range(FEWEST + 20):
        provider.ask(request(), now=n, usage=Usage(uncached=600, cache_read=0))
    (drift,) = provider.watch.drifts()
    assert (drift.prefix, drift.place, drift.is_over) == ("assistant", PLACE, False)
    assert drift.share < -0.1
    assert not list(provider.watch.drifts())
    for n in range(200):
        provider.ask(request(), now=100 + n)
    (drift,) = provider.watch.drifts()
    assert drift.is_over


def test_a_prefix_that_nobody_declared_drifts_silently():
    """Without a declared prefix there is no owner to tell."""
    provider = Provider()
    for n in range(FEWEST + 20):
        prompt = msgspec.structs.replace(request(), prefix="")
        provider.ask(prompt, now=n, usage=Usage(uncached=600, cache_read=0))
    assert not list(provider.watch.drifts())


def test_what_providers_may_hold_is_listed_until_it_lapses():
    """The shared prefix and each conversation are listed with versions and ends, and can be asked for by session."""
    provider = Provider()
    turns = (("user", "hi"), ("assistant", "hello"))
    provider.ask(request(session="ann/1"), now=0)
    provider.ask(request(session="ann/1", turns=turns), now=10)
    held = provider.watch.held(now=20)
    assert {(one.session, one.parts) for one in held} == {("", ("rules", "policy")), ("ann/1", ("rules", "policy"))}
    assert [one.session for one in provider.watch.held("ann/1", now=20)] == ["ann/1"]
    assert all(one.until == 10 + 3600 for one in held)
    assert provider.watch.held(now=3611) == []


def test_a_prefix_that_lapses_unread_is_waste():
    """What was written and never read is returned once with its tokens; what was read is not."""
    provider = Provider()
    provider.ask(request(), now=0)
    other = (PREFIX[0], Block("policy", "o" * 1200, "policy"))
    provider.ask(request(blocks=other), now=1)
    provider.ask(request(blocks=other), now=2)
    assert provider.watch.lapsed(now=100) == []
    ((held, usage),) = provider.watch.lapsed(now=4000)
    assert (held.reads, held.generator, usage.cache_write_hour) == (0, "anthropic", 500)
    assert provider.watch.lapsed(now=4001) == []


@pytest.mark.parametrize(
    ("usage", "of_prefix"),
    [
        (Usage(uncached=100, output=9, cache_read=500), Usage(cache_read=500, cache_write=0, cache_write_hour=0)),
        (
            Usage(uncached=100, output=9, cache_read=0, cache_write_hour=500),
            Usage(cache_read=0, cache_write=0, cache_write_hour=500),
        ),
        (
            Usage(uncached=100, output=9, cache_read=300, cache_write=200),
            Usage(cache_read=300, cache_write=200, cache_write_hour=0),
        ),
    ],
)
def test_the_prefix_is_billed_apart(usage, of_prefix):
    """Reads and writes belong to the prefix up to its size; the two parts add up to the whole."""
    shares = shares_of(request())
    assert shares.prefix == pytest.approx(500 / 600)
    found, rest = split(shares.prefix, usage)
    assert found == of_prefix
    assert (found + rest).input == usage.input
    assert rest.output == usage.output


def test_a_long_conversation_is_not_billed_to_the_prefix():
    """Cached turns of the conversation stay with the task that asked."""
    prompt = request(turns=(("user", "u" * 2000), ("assistant", "a" * 2000)))
    found, rest = split(shares_of(prompt).prefix, Usage(uncached=100, cache_read=1500))
    assert found.cache_read == pytest.approx(500, abs=8)
    assert rest.cache_read == 1500 - found.cache_read


def test_a_prefix_that_other_users_read_is_used():
    """What everybody shares is not waste if it is read by users whose own blocks differ."""
    provider = Provider()
    for n in range(3):
        provider.ask(request(session=f"s{n}", blocks=(*PREFIX, Block("user", f"{n}".ljust(600, "u"), "user"))), now=n)
    assert provider.watch.lapsed(now=9000) == []
    mine = request(blocks=(*PREFIX, Block("user", "x", "user")))
    assert shares_of(mine).digest == shares_of(request()).digest


def test_warm_ups_are_not_counted_as_requests():
    """A warm-up changes neither the figures of a prefix, nor its drift, nor what counts as used."""
    watch = PromptWatch()
    sent = watch.send(PLACE, RULES, request(), now=0)
    watch.report(sent, Usage(uncached=100, cache_write_hour=500))
    before = watch.stats()
    warm_up = watch.send(PLACE, RULES, request(question="."), now=60, is_warm_up=True)
    assert watch.report(warm_up, Usage(uncached=1, cache_read=0, cache_write_hour=500)) is None
    assert watch.stats() == before
    assert [held.tokens for held, _ in watch.lapsed(now=9000)] == [500]
