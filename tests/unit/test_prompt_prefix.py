"""A prompt's prefix is declared like a task: fenced, owned, listed, billed, and never stale."""

import asyncio
import json

import httpx
import msgspec
import pytest
from tests.unit.commands import invoke
from tests.unit.prompted_shop import Provider, book, prompted_shop
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_llm
from parbake.http import HttpApp
from parbake_llm import Prompts
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Block
from parbake_planner import Ledger


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a prefix of a policy, and a live task that sends it."""
    return await prompted_shop(world, tmp_path)


async def test_a_prefix_is_in_the_table_with_its_contract(shop):
    """The classification table, the freshness report and runs treat a prefix like any other artifact."""
    base, _ = shop.named
    row = next(row for row in shop.classify() if row.task == "base")
    assert (row.kind, row.mode, row.contract["owner"]) == ("prefix", "batch", "content")
    await shop.materialize(base)
    served = await shop.serve(base, "short")
    assert (served.lane, [block.name for block in served.value]) == ("batch", ["rules", "policy"])
    assert any(one.task == "base" for one in await shop.ops.freshness())


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
    rows = {(row.task, row.lane): row for row in await shop.plugins[Ledger].costs(book())}
    prefix, rest = rows["base", "prefix"], rows["reply", "realtime"]
    assert (prefix.owner, prefix.written_hour, prefix.cached) == ("content", 300, 600)
    assert prefix.usd == pytest.approx((300 * 2 + 600 * 0.1) / 1e6)
    assert (rest.input, rest.output, rest.cached) == (300, 15, 0)
    assert rest.usd == pytest.approx((300 + 15 * 10) / 1e6)
    kinds = {row["ChargeDescription"]: row["BilledCost"] for row in await shop.plugins[Ledger].charges(book())}
    assert kinds["base, prefix: one-hour cache write tokens of hosted"] == pytest.approx(600 / 1e6)
    assert kinds["base, prefix: cache read tokens of hosted"] == pytest.approx(60 / 1e6)
    assert sum(kinds.values()) == pytest.approx(prefix.usd + rest.usd)


async def test_tokens_without_a_price_do_not_hide_the_others(shop):
    """If the book has no price for cached tokens, they are named, and the other tokens are priced as before."""
    _, reply = shop.named
    await shop.serve(reply, question="one")
    await shop.close()
    bare = msgspec.structs.replace(book(), rates=(msgspec.structs.replace(book().rates[0], cache_write_hour=None),))
    rows = {(row.task, row.lane): row for row in await shop.plugins[Ledger].costs(bare)}
    assert rows["reply", "realtime"].usd == pytest.approx((100 + 5 * 10) / 1e6)
    assert "cache_write_hour" in rows["base", "prefix"].unpriced
    assert sum(row["BilledCost"] for row in await shop.plugins[Ledger].charges(bare)) == pytest.approx(
        (100 + 5 * 10) / 1e6
    )


async def test_a_prefix_that_nobody_read_is_waste(shop, world):
    """A written prefix that lapses before it is read is booked as waste at its price."""
    _, reply = shop.named
    await shop.serve(reply, question="once")
    world.clock.advance(4000)
    await shop.plugins[Prompts].care.look()
    await shop.close()
    row = next(row for row in await shop.plugins[Ledger].costs(book()) if (row.task, row.lane) == ("base", "prefix"))
    assert (row.wasted, row.wasted_usd) == (1, pytest.approx(300 * 2 / 1e6))


async def test_the_owner_hears_of_a_provider_that_stops_caching(shop):
    """A provider that reads less than predicted raises one alert to the owner, and one when it caches again."""
    _, reply = shop.named
    await shop.serve(reply, question="first")
    shop.provider.reads = False
    for n in range(40):
        await shop.serve(reply, question=f"a{n}")
    await shop.plugins[Prompts].care.look()
    await shop.plugins[Prompts].care.look()
    (alert,) = shop.sink.alerts
    assert (alert.kind, alert.task, alert.owner) == ("cache_drift", "base", "content")
    assert "less from its cache than predicted" in alert.message
    shop.provider.reads = True
    for n in range(80):
        await shop.serve(reply, question=f"b{n}")
    await shop.plugins[Prompts].care.look()
    assert [alert.kind for alert in shop.sink.alerts] == ["cache_drift", "cache_steady"]


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
    (row,) = [row for row in await shop.plugins[Ledger].costs(book()) if row.task == "reply"]
    assert row.unpriced == "requests of hosted without reported tokens"


async def test_misses_are_booked_with_their_cause(shop):
    """The ledger counts the first request of a prefix as a cold miss, and a request that reads it as a hit."""
    _, reply = shop.named
    for n in range(3):
        await shop.serve(reply, question=str(n))
    await asyncio.to_thread(shop.plugins[Ledger].file.settle)
    hours = shop.plugins[Ledger].file.hourly()
    assert [(task, calls) for _, kind, task, _, _, calls, *_ in hours if kind == "cache_miss"] == [("base", 1)]
    await shop.close()


async def test_a_generator_without_a_model_has_its_own_row(shop, monkeypatch):
    """What requests met is found for a generator that names neither a provider nor a model."""
    monkeypatch.delattr(Provider, "provider")
    monkeypatch.delattr(Provider, "model")
    base, reply = shop.named
    await shop.materialize(base)
    await shop.serve(reply, question="one")
    (row,) = (await shop.plugins[Prompts].report(book=book())).prompts
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

        @parbake_llm.prefix(pb.Registry(), **contract() | {"fallback_if_stale": fallback})
        def base(variant: str) -> list[Block]:
            return []

    assert caught.value.field == "fallback_if_stale"


def test_a_live_input_has_no_place_in_a_prefix():
    """A prefix that reads a live value is refused."""
    with pytest.raises(pb.errors.LaneError, match="live input 'user'"):

        @parbake_llm.prefix(pb.Registry(), **contract())
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
        ([Block("question", "x")], "reserved"),
        ([Block("", "x")], "empty"),
        ([Block("a", "x", "daily")], "must be one of rules, policy"),
    ],
)
async def test_blocks_that_cannot_be_sent_are_refused(world, blocks, words):
    """A prefix of no block, of duplicate or reserved names, or of an unknown volatility fails with its name."""
    tasks = pb.Registry()

    @parbake_llm.prefix(tasks, **contract())
    async def base(variant: str) -> list[Block]:
        return blocks

    with pytest.raises(pb.errors.ComputeFailed, match=words):
        await world.app(tasks, plugins=[Prompts()]).serve(base, "x")


MODULE = """
import parbake as pb
import parbake_llm
from parbake_llm.ports.prompts import Block
tasks = pb.Registry()

def variants() -> list[str]:
    return ["short"]

@parbake_llm.prefix(tasks, freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="content",
              refresh=pb.every("20m"), keys=variants)
def base(variant: str) -> list[Block]:
    return [Block("rules", "r" * 400), Block("clock", "Today is Monday.")]

app = pb.App(tasks, store="lmdb://FOLDER/store", plugins=[parbake_llm.Prompts()])
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
    assert "follows no plan" in invoke("prompted_app", "prompt", "planned", "prompted_app:app", "base").output
    planned = ("prompt", "planned", "prompted_app:app", "base", "--book", str(tmp_path / "none.json"))
    unnamed = invoke("prompted_app", *planned)
    assert "--generator" in str(unnamed.exception)
    (tmp_path / "tools.json").write_text('[{"name": 1}]')
    wrong = invoke("prompted_app", "prompt", "explain", "prompted_app:app", "--tools", str(tmp_path / "tools.json"))
    assert wrong.exit_code != 0
    assert "--tools" in str(wrong.exception)
