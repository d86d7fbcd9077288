"""A prompt's prefix is declared like a task: fenced, owned, listed, billed, and never stale."""

import asyncio
import dataclasses
import json

import httpx
import msgspec
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.generators.chain import Chain
from parbake.http import HttpApp
from parbake.lanes.batch.adopted import AdoptedPlan
from parbake.ledger.costs import CostBook, Offer
from parbake.planner.prices import Rate
from parbake.ports.alerts import Alert
from parbake.ports.models import Delta, Generator, Usage
from parbake.ports.prompts import Block, Prompt
from parbake.prompt.writing.placement import CacheRules

RULES = CacheRules(mechanism="breakpoints", minimum=10, ttls=("5m", "1h"))


class Provider:
    """A generator that caches as it promises, or reads nothing, and keeps what it was sent."""

    name, provider, model, rules = "hosted", "maker", "small", RULES

    def __init__(self):
        self.sent, self.reads, self.lengths = [], True, []

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Reply with one word; the first 300 tokens are cached after the first request."""
        self.sent.append(prompt)
        self.lengths.append(max_tokens)
        is_first = len(self.sent) == 1
        read, write = (0, 300) if is_first else (300 if self.reads else 0, 0)
        yield Delta("word")
        yield Delta(usage=Usage(uncached=400 - read - write, output=5, cache_read=read, cache_write_hour=write))


class Sink:
    """Keeps alerts."""

    def __init__(self):
        self.alerts = []

    async def send(self, alert: Alert):
        """Keep one."""
        self.alerts.append(alert)


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a prefix of a policy, and a live task that sends it."""
    world.put("window", "30 days")
    tasks = pb.Registry()

    def variants() -> list[str]:
        return ["short"]

    @tasks.prefix(**contract(owner="content", refresh=pb.every("20m"), keys=variants))
    def base(variant: str, *, facts: pb.Source[Facts]) -> list[Block]:
        """What every prompt begins with."""
        return [Block("policy", f"{facts.get('window')} {'p' * 900}", "policy", "7"), Block("rules", "r" * 300)]

    @tasks.live(why="the question exists only now")
    async def reply(question: pb.Live[str], *, prefix: pb.Reader[str, tuple[Block, ...]] = pb.Input(base),
                    llm: pb.Resource[Generator] = pb.GIVEN) -> str:  # fmt: skip
        blocks = (await prefix.get("short")).unwrap()
        prompt = Prompt(blocks=blocks, question=question.ljust(400, "."), prefix="base", session="s")
        return "".join([d.text async for d in llm.stream(prompt, max_tokens=9, timeout_s=5)])

    provider, sink = Provider(), Sink()
    app = world.app(tasks, resources={Generator: provider}, ledger=tmp_path / "ledger.db", alerts=[sink])
    app.named, app.provider, app.sink = (base, reply), provider, sink
    await app.drain()
    return app


def book():
    """Return a book: $1 for a million input tokens, a tenth for reads, the double for an hour's write."""
    rate = Rate(
        provider="maker", model="small", since=pb_date(), input=1.0, output=10.0, cache_read=0.1, cache_write=1.25,
        cache_write_hour=2.0,
    )  # fmt: skip
    offers = {"hosted": Offer(provider="maker", model="small")}
    return CostBook(as_of=pb_date(2026), cpu_hour=0.0, rates=(rate,), generators=offers)


def pb_date(year=2020):
    """Return the first day of a year."""
    import datetime as dt

    return dt.date(year, 1, 1)


async def test_a_prefix_is_in_the_table_with_its_contract(shop):
    """The classification table, the freshness report and runs treat a prefix like any other artifact."""
    base, _ = shop.named
    row = next(row for row in shop.classify() if row.task == "base")
    assert (row.kind, row.mode, row.contract["owner"]) == ("prefix", "batch", "content")
    await shop.materialize(base)
    served = await shop.serve(base, "short")
    assert (served.lane, [block.name for block in served.value]) == ("batch", ["rules", "policy"])
    assert any(one["task"] == "base" for one in await shop.ops.freshness())


async def test_no_request_begins_with_an_outdated_prefix(shop, world):
    """After an acknowledged change, the next request is sent with the new policy."""
    _, reply = shop.named
    for window in ("30 days", "14 days", "7 days"):
        world.put("window", window)
        await shop.drain()
        await shop.serve(reply, question=f"until when? {window}")
        assert shop.provider.sent[-1].blocks[1].text.startswith(window)


async def test_what_a_prefix_costs_is_booked_for_its_owner(shop):
    """Writes and reads are the prefix's, the rest is the task's, and both together are the bill."""
    _, reply = shop.named
    for n in range(3):
        await shop.serve(reply, question=str(n))
    await shop.close()
    rows = {(row.task, row.lane): row for row in await shop.ops.costs(book())}
    prefix, rest = rows["base", "prefix"], rows["reply", "realtime"]
    assert (prefix.owner, prefix.written_hour, prefix.cached) == ("content", 300, 600)
    assert prefix.usd == pytest.approx((300 * 2 + 600 * 0.1) / 1e6)
    assert (rest.input, rest.output, rest.cached) == (300, 15, 0)
    assert rest.usd == pytest.approx((300 + 15 * 10) / 1e6)
    kinds = {row["ChargeDescription"]: row["BilledCost"] for row in await shop.ops.charges(book())}
    assert kinds["base, prefix: one-hour cache write tokens of hosted"] == pytest.approx(600 / 1e6)
    assert kinds["base, prefix: cache read tokens of hosted"] == pytest.approx(60 / 1e6)
    assert sum(kinds.values()) == pytest.approx(prefix.usd + rest.usd)


async def test_tokens_without_a_price_do_not_hide_the_others(shop):
    """If the book has no price for cached tokens, they are named, and the other tokens are priced as before."""
    _, reply = shop.named
    await shop.serve(reply, question="one")
    await shop.close()
    bare = msgspec.structs.replace(book(), rates=(msgspec.structs.replace(book().rates[0], cache_write_hour=None),))
    rows = {(row.task, row.lane): row for row in await shop.ops.costs(bare)}
    assert rows["reply", "realtime"].usd == pytest.approx((100 + 5 * 10) / 1e6)
    assert "cache_write_hour" in rows["base", "prefix"].unpriced
    assert sum(row["BilledCost"] for row in await shop.ops.charges(bare)) == pytest.approx((100 + 5 * 10) / 1e6)


async def test_a_prefix_that_nobody_read_is_waste(shop, world):
    """A written prefix that lapses before it is read is booked as waste at its price."""
    _, reply = shop.named
    await shop.serve(reply, question="once")
    world.clock.advance(4000)
    await shop.engine.prefix_care.look()
    await shop.close()
    row = next(row for row in await shop.ops.costs(book()) if (row.task, row.lane) == ("base", "prefix"))
    assert (row.wasted, row.wasted_usd) == (1, pytest.approx(300 * 2 / 1e6))


async def test_the_owner_hears_of_a_provider_that_stops_caching(shop):
    """A provider that reads less than predicted raises one alert to the owner, and one when it caches again."""
    _, reply = shop.named
    await shop.serve(reply, question="first")
    shop.provider.reads = False
    for n in range(40):
        await shop.serve(reply, question=f"a{n}")
    await shop.engine.prefix_care.look()
    await shop.engine.prefix_care.look()
    (alert,) = shop.sink.alerts
    assert (alert.kind, alert.task, alert.owner) == ("cache_drift", "base", "content")
    assert "less from its cache than predicted" in alert.message
    shop.provider.reads = True
    for n in range(80):
        await shop.serve(reply, question=f"b{n}")
    await shop.engine.prefix_care.look()
    assert [alert.kind for alert in shop.sink.alerts] == ["cache_drift", "cache_steady"]


async def planned_after(shop, world, gap, count=200):
    """Return the plan made of so many requests with some seconds between them."""
    base, reply = shop.named
    for n in range(count):
        world.clock.advance(gap)
        await shop.drain()
        await shop.serve(reply, question=str(n))
    await asyncio.to_thread(shop.engine.ledger.settle)
    return await shop.ops.replan_caching(base, "hosted", book())


async def test_a_plan_is_adopted_followed_and_taken_back(shop, world):
    """The replay of the ledger's requests adopts what pays; servers follow it, and roll back to the plan before."""
    base, reply = shop.named
    plan = await planned_after(shop, world, 5000)
    assert plan.requests == 200
    adopted = await shop.ops.adopt_caching(base, plan)
    assert adopted.strategy == "no caching"
    assert "against by volatility" in adopted.reason
    assert adopted.evidence["without_plan_usd"] > 1.1 * adopted.evidence["usd"]
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="marked?")
    assert shop.provider.sent[-1].breakpoints == ()
    await shop.ops.adopt_caching(base, dataclasses.replace(plan, adopted="always 5m"))
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="marked now?")
    assert [(one.after, one.ttl) for one in shop.provider.sent[-1].breakpoints] == [("policy", "5m")]
    assert (await shop.ops.unadopt(base)).strategy == "no caching"
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="marked again?")
    assert shop.provider.sent[-1].breakpoints == ()
    assert [one.strategy for one in await shop.ops.adopted(base)] == ["no caching"]


async def test_what_servers_do_without_a_plan_is_not_replaced_by_something_dearer(shop, world):
    """Breakpoints by volatility are among the candidates, and stay unless something is surely cheaper."""
    plan = await planned_after(shop, world, 1500)
    assert (plan.base, plan.adopted) == ("by volatility", "by volatility")
    assert plan.used["by volatility"].cost_usd < 0.5 * plan.used["no caching"].cost_usd
    adopted = await shop.ops.adopt_caching(shop.named[0], plan)
    assert adopted.reason == "nothing is surely cheaper in a replay of 200 requests"
    await shop.engine.prefix_care.look()
    await shop.serve(shop.named[1], question="marked?")
    assert [(one.after, one.ttl) for one in shop.provider.sent[-1].breakpoints] == [("policy", "1h")]


async def test_a_few_requests_are_no_ground_for_a_plan(shop, world):
    """With too few requests to compare anything, nothing can be adopted."""
    plan = await planned_after(shop, world, 60, count=5)
    with pytest.raises(pb.BadInput, match="too few to adopt") as caught:
        await shop.ops.adopt_caching(shop.named[0], plan)
    assert caught.value.field == "adopt"
    assert await shop.ops.adopted(shop.named[0]) == ()


async def test_nothing_is_asked_of_a_provider_that_it_does_not_offer(shop, world, monkeypatch):
    """Without entries for an hour, no rule marks for an hour, whatever the book's prices and an adopted plan say."""
    monkeypatch.setattr(Provider, "rules", msgspec.structs.replace(RULES, ttls=("5m",)))
    plan = await planned_after(shop, world, 400, count=40)
    assert "always 1h" not in plan.used
    base, reply = shop.named
    await shop.engine.adopted.follow(shop.engine.bound_task(base), AdoptedPlan("always 1h", 0.0, "", {}))
    await shop.engine.prefix_care.look()
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
    await chained.engine.adopted.follow(chained.engine.bound_task(base), plan)
    await chained.engine.prefix_care.look()
    await chained.serve(reply, question="one")
    assert [one.ttl for one in down.sent[-1].breakpoints] == ["5m"]
    assert [one.ttl for one in shop.provider.sent[-1].breakpoints] == ["5m"]
    await chained.close()
    rows = {(row.task, row.lane): row for row in await chained.ops.costs(book())}
    assert rows["reply", "realtime"].output == 5
    assert rows["reply", "realtime"].unpriced == "requests of down without reported tokens"
    assert rows["base", "prefix"].written_hour == 300


async def test_a_request_without_reported_tokens_is_named(shop):
    """A reply that breaks off, or whose reader leaves, is listed as unpriced instead of counting as free."""
    _, reply = shop.named

    async def cut(prompt, *, max_tokens, timeout_s):
        yield Delta("half a wo")
        raise pb.errors.ProviderError("cut", field="hosted")

    shop.provider.stream = cut
    with pytest.raises(pb.errors.ProviderError):
        await shop.serve(reply, question="one")
    await shop.close()
    (row,) = [row for row in await shop.ops.costs(book()) if row.task == "reply"]
    assert row.unpriced == "requests of hosted without reported tokens"


async def test_a_prefix_without_requests_or_prices_is_not_planned(shop):
    """Without a request, a price of the generator or a price of cached tokens, planning says what is missing."""
    base, reply = shop.named
    with pytest.raises(pb.BadInput, match="no requests"):
        await shop.ops.replan_caching(base, "hosted", book())
    with pytest.raises(pb.BadInput, match="no generator 'other'"):
        await shop.ops.replan_caching(base, "other", book())
    bare = msgspec.structs.replace(book().rates[0], cache_read=None)
    await shop.serve(reply, question="one")
    await asyncio.to_thread(shop.engine.ledger.settle)
    with pytest.raises(pb.BadInput, match="cache_read"):
        await shop.ops.replan_caching(base, "hosted", msgspec.structs.replace(book(), rates=(bare,)))


async def test_a_changed_prefix_is_computed_ahead(shop, world):
    """After an event the generator computes the new prefix before anybody asks, once, and only a kind it was sent."""
    base, reply = shop.named
    warmed = []

    async def warm(prompt):
        warmed.append(prompt.blocks[1].text[:7])

    shop.provider.warm = warm
    await shop.materialize(base)
    await shop.engine.prefix_care.look()
    assert warmed == []
    await shop.serve(reply, question="one")
    for window in ("30 days", "14 days"):
        world.put("window", window)
        await shop.drain()
        await shop.materialize(base)
        await shop.engine.prefix_care.look()
        await shop.engine.prefix_care.look()
    assert warmed == ["30 days", "14 days"]


WARM_ALL = AdoptedPlan("warm all", 0.0, "", {})


async def waited(shop, world, seconds):
    """Let time pass in steps of five seconds, in which the worker looks after the prefixes."""
    for _ in range(seconds // 5):
        world.clock.advance(5)
        await shop.drain()
        await shop.engine.prefix_care.look()


async def test_an_adopted_plan_keeps_a_prefix_warm(shop, world):
    """Short requests keep the prefix from lapsing, are booked for its owner, and end when the plan is taken back."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.engine.adopted.follow(shop.engine.bound_task(base), WARM_ALL)
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="one")
    await waited(shop, world, 600)
    assert [one.question[:1] for one in shop.provider.sent] == ["o", ".", "."]
    assert {one.prefix for one in shop.provider.sent} == {"base"}
    assert shop.provider.lengths == [9, 1, 1]
    await shop.ops.unadopt(base)
    await waited(shop, world, 600)
    assert len(shop.provider.sent) == 3
    await asyncio.to_thread(shop.engine.ledger.settle)
    assert len(shop.engine.ledger.prompts("base", "hosted", days=1)) == 1
    rows = {(row.task, row.lane): row for row in await shop.ops.costs(book())}
    assert (rows["base", "prefix"].cached, rows["base", "prefix"].owner) == (600, "content")
    assert rows["reply", "realtime"].calls == 1
    assert rows["base", "prefix"].wasted == 1


async def test_a_prefix_that_has_changed_is_not_kept_warm(shop, world):
    """After an acknowledged change no warm-up sends the older policy."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.engine.adopted.follow(shop.engine.bound_task(base), WARM_ALL)
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="one")
    world.put("window", "14 days")
    await waited(shop, world, 900)
    assert len(shop.provider.sent) == 1


async def test_two_processes_do_not_both_keep_a_prefix_warm(shop, world, tmp_path):
    """Of two servers that were asked at the same time, one sends the warm-up."""
    base, reply = shop.named
    await shop.materialize(base)
    second = world.app(shop.tasks, resources={Generator: shop.provider}, ledger=tmp_path / "second.db")
    await shop.engine.adopted.follow(shop.engine.bound_task(base), WARM_ALL)
    for app in (shop, second):
        await app.drain()
        await app.engine.prefix_care.look()
        await app.serve(reply, question="one")
    for _ in range(60):
        world.clock.advance(5)
        await asyncio.gather(*(app.drain() for app in (shop, second)))
        await asyncio.gather(*(app.engine.prefix_care.look() for app in (shop, second)))
    assert [one.question[:1] for one in shop.provider.sent] == ["o", "o", "."]


async def failing(shop, error):
    """Follow a plan that keeps everything warm, ask once, and let the provider fail from then on."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.engine.adopted.follow(shop.engine.bound_task(base), WARM_ALL)
    await shop.engine.prefix_care.look()
    await shop.serve(reply, question="one")
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
    assert "this process will not try again: max_tokens is too small" in caplog.text
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
    care = shop.engine.prefix_care
    send = care._send

    async def unreachable(alert):
        raise pb.errors.StoreError("gone", field="store")

    monkeypatch.setattr(care, "_send", unreachable)
    await shop.engine.adopted.follow(shop.engine.bound_task(base), WARM_ALL)
    await care.look()
    await shop.serve(reply, question="one")
    await waited(shop, world, 300)
    assert "the look at drifts failed and will be repeated: gone" in caplog.text
    assert shop.provider.sent[-1].question == "."
    assert shop.sink.alerts == []
    monkeypatch.setattr(care, "_send", send)
    await care.look()
    assert [alert.kind for alert in shop.sink.alerts] == ["cache_drift"]


async def test_misses_are_booked_with_their_cause(shop):
    """The ledger counts the first request of a prefix as a cold miss, and a request that reads it as a hit."""
    _, reply = shop.named
    for n in range(3):
        await shop.serve(reply, question=str(n))
    await asyncio.to_thread(shop.engine.ledger.settle)
    hours = shop.engine.ledger.hourly()
    assert [(task, calls) for _, kind, task, _, _, calls, *_ in hours if kind == "cache_miss"] == [("base", 1)]
    await shop.close()


async def test_a_generator_without_a_model_has_its_own_row(shop, monkeypatch):
    """What requests met is found for a generator that names neither a provider nor a model."""
    monkeypatch.delattr(Provider, "provider")
    monkeypatch.delattr(Provider, "model")
    base, reply = shop.named
    await shop.materialize(base)
    await shop.serve(reply, question="one")
    (row,) = (await shop.ops.prompts(book=book())).prompts
    assert (row.provider, row.model, row.generator) == ("hosted", "hosted", "hosted")
    assert row.met is not None
    assert row.met.requests == 1


async def test_operators_see_prompts_as_json(shop):
    """``GET /v1/prompts`` has parts, breakpoints, expected and met reads, and what providers may hold."""
    base, reply = shop.named
    await shop.materialize(base)
    await shop.serve(reply, question="one")
    await shop.serve(reply, question="two")
    client = httpx.AsyncClient(transport=httpx.ASGITransport(HttpApp(shop)), base_url="http://localhost")
    found = (await client.get("/v1/prompts")).json()
    (row,) = found["prompts"]
    assert (row["prefix"], row["key"], row["owner"], row["provider"]) == ("base", "short", "content", "maker")
    assert [part["breakpoint"] for part in row["explanation"]["parts"]] == [None, "1h"]
    assert row["met"]["requests"] == 2
    assert row["met"]["causes"] == {"cold": 1}
    assert {one["session"] for one in found["held"]} == {""}
    await client.aclose()


@pytest.mark.parametrize(
    ("fallback", "words"),
    [(pb.ServeStale(within="1h"), "outdated one may never be served"), (None, "fallback_if_stale")],
)
def test_an_outdated_prefix_cannot_be_allowed(fallback, words):
    """``ServeStale`` is refused where the prefix is declared."""
    with pytest.raises(pb.errors.ContractError, match=words) as caught:

        @pb.Registry().prefix(**contract() | {"fallback_if_stale": fallback})
        def base(variant: str) -> list[Block]:
            return []

    assert caught.value.field == "fallback_if_stale"


def test_a_live_input_has_no_place_in_a_prefix():
    """A prefix that reads a live value is refused."""
    with pytest.raises(pb.errors.LaneError, match="live input 'user'"):

        @pb.Registry().prefix(**contract())
        def base(variant: str, *, user: pb.Live[str]) -> list[Block]:
            return [Block("rules", user)]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "returns its blocks"),
        ("rules", "returns its blocks"),
        (["rules"], "returns its blocks"),
        (None, "returns its blocks"),
        ([Block("a", "x"), Block("a", "y")], "used twice"),
        ([Block("tools", "x")], "reserved"),
        ([Block("", "x")], "empty"),
        ([Block("a", "x", "daily")], "must be one of rules, policy"),
    ],
)
async def test_blocks_that_cannot_be_sent_are_refused(world, blocks, words):
    """A prefix of no block, of duplicate or reserved names, or of an unknown volatility fails with its name."""
    tasks = pb.Registry()

    @tasks.prefix(**contract())
    async def base(variant: str) -> list[Block]:
        return blocks

    with pytest.raises(pb.errors.ComputeFailed, match=words):
        await world.app(tasks).serve(base, "x")


MODULE = """
import parbake as pb
from parbake.ports.prompts import Block
tasks = pb.Registry()

def variants() -> list[str]:
    return ["short"]

@tasks.prefix(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content",
              refresh=pb.every("20m"), keys=variants)
def base(variant: str) -> list[Block]:
    return [Block("rules", "r" * 400), Block("clock", "Today is Monday.")]

app = pb.App(tasks, store="lmdb://FOLDER/store")
"""


def test_the_command_explains_prefixes(tmp_path, monkeypatch):
    """``prompt explain`` shows parts and findings, as text and as JSON, and names a bad file of tools."""
    (tmp_path / "prompted_app.py").write_text(MODULE.replace("FOLDER", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    assert "no prefix is stored" in invoke("prompted_app", "prompt", "explain", "prompted_app:app").output
    assert invoke("prompted_app", "materialize", "prompted_app:app", "base").exit_code == 0
    shown = invoke("prompted_app", "prompt", "explain", "prompted_app:app").output
    assert "clock: clock (Today is)" in shown
    assert "in the naive order" in shown
    found = json.loads(invoke("prompted_app", "prompt", "explain", "prompted_app:app", "--json").output)
    assert [part["name"] for part in found["prompts"][0]["explanation"]["parts"]] == ["rules", "clock"]
    assert "follows no plan" in invoke("prompted_app", "planned", "prompted_app:app", "base").output
    unnamed = invoke("prompted_app", "planned", "prompted_app:app", "base", "--prices", str(tmp_path / "none.json"))
    assert "--generator" in str(unnamed.exception)
    (tmp_path / "tools.json").write_text('[{"name": 1}]')
    wrong = invoke("prompted_app", "prompt", "explain", "prompted_app:app", "--tools", str(tmp_path / "tools.json"))
    assert wrong.exit_code != 0
    assert "--tools" in str(wrong.exception)
