"""Plans of a prefix's cache: made of the ledger's requests, adopted, followed with warm-ups, and taken back."""

import asyncio
import dataclasses

import msgspec
import pytest
from tests.unit.prompted_shop import RULES, Provider, book, prompted_shop
from tests.unit.shopfloor import contract

import parbake as pb
from parbake_llm import Prompts
from parbake_llm.caching.caching_plans import prefix_adoption
from parbake_llm.generators.chain import Chain
from parbake_llm.ports.generator import Generator
from parbake_planner import Ledger, Planner
from parbake_planner.adopted import AdoptedPlan


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a prefix of a policy, and a live task that sends it."""
    return await prompted_shop(world, tmp_path)


async def planned_after(shop, world, gap, count=200):
    """Return the plan made of so many requests with some seconds between them."""
    base, reply = shop.named
    for n in range(count):
        world.clock.advance(gap)
        await shop.drain()
        await shop.serve(reply, question=str(n))
    await asyncio.to_thread(shop.plugins[Ledger].file.settle)
    return await shop.plugins[Prompts].replan(base, "hosted", book())


async def test_a_plan_is_adopted_followed_and_taken_back(shop, world):
    """The replay of the ledger's requests adopts what pays; servers follow it, and roll back to the plan before."""
    base, reply = shop.named
    plan = await planned_after(shop, world, 5000)
    assert plan.requests == 200
    adopted = await shop.plugins[Prompts].adopt(base, plan)
    assert adopted.strategy == "no caching"
    assert "against by volatility" in adopted.reason
    assert adopted.evidence["without_plan_usd"] > 1.1 * adopted.evidence["usd"]
    await shop.plugins[Prompts].care.look()
    await shop.serve(reply, question="marked?")
    assert shop.provider.sent[-1].breakpoints == ()
    await shop.plugins[Prompts].adopt(base, dataclasses.replace(plan, adopted="always 5m"))
    await shop.plugins[Prompts].care.look()
    await shop.serve(reply, question="marked now?")
    assert [(one.after, one.ttl) for one in shop.provider.sent[-1].breakpoints] == [("policy", "5m")]
    assert (await shop.plugins[Planner].unadopt(base)).strategy == "no caching"
    await shop.plugins[Prompts].care.look()
    await shop.serve(reply, question="marked again?")
    assert shop.provider.sent[-1].breakpoints == ()
    assert [one.strategy for one in await shop.plugins[Planner].adopted(base)] == ["no caching"]


async def test_what_servers_do_without_a_plan_is_not_replaced_by_something_dearer(shop, world):
    """Breakpoints by volatility are among the candidates, and stay unless something is surely cheaper."""
    plan = await planned_after(shop, world, 1500)
    assert (plan.base, plan.adopted) == ("by volatility", "by volatility")
    assert plan.used["by volatility"].usd < 0.5 * plan.used["no caching"].usd
    adopted = await shop.plugins[Prompts].adopt(shop.named[0], plan)
    assert adopted.reason == "nothing is surely cheaper in a replay of 200 requests"
    await shop.plugins[Prompts].care.look()
    await shop.serve(shop.named[1], question="marked?")
    assert [(one.after, one.ttl) for one in shop.provider.sent[-1].breakpoints] == [("policy", "1h")]


async def test_a_few_requests_are_no_ground_for_a_plan(shop, world):
    """With too few requests to compare anything, nothing can be adopted."""
    plan = await planned_after(shop, world, 60, count=5)
    with pytest.raises(pb.BadInput, match="too few to adopt") as caught:
        await shop.plugins[Prompts].adopt(shop.named[0], plan)
    assert caught.value.field == "adopt"
    assert await shop.plugins[Planner].adopted(shop.named[0]) == ()


async def test_a_plan_of_prompts_is_adopted_for_a_prefix_only(shop, world):
    """An ordinary task does not follow a plan of prompts, and nothing is written."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return key

    plan = await planned_after(shop, world, 5000)
    bound = world.app(tasks).engine.bound_task(word)
    with pytest.raises(pb.BadInput, match="word is not a prefix of prompts"):
        prefix_adoption(bound, plan, world.clock.now())
    assert await shop.plugins[Prompts].adopted_plans.history(bound) == ()


async def test_nothing_is_asked_of_a_provider_that_it_does_not_offer(shop, world, monkeypatch):
    """Without entries for an hour, no rule marks for an hour, whatever the book's prices and an adopted plan say."""
    monkeypatch.setattr(Provider, "rules", msgspec.structs.replace(RULES, ttls=("5m",)))
    plan = await planned_after(shop, world, 400, count=40)
    assert "always 1h" not in plan.used
    base, reply = shop.named
    await shop.plugins[Planner].adopted_plans.follow(
        shop.engine.bound_task(base), AdoptedPlan("always 1h", 0.0, "", {})
    )
    await shop.plugins[Prompts].care.look()
    await shop.serve(reply, question="marked?")
    assert [one.ttl for one in shop.provider.sent[-1].breakpoints] == ["5m"]


async def test_a_plan_is_followed_by_every_member_of_a_chain(shop, world, tmp_path):
    """Behind a chain the answering member gets the plan's breakpoints, and its own tokens are booked."""

    class Down(Provider):
        name = "down"

        async def stream(self, prompt, *, max_tokens, timeout_s):
            """Fail before the first word."""
            self.sent.append(prompt)
            raise pb.errors.ProviderError("no", field="down")
            yield

    base, reply = shop.named
    down = Down()
    chained = world.app(shop.tasks, resources={Generator: Chain([down, shop.provider])}, ledger=tmp_path / "chain.db")
    await chained.drain()
    plan = AdoptedPlan("always 5m", 0.0, "", {})
    await chained.plugins[Planner].adopted_plans.follow(chained.engine.bound_task(base), plan)
    await chained.plugins[Prompts].care.look()
    await chained.serve(reply, question="one")
    assert [one.ttl for one in down.sent[-1].breakpoints] == ["5m"]
    assert [one.ttl for one in shop.provider.sent[-1].breakpoints] == ["5m"]
    await chained.close()
    rows = {(row.task, row.lane): row for row in await chained.plugins[Ledger].costs(book())}
    assert rows["reply", "realtime"].output == 5
    assert rows["reply", "realtime"].unpriced == "requests of down without reported tokens"
    assert rows["base", "prefix"].written_hour == 300


async def test_a_prefix_without_requests_or_prices_is_not_planned(shop):
    """Without a request, a price of the generator or a price of cached tokens, planning says what is missing."""
    base, reply = shop.named
    with pytest.raises(pb.BadInput, match="no requests"):
        await shop.plugins[Prompts].replan(base, "hosted", book())
    with pytest.raises(pb.BadInput, match="no generator 'other'"):
        await shop.plugins[Prompts].replan(base, "other", book())
    bare = msgspec.structs.replace(book().rates[0], cache_read=None)
    await shop.serve(reply, question="one")
    await asyncio.to_thread(shop.plugins[Ledger].file.settle)
    with pytest.raises(pb.BadInput, match="cache_read"):
        await shop.plugins[Prompts].replan(base, "hosted", msgspec.structs.replace(book(), rates=(bare,)))


async def test_a_changed_prefix_is_computed_ahead(shop, world):
    """After an event the generator computes the new prefix before anybody asks, once, and only a kind it was sent."""
    base, reply = shop.named
    warmed = []

    async def warm(prompt):
        warmed.append(prompt.blocks[1].text[:7])

    shop.provider.warm = warm
    await shop.materialize(base)
    await shop.plugins[Prompts].care.look()
    assert warmed == []
    await shop.serve(reply, question="one")
    for window in ("30 days", "14 days"):
        world.put("window", window)
        await shop.drain()
        await shop.materialize(base)
        await shop.plugins[Prompts].care.look()
        await shop.plugins[Prompts].care.look()
    assert warmed == ["30 days", "14 days"]


WARM_ALL = AdoptedPlan("warm all", 0.0, "", {})


async def waited(shop, world, seconds):
    """Let time pass in steps of five seconds, in which the worker looks after the prefixes."""
    for _ in range(seconds // 5):
        world.clock.advance(5)
        await shop.drain()
        await shop.plugins[Prompts].care.look()


async def followed(shop):
    """Follow a plan that keeps everything warm, and ask once."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(base), WARM_ALL)
    await shop.plugins[Prompts].care.look()
    await shop.serve(reply, question="one")


async def test_an_adopted_plan_keeps_a_prefix_warm(shop, world):
    """Short requests keep the prefix from lapsing, are booked for its owner, and end when the plan is taken back."""
    await followed(shop)
    await waited(shop, world, 600)
    assert [one.question[:1] for one in shop.provider.sent] == ["o", ".", "."]
    assert {one.prefix for one in shop.provider.sent} == {"base"}
    assert shop.provider.lengths == [9, 1, 1]
    await shop.plugins[Planner].unadopt(shop.named[0])
    await waited(shop, world, 600)
    assert len(shop.provider.sent) == 3
    await asyncio.to_thread(shop.plugins[Ledger].file.settle)
    assert len(shop.plugins[Ledger].file.prompts("base", "hosted", days=1)) == 1
    rows = {(row.task, row.lane): row for row in await shop.plugins[Ledger].costs(book())}
    assert (rows["base", "prefix"].cached, rows["base", "prefix"].owner) == (600, "content")
    assert rows["reply", "realtime"].calls == 1
    assert rows["base", "prefix"].wasted == 1


async def test_a_prefix_that_has_changed_is_not_kept_warm(shop, world):
    """After an acknowledged change no warm-up sends the older policy."""
    await followed(shop)
    world.put("window", "14 days")
    await waited(shop, world, 900)
    assert len(shop.provider.sent) == 1


async def test_two_processes_do_not_both_keep_a_prefix_warm(shop, world, tmp_path):
    """Of two servers that were asked at the same time, one sends the warm-up."""
    base, reply = shop.named
    await shop.materialize(base)
    second = world.app(shop.tasks, resources={Generator: shop.provider}, ledger=tmp_path / "second.db")
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(base), WARM_ALL)
    for app in (shop, second):
        await app.drain()
        await app.plugins[Prompts].care.look()
        await app.serve(reply, question="one")
    for _ in range(60):
        world.clock.advance(5)
        await asyncio.gather(*(app.drain() for app in (shop, second)))
        await asyncio.gather(*(app.plugins[Prompts].care.look() for app in (shop, second)))
    assert [one.question[:1] for one in shop.provider.sent] == ["o", "o", "."]


async def failing(shop, error):
    """Follow a plan that keeps everything warm, ask once, and let the provider fail from then on."""
    await followed(shop)
    tried = []

    async def fail(prompt, *, max_tokens, timeout_s):
        tried.append(prompt.question)
        raise error
        yield

    working, shop.provider.stream = shop.provider.stream, fail
    return tried, working


async def test_a_warm_up_that_fails_is_said_and_harms_nothing(shop, world, caplog):
    """After an error of any kind the prefix is left alone until somebody asks again."""
    tried, working = await failing(shop, RuntimeError("no tokens left"))
    await waited(shop, world, 900)
    (record,) = [record for record in caplog.records if "kept warm" in record.message]
    assert "base could not be kept warm: RuntimeError: no tokens left" in record.message
    assert tried == ["."]
    shop.provider.stream = working
    await shop.serve(shop.named[1], question="two")
    await waited(shop, world, 600)
    assert [one.question[:1] for one in shop.provider.sent] == ["o", "t", ".", "."]


async def test_a_warm_up_that_is_refused_is_not_sent_again(shop, world, caplog):
    """If a request for one token is invalid at a provider, this process warms nothing there any more, and says so."""
    refused = pb.errors.ProviderError("max_tokens is too small", kind=pb.errors.FailureKind.REJECTED)
    tried, working = await failing(shop, refused)
    await waited(shop, world, 300)
    assert "this process follows its plan without warm-ups: max_tokens is too small" in caplog.text
    shop.provider.stream = working
    await shop.serve(shop.named[1], question="two")
    await waited(shop, world, 900)
    assert [one.question[:1] for one in shop.provider.sent] == ["o", "t"]
    assert tried == ["."]


async def test_a_part_of_the_look_that_fails_stops_no_other(shop, world, monkeypatch, caplog):
    """An alert that cannot be sent is sent later, and plans are followed and prefixes kept warm meanwhile."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.serve(reply, question="first")
    shop.provider.reads = False
    for n in range(40):
        await shop.serve(reply, question=f"a{n}")
    shop.provider.reads = True
    care = shop.plugins[Prompts].care
    send = care._send

    async def unreachable(alert):
        raise pb.errors.StoreError("gone", field="store")

    monkeypatch.setattr(care, "_send", unreachable)
    await shop.plugins[Planner].adopted_plans.follow(shop.engine.bound_task(base), WARM_ALL)
    await care.look()
    await shop.serve(reply, question="one")
    await waited(shop, world, 300)
    assert "the look at drifts failed and will be repeated: gone" in caplog.text
    assert shop.provider.sent[-1].question == "."
    assert shop.sink.alerts == []
    monkeypatch.setattr(care, "_send", send)
    await care.look()
    assert [alert.kind for alert in shop.sink.alerts] == ["cache_drift"]


async def test_the_explanation_shows_the_followed_plan(shop):
    """Operators see the breakpoints and the reads of the plan that servers follow, not those without one."""
    base, _ = shop.named
    await shop.materialize(base)
    for strategy, ends, reads in [("no caching", [None, None], False), ("always 5m", [None, "5m"], True)]:
        await shop.plugins[Planner].adopted_plans.follow(
            shop.engine.bound_task(base), AdoptedPlan(strategy, 0.0, "", {})
        )
        (row,) = (await shop.plugins[Prompts].report(book=book())).prompts
        assert row.follows == strategy
        assert [part.breakpoint for part in row.explanation.parts] == ends
        assert (row.explanation.expected.read_share > 0) is reads


@pytest.mark.parametrize(
    ("rules", "words"),
    [({"ttls": ("30m",)}, "30m; plans are made for 5m and 1h"), ({"mechanism": "automatic"}, "takes no breakpoints")],
)
async def test_what_a_plan_cannot_change_is_not_planned(shop, monkeypatch, rules, words):
    """A provider without breakpoints, or with other times to live, is named instead of planned wrongly."""
    monkeypatch.setattr(Provider, "rules", msgspec.structs.replace(RULES, **rules))
    with pytest.raises(pb.BadInput, match=words) as caught:
        await shop.plugins[Prompts].replan(shop.named[0], "hosted", book())
    assert caught.value.field == "generator"


async def test_a_warm_up_that_is_cancelled_leaves_no_claim(shop, world):
    """If the worker ends during a warm-up, another process may send it, and nothing is left running."""
    tried, working = await failing(shop, RuntimeError("unused"))
    begun = asyncio.Event()

    async def hang(prompt, *, max_tokens, timeout_s):
        begun.set()
        await asyncio.Event().wait()
        yield

    shop.provider.stream = hang
    work = asyncio.create_task(waited(shop, world, 300))
    await begun.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    claims = shop.plugins[Prompts].care._warm_ups._claims
    assert await claims.read() == {}
    assert (tried, working is not None) == ([], True)


async def test_a_store_that_fails_leaves_warm_ups_to_the_next_look(shop, world, monkeypatch, caplog):
    """A claim that cannot be written is said, and no warm-up is sent without one."""
    tried, _ = await failing(shop, RuntimeError("unused"))

    async def gone(self, to):
        raise pb.errors.StoreError("the store is away", field="store")

    monkeypatch.setattr(type(shop.plugins[Prompts].care._warm_ups._claims), "change", gone)
    await waited(shop, world, 300)
    assert "base could not be kept warm: the store is away" in caplog.text
    assert tried == []


async def test_a_book_without_the_price_of_what_servers_write_is_refused(shop, world):
    """Without a price for writes of an hour, what servers do without a plan has no cost to compare with."""
    await planned_after(shop, world, 60, count=10)
    bare = msgspec.structs.replace(book(), rates=(msgspec.structs.replace(book().rates[0], cache_write_hour=None),))
    with pytest.raises(pb.BadInput, match="add cache_write_hour") as caught:
        await shop.plugins[Prompts].replan(shop.named[0], "hosted", bare)
    assert caught.value.field == "cache_write_hour"
