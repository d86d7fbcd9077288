"""The adopted plan at work: breakpoints and warm-ups where the requests so far make them worth it, and nowhere else."""

import random

import msgspec
import pytest

from parbake.ports.usage import Usage
from parbake_llm.caching.live_plan import LivePlan
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.policies_of_caching import AlwaysMark
from parbake_llm.caching.pricing import CachePrices
from parbake_llm.ports.prompts import Block, Breakpoint, Prompt
from parbake_llm.prefix_caches import BreakpointCache, pieces
from parbake_llm.writing.placement import CachePlace, CacheRules, placed

PRICES = CachePrices(read=0.1, write=1.25, write_hour=2.0, minimum=0)
MINUTES = CachePrices(read=0.1, write=1.25, minimum=0)
PLACE = CachePlace("maker", "small")
MINUTES_RULES = CacheRules(mechanism="breakpoints", minimum=100)
RULES = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))


def planned(prices=PRICES):
    """Return a plan that has seen nothing."""
    return LivePlan(lambda warms: Planned(prices, warms=warms), block=128)


class Provider:
    """Sends what a plan marks to a cache that keeps its provider's rules, and reports what it did."""

    def __init__(self, plan, place=PLACE):
        """Hold nothing yet."""
        self.plan, self.place, self.cache = plan, place, BreakpointCache(RULES)

    def ask(self, asked, now):
        """Send a user's request; return it with its breakpoints, and what was cached of it."""
        sent = self.plan(self.place, RULES, asked, now)
        return sent.prompt, self._answered(sent, now, is_warm_up=False)

    def warm(self, begin, end, every=5.0):
        """Send what the plan wants to keep; return the times and the warm-ups."""
        times = [begin + every * n for n in range(int((end - begin) / every))]
        found = [(at, one) for at in times for one in self.plan.due(at) if self._answered(self._kept(one, at), at)]
        return [(at, one) for at, one in found if one.place == self.place]

    def _kept(self, warm_up, now):
        return self.plan(warm_up.place, RULES, warm_up.prompt, now)

    def _answered(self, sent, now, *, is_warm_up=True):
        cut = pieces(sent.prompt)
        found = self.cache.predict(sent.prompt.session, cut, now=now)
        self.cache.sent(sent.prompt.session, cut, now=now)
        usage = Usage(cache_read=found.read, cache_write=found.write, cache_write_hour=found.write_hour)
        self.plan.answered(self.place, sent, usage, now, is_warm_up=is_warm_up)
        return found


def prompt(policy="p", session="", turns=0):
    """Return a prompt with a prefix of 1,500 tokens and some turns of 100."""
    blocks = (Block("rules", "r" * 2000), Block("policy", policy * 4000, "policy"))
    said = tuple(("user", f"{session} {n} ".ljust(400, "t")) for n in range(turns))
    return Prompt(blocks=blocks, turns=said, question="?", session=session)


def test_a_prefix_that_comes_back_is_marked_and_one_that_does_not_is_not():
    """What is asked for again every minute gets a breakpoint; prefixes that never come back cost nothing."""
    steady, unique = planned(), planned()
    for n in range(60):
        again, _ = Provider(steady).ask(prompt(), n * 60.0)
        once, _ = Provider(unique).ask(prompt(policy=chr(200 + n)), n * 4000.0)
    assert again.breakpoints[-1].after == "policy"
    assert once.breakpoints == ()


def test_a_prefix_that_comes_back_after_minutes_is_held_for_an_hour():
    """If requests come every quarter of an hour, only the longer life pays."""
    provider = Provider(planned())
    for n in range(60):
        found, _ = provider.ask(prompt(), n * 900.0)
    assert {one.ttl for one in found.breakpoints} == {"1h"}
    assert found.breakpoints[-1].after == "policy"


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_much_dearer_than_no_caching(seed):
    """On conversations and on prefixes that never return, the bill is below, or within 2 % of, that of no caching."""
    rng = random.Random(seed)
    provider, bill, plain, now = Provider(planned()), 0.0, 0.0, 0.0
    for n in range(400):
        now += rng.expovariate(1 / 120)
        asked = prompt(session=f"s{n // 4}", turns=n % 4) if seed else prompt(policy=chr(300 + n))
        _, found = provider.ask(asked, now)
        bill += found.uncached + 0.1 * found.read + 1.25 * found.write + 2 * found.write_hour
        plain += found.input
    assert bill <= 1.02 * plain
    assert seed == 0 or bill < 0.6 * plain


def test_given_breakpoints_and_other_caches_are_left_alone():
    """A prompt with breakpoints keeps them, and a provider without any gets none."""
    plan = planned()
    given = Prompt(breakpoints=(Breakpoint("rules"),))
    assert plan(PLACE, RULES, given, 0.0).prompt == given
    assert plan(PLACE, CacheRules(mechanism="automatic"), prompt(), 0.0).prompt.breakpoints == ()
    assert plan(PLACE, RULES, Prompt(question="?"), 0.0).prompt.breakpoints == ()


def test_its_memory_is_bounded(monkeypatch):
    """After many different blocks the plan learns anew; the same blocks again and again are remembered."""
    monkeypatch.setattr("parbake_llm.caching.live_plan.MOST_SEEN", 50)
    plan = planned()
    for n in range(40):
        plan(PLACE, RULES, prompt(policy=chr(300 + n)), n * 60.0)
    assert len(plan._places[PLACE].policy._seen) <= 60
    steady = planned()
    for n in range(40):
        steady(PLACE, RULES, prompt(), n * 60.0)
    assert max(seen.times for seen in steady._places[PLACE].policy._seen.values()) == 40


def test_a_prefix_that_was_written_is_read_by_every_later_request():
    """What is held gets a breakpoint also where nothing more is worth a write, because it is read only up to one."""
    provider = Provider(planned(MINUTES))
    for n in range(300):
        asked = prompt(policy=chr(300 + n))
        provider.ask(asked, n * 4000.0)
        _, second = provider.ask(asked, n * 4000.0 + 200.0)
    assert second.read >= 1400


def test_a_prefix_that_will_be_asked_for_again_is_warmed_just_before_it_lapses():
    """With requests every eight minutes, the prefix is warmed in between, with nothing of one user in the warm-up."""
    provider, found = Provider(planned(MINUTES)), []
    for n in range(80):
        provider.ask(prompt(session=f"s{n}", turns=2), n * 480.0)
        found = provider.warm(n * 480.0, (n + 1) * 480.0)
    ((at, one),) = found
    assert 275 <= at - 79 * 480.0 <= 300
    assert (one.place, one.prompt.turns, one.prompt.session) == (PLACE, (), "")
    assert one.until == 79 * 480.0 + 300
    assert [block.name for block in one.prompt.blocks] == ["rules", "policy"]
    assert [end.after for end in one.prompt.breakpoints] == ["policy"]


def test_only_what_comes_back_is_warmed():
    """Of prompts with the same rules and ever new policies, the rules alone are kept warm."""
    provider, found = Provider(planned(MINUTES)), []
    for n in range(300):
        provider.ask(prompt(policy=chr(300 + n)), n * 400.0)
        found += [(n, one.prompt.blocks[-1].name) for _, one in provider.warm(n * 400.0, (n + 1) * 400.0)]
    assert {name for n, name in found if n > 100} == {"rules"}


def warm_all():
    """Return a plan that keeps every prefix until an hour after its last request."""
    return LivePlan(lambda warms: AlwaysMark(warm=warms), block=128)


def test_a_warm_up_is_not_a_request_and_a_request_puts_it_off():
    """What is warmed is not learnt as asked for, and a prefix that was just asked for is not warmed."""
    provider = Provider(warm_all())
    provider.ask(prompt(), 0.0)
    provider.ask(prompt(), 200.0)
    assert provider.warm(200.0, 475.0) == []
    times = [at for at, _ in provider.warm(475.0, 20_000.0)]
    assert times[-1] < 200.0 + 3600.0
    assert len(times) == 12


def test_a_look_that_comes_too_late_warms_nothing():
    """A prefix that has lapsed meanwhile would be written by its warm-up, so it is given up."""
    for late in (299.0, 10_000.0):
        provider = Provider(warm_all())
        provider.ask(prompt(), 0.0)
        assert provider.plan.due(late) == []
        assert provider.warm(late, late + 1000.0) == []


def test_what_belongs_to_one_user_is_not_warmed():
    """A conversation, and a block about one user, are sent for that user alone."""
    provider = Provider(warm_all())
    shared = tuple(prompt().blocks)
    for n in range(5):
        mine = Block("profile", f"{n}".ljust(4000, "m"), "user")
        turns = prompt(session=f"s{n}", turns=8).turns
        provider.ask(Prompt(blocks=(*shared, mine), turns=turns, question="?", session=f"s{n}"), n * 1.0)
    sent = [one.prompt for _, one in provider.warm(0.0, 1000.0)]
    assert all(one.blocks == shared[: len(one.blocks)] and not one.turns for one in sent)
    assert len(sent) <= 4


def test_conversations_behind_one_prefix_need_one_warm_up():
    """Ten conversations within a minute leave one prefix to warm, wherever their breakpoints stand."""
    provider = Provider(warm_all())
    for n in range(10):
        for turns in range(3):
            provider.ask(prompt(session=f"s{n}", turns=turns), n * 6.0 + turns)
    (found,) = [one for _, one in provider.warm(60.0, 400.0)]
    assert found.prompt.blocks[-1].name == "policy"


@pytest.mark.parametrize("plan", [warm_all, lambda: planned(MINUTES)])
def test_each_provider_is_kept_warm_for_its_own_requests(plan):
    """The requests to one provider are no reason to keep a prefix warm at another that was asked once."""
    plan, other = plan(), CachePlace("else", "large")
    first, second = Provider(plan), Provider(plan, other)
    second.ask(prompt(), 0.0)
    found = []
    for n in range(360):
        first.ask(prompt(), n * 120.0)
        found += [one for at in range(n * 120, (n + 1) * 120, 5) for one in plan.due(float(at))]
        for one in found[-1:]:
            second._answered(second._kept(one, n * 120.0), n * 120.0)
    assert len([one for one in found if one.place == other]) <= 12


def test_a_warm_up_without_an_answer_has_kept_nothing():
    """A prefix whose warm-up failed is not warmed again before the next request, and no request counts as failed."""
    provider = Provider(warm_all())
    provider.ask(prompt(), 0.0)
    assert len(provider.plan.due(285.0)) == 1
    assert [one for at in range(290, 4000, 5) for one in provider.plan.due(float(at))] == []
    plan = warm_all()
    plan(PLACE, RULES, prompt(), 0.0)  # a request that was never answered
    assert [one for at in range(0, 4000, 5) for one in plan.due(float(at))] == []


def test_a_cache_that_does_not_read_is_not_warmed_for_long():
    """After two warm-ups that were written instead of read, no other follows."""
    plan, warm_ups = warm_all(), 0
    written = Usage(cache_read=0, cache_write=1500)
    plan.answered(PLACE, plan(PLACE, RULES, prompt(), 0.0), written, 0.0, is_warm_up=False)
    for at in range(0, 3600, 5):
        for one in plan.due(float(at)):
            warm_ups += 1
            plan.answered(PLACE, plan(PLACE, RULES, one.prompt, float(at)), written, float(at), is_warm_up=True)
    assert warm_ups == 2


def test_what_was_sent_before_the_plan_was_followed_is_not_warmed():
    """The plan warms nothing because of a request that was sent before it was followed."""
    seen, plan = planned(MINUTES), planned(MINUTES)
    sent = seen(PLACE, RULES, prompt(), 0.0)
    sent = sent._replace(prompt=msgspec.structs.replace(sent.prompt, breakpoints=(Breakpoint("policy"),)))
    plan.answered(PLACE, sent, Usage(cache_write=9), 0.0, is_warm_up=False)
    assert [one for at in range(0, 400, 5) for one in plan.due(float(at))] == []


def test_equal_prefixes_are_equal_whatever_stands_behind_them():
    """A short prefix before users' blocks of any length is one prefix."""
    provider = Provider(warm_all())
    for n in range(40):
        blocks = (Block("rules", "r" * 5000), Block("profile", "u" * (100 + 7 * n), "user"))
        provider.ask(Prompt(blocks=blocks, question="?"), n * 1.0)
    assert [one.prompt.blocks[-1].name for _, one in provider.warm(40.0, 360.0)] == ["rules"]


def spent(requests, mark):
    """Return what requests cost at a provider without an hour, in uncached tokens; ``mark`` sets their breakpoints."""
    cache, total = BreakpointCache(RULES), 0.0
    for now, asked in requests:
        cut = pieces(mark(asked, now))
        found = cache.predict(asked.session, cut, now=now)
        cache.sent(asked.session, cut, now=now)
        total += found.uncached + 0.1 * found.read + 1.25 * found.write
    return total


@pytest.mark.parametrize(("profile", "turns"), [(0, 1), (300, 1), (300, 4), (2000, 6)])
def test_the_plan_reads_what_breakpoints_by_volatility_read(profile, turns):
    """Under steady traffic a plan costs no more, whatever stands behind the shared prefix and however talks grow."""
    requests = []
    for n in range(300):
        mine = (Block("profile", f"{n} ".ljust(profile, "u"), "user"),) if profile else ()
        for turn in range(turns):
            said = prompt(session=f"s{n}", turns=2 * turn).turns
            one = Prompt(blocks=(*prompt().blocks, *mine), turns=said, question="?", session=f"s{n}")
            requests.append((n * 60.0 + turn * 20.0, one))
    requests.sort(key=lambda one: one[0])
    usual = spent(requests, lambda asked, now: placed(asked, MINUTES_RULES))
    provider = Provider(planned(MINUTES))
    assert spent(requests, lambda asked, now: provider.ask(asked, now)[0]) <= 1.05 * usual


def test_a_provider_with_other_times_to_live_is_left_to_the_volatility():
    """Plans know five minutes and an hour; where prefixes live for half an hour, nothing is planned or warmed."""
    rules = CacheRules(mechanism="breakpoints", minimum=100, ttls=("30m",))
    plan = warm_all()
    assert plan(PLACE, rules, prompt(), 0.0).prompt == placed(prompt(), rules)
    assert [one for at in range(0, 4000, 5) for one in plan.due(float(at))] == []


def test_what_another_process_warms_is_still_held():
    """A process whose warm-up was sent by another one goes on to read the prefix, and asks again in time."""
    provider = Provider(warm_all())
    provider.ask(prompt(), 0.0)
    (one,) = provider.plan.due(285.0)
    provider.plan.kept_elsewhere(one)
    assert [at for at in range(290, 700, 5) if provider.plan.due(float(at))] == [570]


def test_no_breakpoint_is_set_where_none_is_allowed():
    """A provider's limit of breakpoints is kept, also if it is none."""
    for most in (0, 1, 2):
        found, _ = Provider(warm_all()).ask(prompt(turns=3), 0.0)
        limited = warm_all()(PLACE, msgspec.structs.replace(RULES, most=most), prompt(turns=3), 0.0).prompt
        assert len(limited.breakpoints) == min(most, len(found.breakpoints))
