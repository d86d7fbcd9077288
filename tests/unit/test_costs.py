"""The resources that tasks use, priced by a dated cost book; resources without a price are named."""

import asyncio
import contextlib
import csv
import datetime as dt
import json
import os
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest
from tests.unit.commands import invoke
from tests.unit.shopfloor import Facts, contract
from tests.waiting import eventually

import parbake as pb
from parbake.ports.usage import Usage
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_planner import Ledger
from parbake_planner.ledger.costs import CostBook, Offer, costs, price, read_book, read_prices, summed
from parbake_planner.ledger.focus_export import COLUMNS
from parbake_planner.ledger.rows import TOKEN_KINDS
from parbake_planner.prices import Book, Rate

TODAY = dt.date(2026, 11, 25)
GUIDE = Path(__file__).parents[2] / "docs/howto/costs.md"


class Writer:
    """A generator that reports its tokens."""

    name = "writer"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Stream one word."""
        yield Delta("word")
        yield Delta("", Usage(uncached=800, output=100, cache_read=200))


def book(**options):
    """Return a book: $1 for a million input tokens, $10 for output tokens, and a tenth for cached input tokens."""
    rate = Rate(provider="maker", model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0, cache_read=0.1)
    offer = Offer(provider="maker", model="small")
    return CostBook(as_of=TODAY, cpu_hour=3600.0, serve=0.5, rates=(rate,), generators={"writer": offer}, **options)


@pytest.fixture
async def shop(world, tmp_path):
    """Return an app with a stored and a live task that use a generator, and one that uses CPU."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a", "b", "c"]

    @tasks.artifact(**contract(owner="content", refresh=pb.every("20m"), keys=names))
    async def text(name: str, *, facts: pb.Source[Facts], writer: pb.Resource[Generator]) -> str:
        prompt = Prompt(question=name)
        return "".join([d.text async for d in writer.stream(prompt, max_tokens=1, timeout_s=1)])

    @tasks.artifact(**contract(owner="maths"))
    def burnt(name: str, *, facts: pb.Source[Facts]) -> int:
        return sum(i * i for i in range(200_000))

    @tasks.live(why="only now")
    async def said(words: pb.Live[str], *, writer: pb.Resource[Generator] = pb.GIVEN) -> str:
        prompt = Prompt(question=words)
        return "".join([d.text async for d in writer.stream(prompt, max_tokens=1, timeout_s=1)])

    app = world.app(tasks, resources={Generator: Writer()}, ledger=tmp_path / "ledger.db")
    app.named = (text, burnt, said)
    await app.drain()
    return app


async def test_all_that_is_spent_is_attributed(shop):
    """Tokens and CPU are attributed to task, lane and owner, at the prices of the book."""
    text, burnt, said = shop.named
    await shop.materialize(text)
    for name in ("a", "a", "b"):
        await shop.serve(text, name)
    await shop.serve(burnt, "x")
    await shop.serve(said, words="hello")
    await shop.close()
    rows = {(row.task, row.lane): row for row in await shop.plugins[Ledger].costs(book())}
    tokens = (800 + 200 * 0.1) / 1e6 + 100 * 10 / 1e6
    said_usd = rows["said", "realtime"]
    assert said_usd.usd == pytest.approx(tokens + said_usd.cpu_s)
    assert (said_usd.calls, said_usd.cpu_s > 0, said_usd.owner) == (1, True, "nobody")
    batch = rows["text", "batch"]
    assert (batch.rows, batch.wasted, batch.output, batch.owner) == (3, 0, 300, "content")
    assert batch.usd == pytest.approx(3 * tokens + batch.cpu_s)
    assert rows["text", "serve"].usd == 3 * 0.5
    assert rows["burnt", "realtime"].usd == pytest.approx(rows["burnt", "realtime"].cpu_s)
    assert rows["burnt", "realtime"].cpu_s > 0.001
    assert not any(row.unpriced for row in rows.values())


async def test_tokens_that_nobody_counts_are_named_in_the_costs(world, tmp_path, caplog):
    """With a ledger and without ``Prompts()``, a task that gets a generator is unpriced, and the log says why once."""
    tasks = pb.Registry()

    @tasks.live(why="only now")
    async def said(words: pb.Live[str], *, writer: pb.Resource[Generator] = pb.GIVEN) -> str:
        return "".join([d.text async for d in writer.stream(Prompt(question=words), max_tokens=1, timeout_s=1)])

    ledger = Ledger(tmp_path / "ledger.db")
    app = world.app(tasks, resources={Generator: Writer()}, plugins=[ledger])
    for _ in range(2):
        await app.serve(said, words="hello")
    await app.close()
    (row,) = await app.plugins[Ledger].costs(book())
    assert row.unpriced == "requests of writer without reported tokens"
    assert caplog.text.count("name parbake_llm.Prompts() behind Ledger(...)") == 1


def test_prices_of_models_are_read_from_either_book(tmp_path):
    """A book of rates and a cost book name each model by its provider, and an error names the file and the option."""
    path = tmp_path / "prices.json"
    rate = Rate(provider="maker", model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0)
    offer = Offer(provider="maker", model="small")
    for made in (Book(as_of=TODAY, rates=(rate,)), book()):
        path.write_bytes(msgspec.json.encode(made))
        read = read_prices(path, today=TODAY)
        assert read.generators == {"maker/small": offer} | getattr(made, "generators", {})
        assert read.cpu_hour == getattr(made, "cpu_hour", 0.0)
        with pytest.raises(pb.BadInput, match=rf"^--prices {path}: as_of=.* in the future"):
            read_prices(path, today=dt.date(2020, 1, 1))
    path.write_text('{"rates": []}')
    with pytest.raises(pb.BadInput, match=f"^--prices {path}: .*as_of"):
        read_prices(path, today=TODAY)
    with pytest.raises(pb.BadInput, match=f"^--book {path}: "):
        read_book(path, today=TODAY)


async def test_what_was_saved_is_told_apart_from_what_was_spent(shop):
    """Tokens that a stored answer saved are priced, and are in no sum of what was spent, hourly charges included."""
    file = shop.plugins[Ledger].file
    usage = Usage(uncached=800, output=100, cache_read=200)
    file.spent("asked", "realtime", "writer", usage)
    for _ in range(3):
        file.saved("asked", "realtime", "writer", usage)
    file.saved("asked", "realtime", "unknown", usage)
    await asyncio.to_thread(file.settle)
    (row,) = await shop.plugins[Ledger].costs(book())
    each = (800 + 200 * 0.1) / 1e6 + 100 * 10 / 1e6
    assert (row.usd, row.output, row.calls) == (pytest.approx(each), 100, 0)
    assert (row.saved, row.saved_usd, row.unpriced) == (4, pytest.approx(3 * each), "tokens of unknown")
    charges = await shop.plugins[Ledger].charges(book())
    assert sum(charge["BilledCost"] for charge in charges) == pytest.approx(each)
    await shop.close()


def counted(ledger, serves):
    """Wait until the ledger has written this many serves, which count for the minute of the write."""
    eventually(lambda: sum(ledger.serves().values()) == serves)


async def test_a_run_is_judged_by_what_was_read_of_it_when_the_next_replaces_it(shop, world):
    """Rows of a run that were not read before the next run are waste, whatever was read of other runs."""
    text, *_ = shop.named
    served = 0
    for asked in ("abc", "abc", "a", ""):
        await shop.materialize(text)
        for name in asked:
            await shop.serve(text, name)
        await shop.serve(text, "not listed")  # computed on request, so it does not count for any run
        served += len(asked) + 1
        await asyncio.to_thread(counted, shop.plugins[Ledger].file, served)
        world.clock.advance(600)
        await shop.drain()
    await shop.materialize(text)
    await shop.close()
    (batch,) = [row for row in await shop.plugins[Ledger].costs(book()) if (row.task, row.lane) == ("text", "batch")]
    assert (batch.rows, batch.wasted) == (15, 0 + 0 + 2 + 3)
    assert batch.wasted_usd == pytest.approx(batch.usd / 15 * 5)


async def test_tokens_are_priced_as_the_lane_buys_them(shop):
    """Tokens of the batch lane use the batch price; a model without one is reported as unpriced."""
    text, _, said = shop.named
    await shop.materialize(text)
    await shop.serve(said, words="hello")
    await shop.close()
    half = msgspec.structs.replace(book().rates[0], batch=0.5)
    offer = Offer(provider="maker", model="small", processing={"batch": "batch"})
    dated = msgspec.structs.replace(book(), cpu_hour=0.0, generators={"writer": offer})
    rows = {
        (r.task, r.lane): r for r in await shop.plugins[Ledger].costs(msgspec.structs.replace(dated, rates=(half,)))
    }
    assert rows["text", "batch"].usd == pytest.approx(3 * rows["said", "realtime"].usd / 2)
    rows = {(r.task, r.lane): r for r in await shop.plugins[Ledger].costs(dated)}
    assert "has no batch price" in rows["text", "batch"].unpriced


async def test_hours_in_the_columns_of_focus_add_up_to_the_same(shop):
    """FOCUS rows fill every mandatory column for whole hours, and their sum equals that of the cost table."""
    text, burnt, said = shop.named
    for _ in range(2):
        await shop.materialize(text)
    await shop.serve(burnt, "x")
    await shop.serve(said, words="hello")
    await shop.close()
    half = msgspec.structs.replace(book().rates[0], batch=0.5)
    offer = Offer(provider="maker", model="small", processing={"batch": "batch"})
    priced = msgspec.structs.replace(book(), rates=(half,), generators={"writer": offer})
    rows = await shop.plugins[Ledger].charges(priced)
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(
        sum(row.usd for row in await shop.plugins[Ledger].costs(priced))
    )
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert all(row["ChargePeriodStart"].endswith(":00:00Z") and row["BillingAccountId"] is not None for row in rows)
    tokens = {row["x_Lane"]: row for row in rows if row["PricingUnit"] == "Tokens"}
    assert tokens["batch"]["ProviderName"] == "maker"
    assert tokens["batch"]["ListCost"] == pytest.approx(2 * tokens["batch"]["EffectiveCost"])
    assert tokens["realtime"]["ListCost"] == tokens["realtime"]["EffectiveCost"]


class Cheap(Writer):
    """Another generator, which an app has besides the first one."""

    name = "cheap"


class Downloads:
    """A resource that has a method of the same name, and is not a generator."""

    def stream(self, url):
        """Return what the test looks for."""
        return url


async def test_every_generator_of_an_app_is_priced_by_its_own_name(world, tmp_path):
    """Tokens of a generator under a type of its own are booked under its name, and other resources are left alone."""
    tasks = pb.Registry()

    @tasks.live(why="asks both")
    async def both(
        words: pb.Live[str], *, writer: pb.Resource[Generator] = pb.GIVEN, cheap: pb.Resource[Cheap] = pb.GIVEN,
        downloads: pb.Resource[Downloads] = pb.GIVEN,
    ) -> str:  # fmt: skip
        for one in (writer, cheap):
            [d async for d in one.stream(Prompt(question=words), max_tokens=1, timeout_s=1)]
        return downloads.stream(type(downloads).__name__)

    resources = {Generator: Writer(), Cheap: Cheap(), Downloads: Downloads()}
    app = world.app(tasks, resources=resources, ledger=tmp_path / "ledger.db")
    assert (await app.serve(both, words="hello")).value == "Downloads"
    await app.close()
    (row,) = [row for row in await app.plugins[Ledger].costs(book()) if row.task == "both"]
    assert (row.input, row.unpriced) == (2 * 800, "tokens of cheap")


async def test_what_has_no_price_is_named(shop):
    """Tokens without a valid price in the book are counted and reported as unpriced."""
    _, _, said = shop.named
    await shop.serve(said, words="hello")
    await shop.close()
    late = Rate(provider="maker", model="small", since=dt.date(2030, 1, 1), input=1.0, output=1.0)
    rows = [row for row in await shop.plugins[Ledger].costs(CostBook(as_of=TODAY, cpu_hour=1.0)) if row.task == "said"]
    assert [(row.output, row.unpriced) for row in rows] == [(100, "tokens of writer")]
    offers = {"writer": Offer(provider="maker", model="small")}
    rows = await shop.plugins[Ledger].costs(CostBook(as_of=TODAY, cpu_hour=1.0, rates=(late,), generators=offers))
    assert any("has no price on" in row.unpriced for row in rows)


class Spent:
    """Usage sums of one generation with cached tokens, as a ledger has them."""

    def __init__(self, **tokens):
        self._numbers = [0, 0, 0, 0, 0, *(tokens.get(name, 0) for name in TOKEN_KINDS)]

    def hourly(self, *, since=0.0):
        """One hour of one task."""
        return [(500_000, "tokens", "faq", "realtime", "writer", *self._numbers)]

    def serves(self, *, since=0.0):
        """None."""
        return {}


@pytest.mark.parametrize(
    ("kind", "price_name"), [("cached", "cache_read"), ("written", "cache_write"), ("written_hour", "cache_write_hour")]
)
def test_cached_tokens_without_a_price_are_named(kind, price_name):
    """Each kind of cached tokens is unpriced without its multiplier, which is named, and priced with it."""
    plain = msgspec.structs.replace(book().rates[0], cache_read=None)
    spent = Spent(input=1_000_000, **{kind: 1_000_000})
    (row,) = costs(spent, msgspec.structs.replace(book(), rates=(plain,)), {})
    assert getattr(row, kind) == 1_000_000
    assert f"has no {price_name} price; add the multiplier to the price book" in row.unpriced
    whole = msgspec.structs.replace(plain, **{price_name: 1.5})
    (row,) = costs(spent, msgspec.structs.replace(book(), rates=(whole,)), {})
    assert (row.usd, row.unpriced) == (pytest.approx(1.0 + 1.5), "")


def test_the_books_of_the_guide_are_valid(tmp_path):
    """Each price book of docs/howto/costs.md is accepted, and the one for caching prices every kind of token."""
    found = re.findall(r"^```json\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    books = []
    for text in found:
        path = tmp_path / "book.json"
        path.write_text(text)
        books.append(read_book(path, today=TODAY))
    caching = books[-1]
    assert (len(books), bool(caching.source)) == (2, True)
    at = dt.datetime(2026, 11, 20, tzinfo=dt.UTC).timestamp()
    usage = Usage(uncached=1, output=1, cache_read=1, cache_write=1)
    for name in caching.generators:
        assert price(caching, name, usage, at=at) is not None
    hour = Usage(cache_write_hour=1_000_000)
    assert price(caching, "anthropic", hour, at=at) == pytest.approx(0.2)
    assert price(caching, "anthropic", hour, at=at, lane="batch") == pytest.approx(0.1)
    assert price(caching, "openai", hour, at=at) is None
    read = Usage(cache_read=1_000_000)
    june = dt.datetime(2026, 7, 1, tzinfo=dt.UTC).timestamp()
    assert [price(caching, "openai", read, at=when) for when in (june, at)] == pytest.approx([0.25, 0.2])


async def test_rows_add_up_by_owner_lane_and_task(shop):
    """Sums by owner, lane, task or plan have the same total; an unknown column is refused."""
    text, burnt, _ = shop.named
    await shop.materialize(text)
    await shop.serve(burnt, "x")
    await shop.close()
    rows = await shop.plugins[Ledger].costs(book())
    total = sum(row.usd for row in rows)
    for by in ("owner", "lane", "task", "plan"):
        assert sum(row.usd for row in summed(rows, by)) == pytest.approx(total)
    assert {row.owner for row in summed(rows, "owner")} >= {"content", "maths"}
    with pytest.raises(pb.BadInput, match="one of task"):
        summed(rows, "weekday")


async def test_what_processes_of_an_executor_spend_is_recorded(tmp_path, monkeypatch):
    """Each process of an executor records what its partition used before the partition is done."""
    (tmp_path / "spread_app.py").write_text(SPREAD.replace("FOLDER", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = await asyncio.to_thread(invoke, "spread_app", "materialize", "spread_app:app", "text", "--processes", "2")
    assert done.exit_code == 0, done.output
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        (found,) = connection.execute("SELECT SUM(calls), SUM(output) FROM hourly WHERE kind = 'tokens'")
    assert found == (60, 60_000)


async def test_a_damaged_ledger_is_no_empty_one(shop):
    """A damaged ledger is an error; it is not reported as no cost."""
    await shop.close()
    path = shop.plugins.settings(Ledger).path
    path.write_bytes(path.read_bytes()[:4096] + b"\xaa" * 40_000)
    with pytest.raises(pb.errors.StoreError, match="cannot be used"):
        await shop.plugins[Ledger].costs(book())


async def test_without_a_ledger_nothing_is_known(world):
    """An app without a ledger has no costs, and the error says how to get them."""
    with pytest.raises(pb.errors.DeclarationError, match=r"plugins=\[parbake_planner\."):
        await world.app(pb.Registry()).plugins[Ledger].costs()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu_hour": -1.0}, "cpu_hour"),
        ({"as_of": "2999-01-01"}, "future"),
        ({"serve": "free"}, "serve"),
        ({"generators": {"writer": {"provider": "maker", "model": "misspelt"}}}, "rates has no maker misspelt"),
    ],
)
def test_a_book_that_cannot_be_right_is_refused(tmp_path, change, words):
    """Negative prices, a date in the future, a price that is not a number and an unknown model are refused."""
    path = tmp_path / "book.json"
    path.write_text(json.dumps({"as_of": "2026-01-01", "cpu_hour": 0.04} | change))
    with pytest.raises(pb.BadInput, match=words):
        read_book(path, today=TODAY)


SPREAD = """
import parbake as pb
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.ports.generator import Usage
tasks = pb.Registry()

class Writer:
    name = "writer"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta("", Usage(uncached=10, output=1_000))

def names() -> list[str]:
    return [f"n{n}" for n in range(60)]

@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="text",
                refresh=pb.every("20m"), keys=names)
async def text(name: str, *, writer: pb.Resource[Generator]) -> str:
    return "".join([d.text async for d in writer.stream(Prompt(question=name), max_tokens=1, timeout_s=1)])

app = pb.App(tasks, store="lmdb://FOLDER/store", plugins=[Ledger("FOLDER/ledger.db"), Prompts()],
             resources={Generator: Writer()})
"""
MODULE = """
import parbake as pb
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner
tasks = pb.Registry()

def names() -> list[str]:
    return ["a", "b"]

@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="maths",
                refresh=pb.every("20m"), keys=names)
def burnt(name: str) -> int:
    return sum(range(100_000))

app = pb.App(tasks, store="lmdb://FOLDER/store", plugins=[Ledger("FOLDER/ledger.db"), Planner(), Prompts()])
"""


def test_the_command_shows_and_exports(tmp_path, monkeypatch):
    """``costs`` prints a table and writes CSV, Parquet and FOCUS; rows unread before the next run are waste."""
    (tmp_path / "costly_app.py").write_text(MODULE.replace("FOLDER", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)

    def run(*words):
        done = invoke("costly_app", *words)
        assert done.exit_code == 0, done.output
        return done.output

    run("materialize", "costly_app:app", "burnt")
    run("materialize", "costly_app:app", "burnt")
    shown = run("costs", "costly_app:app", "--csv", str(tmp_path / "c.csv"), "--parquet", str(tmp_path / "c.parquet"))
    assert "maths" in shown
    assert "2 rows" in shown
    with (tmp_path / "c.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["task"], row["lane"], row["rows"], row["wasted"]) == ("burnt", "batch", "4", "2")
    assert (tmp_path / "c.parquet").read_bytes()[:4] == b"PAR1"
    run("costs", "costly_app:app", "--focus", str(tmp_path / "focus.csv"))
    with (tmp_path / "focus.csv").open() as file:
        assert {row["x_Owner"] for row in csv.DictReader(file)} == {"maths"}
    assert "*" in run("costs", "costly_app:app", "--by", "owner")
