"""Answers by their id: what is recorded of them, what they cost, and the effect of a complaint."""

import asyncio
import contextlib
import datetime as dt
import sqlite3

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.http import HttpApp
from parbake.ports.usage import Usage
from parbake.process.threads import THREADS
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_planner import Ledger
from parbake_planner.ledger.answers import COMPLAINTS_AN_HOUR
from parbake_planner.ledger.costs import CostBook, Offer
from parbake_planner.ledger.rows import ANSWERS_DAYS_KEPT
from parbake_planner.prices import Rate

TOKEN = "correct-horse-battery"
BOOK = CostBook(
    as_of=dt.date(2026, 11, 1),
    cpu_hour=3600.0,
    rates=(Rate(provider="p", model="m", since=dt.date(2020, 1, 1), input=1.0, output=10.0, cache_read=0.1),),
    generators={"priced": Offer(provider="p", model="m")},
)


class Model:
    """A generator that yields the token usages it was given, or none."""

    def __init__(self, name, *usages):
        self.name = name
        self.usages = usages

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta(prompt.question)
        for usage in self.usages:
            yield Delta("", usage)


class Sink:
    """Keeps the alerts that it was sent."""

    def __init__(self):
        self.alerts = []

    async def send(self, alert):
        self.alerts.append(alert)


class Shop:
    """An app with stored and live tasks, its alert sink and its world."""

    def __init__(self, world, folder, generator, **options):
        tasks = pb.Registry()

        @tasks.artifact(**contract())
        def fact(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.live(why="words each message")
        async def wording(*, text: pb.Live[str], generator: pb.Resource[Generator]) -> str:
            prompt = Prompt(question=text)
            return "".join([d.text async for d in generator.stream(prompt, max_tokens=9, timeout_s=9)])

        @tasks.artifact(**contract())
        async def worded(
            key: str, *, facts: pb.Reader[str, str] = pb.Input(fact), generator: pb.Resource[Generator]
        ) -> str:
            prompt = Prompt(question=(await facts.get(key)).value)
            return "".join([d.text async for d in generator.stream(prompt, max_tokens=9, timeout_s=9)])

        self.world, self.fact, self.wording, self.sink = world, fact, wording, Sink()
        self.worded = worded
        settings = {"ledger": folder / "ledger.sqlite", "alerts": [self.sink], "book": BOOK} | options
        self.app = world.app(tasks, resources={Generator: generator}, **settings)

    async def answer(self, key="a", *, text=None, worded=None, sources=("fact/a",), **members):
        """Answer once, and return the record of the answer."""
        async with self.app.request() as scope:
            await self.app.serve(self.fact, key)
            if worded is not None:
                await self.app.serve(self.worded, worded)
            if text is not None:
                await self.app.serve(self.wording, text=text)
        return self.app.plugins[Ledger].answers.note(scope, sources=sources, lane="event", **members)

    def client(self, **options):
        """Return a client of this app over HTTP."""
        transport = httpx.ASGITransport(HttpApp(self.app, token=TOKEN))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", **options)


@pytest.fixture
def place():
    """Return the settings that name the ledger; by default it is in the folder of the test."""
    return {}


@pytest.fixture
async def opening(world, tmp_path, place):
    """Return a function that opens a shop with a generator; every shop is closed at the end."""
    opened = []
    world.put("a", "one")
    world.put("b", "two")

    async def open_(generator=None, **options):
        shop = Shop(world, tmp_path, generator or Model("priced", Usage(uncached=100, output=10)), **place | options)
        opened.append(shop)
        await shop.app.drain()
        return shop

    yield open_
    for shop in opened:
        await shop.app.close()


async def test_an_answer_is_found_by_its_id(opening):
    """The record of an answer has tasks, stamps, sources and refusals, but not the text of the question."""
    shop = await opening()
    made = await shop.answer(text="my secret question", subject="returns", refusals=("stale",))
    assert len(made.id) == 32
    assert await shop.app.plugins[Ledger].answers.find(made.id) == made
    async with shop.client() as client:
        told = await client.get(f"/v1/answers/{made.id}")
        assert told.status_code == 200, told.text
        assert "secret" not in told.text
        document = told.json()
        assert [step["task"] for step in document["steps"]] == ["fact", "wording"]
        assert all(step["stamp"] for step in document["steps"])
        assert (document["sources"], document["subject"], document["lane"]) == (["fact/a"], "returns", "event")
        assert document["refusals"] == ["stale"]
        for unknown, status in (("0" * 32, 404), ("x" * 200, 422), ("é", 422)):
            assert (await client.get(f"/v1/answers/{unknown}")).status_code == status


async def test_an_answer_costs_what_its_computations_and_tokens_do(opening):
    """The cost has CPU seconds and tokens at the book's prices; an answer from the store costs nothing."""
    shop = await opening(Model("priced", Usage(uncached=500, output=100, cache_read=500)))
    made = await shop.answer(text="x")
    assert made.usage == Usage(uncached=500, output=100, cache_read=500)
    tokens = (500 * 1.0 + 500 * 0.1 + 100 * 10.0) / 1e6
    assert tokens < made.cost_usd < tokens + 1.0  # a CPU second is a dollar here
    again = await shop.answer()
    assert again.usage == Usage(uncached=0, output=0)
    assert again.cost_usd == 0.0


async def test_what_was_computed_and_stored_for_an_answer_is_in_its_cost(opening):
    """Computing an artifact counts for the answer that computed it, not for one that finds it stored."""
    shop = await opening(Model("priced", Usage(uncached=1000, output=100)))
    first = await shop.answer(worded="a")
    again = await shop.answer(worded="a")
    assert (first.usage, again.usage) == (Usage(uncached=1000, output=100), Usage(uncached=0, output=0))
    assert first.cost_usd > 1000 / 1e6
    assert again.cost_usd == 0.0


@pytest.mark.parametrize(
    ("model", "is_used_known"),
    [(Model("priced"), False), (Model("unpriced", Usage(uncached=1, output=1)), True)],
)
async def test_what_has_no_price_or_no_count_is_not_called_free(opening, model, is_used_known):
    """Without reported tokens, usage and cost are ``None``; without a price for the generator, the cost is."""
    made = await (await opening(model)).answer(text="x")
    assert made.cost_usd is None
    assert (made.usage is not None) == is_used_known


async def test_a_complaint_has_what_the_answer_states_computed_again(opening):
    """The first complaint touches the answer's sources and alerts the owner; a second one changes nothing."""
    shop = await opening()
    made = await shop.answer()
    before = (await shop.app.serve(shop.fact, "a")).stamp
    async with shop.client() as client:
        told = await client.post("/v1/feedback", json={"answer_id": made.id, "reason": "told\x1b[2J old"})
        assert told.status_code == 202, told.text
        assert (told.json()["effect"], told.json()["touched"]) == ("computed again", ["fact/a"])
        assert told.json()["ticket"]
        stamp = await shop.app.stamp()
        again = await client.post("/v1/feedback", json={"answer_id": made.id})
    assert (again.status_code, again.json()["effect"]) == (202, "complained of before")
    assert await shop.app.stamp() == stamp
    assert (await shop.app.serve(shop.fact, "a")).stamp > before
    assert await shop.app.ops.quarantined() == {}
    (alert,) = shop.sink.alerts
    assert (alert.kind, alert.task, alert.owner) == ("complained", "fact", "team")
    assert "told [2J old" in alert.message


async def test_a_complaint_that_could_not_take_effect_can_be_made_again(opening, monkeypatch):
    """A complaint that failed on the store is not recorded, so the next try touches the sources."""
    shop = await opening()
    made = await shop.answer()

    async def away(_):
        raise pb.errors.StoreError("away", field="store")

    with monkeypatch.context() as failing:
        failing.setattr(shop.app.plugins[Ledger].answers, "_touch", away)
        with pytest.raises(pb.errors.StoreError, match="away"):
            await shop.app.plugins[Ledger].answers.complain(made.id, "wrong")
    assert (await shop.app.plugins[Ledger].answers.complain(made.id, "wrong")).effect == "computed again"


async def test_complaints_of_a_task_have_a_bound_by_the_hour(opening):
    """Beyond the hourly limit nothing is recomputed and the owner gets one alert; an hour later complaints count."""
    shop = await opening()
    ids = [(await shop.answer()).id for _ in range(COMPLAINTS_AN_HOUR + 3)]
    effects = [(await shop.app.plugins[Ledger].answers.complain(one, "wrong")).effect for one in ids[:-1]]
    assert effects == ["computed again"] * COMPLAINTS_AN_HOUR + ["too many complaints"] * 2
    assert [alert.kind for alert in shop.sink.alerts] == ["complained"] * COMPLAINTS_AN_HOUR + ["held_back"]
    shop.world.clock.advance(3601)
    assert (await shop.app.plugins[Ledger].answers.complain(ids[-1], "wrong")).effect == "computed again"


async def test_answers_of_one_file_are_known_to_every_process_that_shares_it(opening):
    """An app finds the answer of another app with the same ledger, and a complaint counts once for both."""
    shop, other = await opening(), await opening()
    made = await shop.answer()
    shop.app.plugins[Ledger].file.settle()
    assert (await other.app.plugins[Ledger].answers.find(made.id)).id == made.id
    results = await asyncio.gather(*(one.app.plugins[Ledger].answers.complain(made.id, "") for one in (shop, other)))
    assert sorted(result.effect for result in results) == ["complained of before", "computed again"]


async def test_an_answer_without_a_source_is_noted(opening):
    """A complaint about an answer without sources recomputes nothing; the owner gets one alert."""
    shop = await opening()
    made = await shop.answer(sources=())
    assert (await shop.app.plugins[Ledger].answers.complain(made.id, "")).effect == "noted"
    assert [alert.kind for alert in shop.sink.alerts] == ["complained"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"sources": "fact/a"}, "sources"),
        ({"sources": ["nonsense/a"]}, "sources"),
        ({"sources": ["fact/{name}"]}, "sources"),
        ({"sources": [5]}, "sources"),
        ({"sources": ["fact/"]}, "sources"),
        ({"answer_id": "short"}, "answer_id"),
        ({"answer_id": 5}, "answer_id"),
    ],
)
async def test_an_answer_is_noted_with_tags_that_can_be_touched(opening, members, field):
    """A source that is not a valid tag, or an invalid id, is refused when the answer is recorded."""
    shop = await opening()
    with pytest.raises(pb.BadInput) as refused:
        await shop.answer(**members)
    assert refused.value.field == field


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_only_operators_complain_of_a_whole_task(opening, token):
    """A complaint about a task gets 401 without the operator's token; with it the task is quarantined."""
    shop = await opening()
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with shop.client(headers=headers) as client:
        told = await client.post("/v1/feedback", json={"task": "fact", "reason": "old"})
    assert told.status_code == (401 if token is None else 202)
    assert set(await shop.app.ops.quarantined()) == (set() if token is None else {"fact"})


@pytest.mark.parametrize("body", [{}, {"task": "fact", "answer_id": "0" * 32}, {"answer_id": "no id"}])
async def test_a_complaint_names_one_thing(opening, body):
    """A complaint must name either a task or a valid answer id; neither, both or an invalid id gets 422."""
    async with (await opening()).client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        told = await client.post("/v1/feedback", json=body)
    assert (told.status_code, told.json()["field"]) == (422, "answer_id")


async def test_an_app_without_a_ledger_keeps_no_answers(world):
    """A complaint about an answer is refused with 404 if no plugin records answers."""
    served = HttpApp(world.app(pb.Registry()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://127.0.0.1") as client:
        told = await client.post("/v1/feedback", json={"answer_id": "0" * 32})
    assert (told.status_code, told.json()["type"]) == (404, "urn:parbake:unknown-resource")


async def test_a_ledger_that_was_deleted_is_begun_again(opening, tmp_path):
    """After the ledger's file was deleted old answers are lost, and new ones are recorded in a new file."""
    shop = await opening()
    gone = await shop.answer()
    shop.app.plugins[Ledger].file.settle()
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    with pytest.raises(pb.errors.StoreError):
        await shop.app.plugins[Ledger].answers.find(gone.id)
    made = await shop.answer()
    assert (await shop.app.plugins[Ledger].answers.find(made.id)).id == made.id
    with pytest.raises(pb.errors.UnknownResource):
        await shop.app.plugins[Ledger].answers.find(gone.id)


async def test_a_ledger_that_is_locked_holds_up_nobody_else(opening, tmp_path, monkeypatch):
    """While the file is locked, many complaints at once do not block other threads' work; one has an effect."""
    monkeypatch.setattr("parbake_planner.ledger.answer_table.SETTLE_S", 2 * HANGS_S)
    shop = await opening()
    made = await shop.answer()
    shop.app.plugins[Ledger].file.settle()
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asking = [
            asyncio.create_task(shop.app.plugins[Ledger].answers.complain(made.id, "")) for _ in range(3 * THREADS)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(HANGS_S):
            assert await asyncio.to_thread(lambda: 7) == 7
        other.execute("ROLLBACK")
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(getattr(one, "effect", "") == "computed again" for one in results) == 1


async def test_old_answers_are_forgotten(opening, monkeypatch):
    """Answers past the retention time, or beyond the maximum number, are deleted; the newest are kept."""
    monkeypatch.setattr("parbake_planner.ledger.ledger_writer.TRIM_EVERY", 1)
    monkeypatch.setattr("parbake_planner.ledger.ledger_writer.TRIM_AT", 0)
    monkeypatch.setattr("parbake_planner.ledger.rows.ANSWERS_KEPT", 2)
    shop = await opening()
    old = await shop.answer()
    shop.app.plugins[Ledger].file.settle()
    shop.world.clock.advance(ANSWERS_DAYS_KEPT * 86_400 + 1)
    made = []
    for _ in range(4):
        made.append(await shop.answer())
        shop.world.clock.advance(1)
    shop.app.plugins[Ledger].file.settle()
    kept = []
    for one in [old, *made]:
        try:
            kept.append((await shop.app.plugins[Ledger].answers.find(one.id)).id)
        except pb.errors.UnknownResource:
            continue
    assert kept == [one.id for one in made[-2:]]
