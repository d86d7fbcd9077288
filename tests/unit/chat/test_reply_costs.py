"""What a reply costs by the book that ``BOOK`` names, and what has no price."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

import parbake as pb
from parbake_llm.testing import ProviderBox
from parbake_planner import CostBook, Ledger
from parbake_planner.ledger.costs import EXAMPLE
from retail_assistant.compose import generator
from retail_assistant.settings import SHIPPED_BOOK, Settings, from_environment

from .conftest import CHAT

QUESTION = "Tell me something about that, would you?"
"""A question that neither the bank nor a rule answers."""
GUIDE = Path(__file__).parents[3] / "docs/howto/costs.md"
SHIPPED = from_environment({"BOOK": "example"}).book


def test_the_variable_names_a_file_or_the_prices_that_ship(tmp_path):
    """A file and the shipped example are read, and without the variable only CPU time has a price."""
    mine = tmp_path / "prices.json"
    mine.write_bytes(msgspec.json.encode(CostBook(as_of=EXAMPLE.as_of, cpu_hour=7.0)))
    assert from_environment({"BOOK": str(mine)}).book.cpu_hour == 7
    assert from_environment({"BOOK": "example"}).book == msgspec.json.decode(SHIPPED_BOOK.read_bytes(), type=CostBook)
    assert from_environment({"BOOK": ""}).book is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "truncated"),
        ('{"as_of": "2026-11-01"}', "cpu_hour"),
        ('{"as_of": "2999-01-01", "cpu_hour": 1}', "in the future"),
        ('{"as_of": "2026-11-01", "cpu_hour": -1}', "must not be negative"),
        ('{"as_of": "2026-11-01", "cpu_hour": 1, "generators": {"a": {"provider": "b", "model": "c"}}}', "no b c"),
    ],
)
def test_a_book_that_cannot_be_used_is_named_at_the_start(tmp_path, text, said):
    """A missing or invalid file is refused by the name of the variable, with the reason and what to do."""
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(pb.BadInput, match=said) as caught:
        from_environment({"BOOK": str(path)})
    assert caught.value.field == "BOOK"
    assert str(caught.value).startswith(f"BOOK={path}: ")
    assert "set BOOK=example" in str(caught.value)
    assert "--" not in str(caught.value)


def test_the_shipped_prices_are_those_of_the_guide():
    """Each shipped rate stands in the guide's book, and each generator is priced by the model in its name."""
    (guide,) = re.findall(r'```json\n(\{"as_of": "2026-11-20".*?)```', GUIDE.read_text(), re.DOTALL)
    known = msgspec.json.decode(guide, type=CostBook)
    assert SHIPPED.as_of == known.as_of
    assert set(SHIPPED.rates) <= set(known.rates)
    for name, offer in SHIPPED.generators.items():
        assert name == f"{offer.provider}:{offer.model}"


@pytest.fixture
def box(monkeypatch):
    """Return a provider in a box that the environment names, without a model."""
    with ProviderBox() as found:
        monkeypatch.setenv("OPENAI_API_KEY", found.key)
        monkeypatch.setenv("OPENAI_BASE_URL", found.openai_url)
        found.reply(lambda _: "[returns#return-window]")
        yield found


async def asked(opened, monkeypatch, model):
    """Return the details of a reply that a model of a provider has made, at the shipped prices."""
    monkeypatch.setenv("OPENAI_MODEL", model)
    desk = await opened(generator(Settings(Path(), llm="openai")), llm="openai", book=SHIPPED)
    message = {"role": "user", "content": QUESTION}
    told = (await desk.client.post(CHAT, json={"messages": [message]})).json()
    made = told["parbake"] | {"tokens": told["usage"]}
    assert made["generators"] == [f"openai:{model}"]
    await asyncio.to_thread(desk.http.app.plugins[Ledger].file.settle)
    listed = (await desk.client.get("/v1/costs")).json()["costs"]
    return made, ", ".join(row["unpriced"] for row in listed)


async def test_a_priced_model_shows_what_its_reply_costs(opened, box, monkeypatch):
    """The cost of a reply is that of its tokens at the model's rate of the day, and of a little CPU time."""
    made, unpriced = await asked(opened, monkeypatch, "gpt-5.6-terra")
    (sent,) = box.requests
    used, output = sent.usage, made["tokens"]["completion_tokens"]
    tokens = (used.uncached + 0.1 * used.read + 1.25 * used.written) * 2.0 / 1e6 + output * 12.0 / 1e6
    assert tokens < made["cost_usd"] < tokens + 0.001
    assert "tokens" not in unpriced


async def test_an_unpriced_model_shows_that_the_cost_is_not_known(opened, box, monkeypatch):
    """The cost of a reply whose tokens have no price is null, never 0, and the table of costs names them."""
    made, unpriced = await asked(opened, monkeypatch, "another")
    assert box.requests
    assert made["cost_usd"] is None
    assert "tokens of openai:another" in unpriced


@pytest.mark.parametrize("book", [None, SHIPPED], ids=["default", "example"])
async def test_a_reply_by_rules_has_a_known_cost(opened, book):
    """A reply without a model costs CPU time, which both the default and the shipped book price."""
    desk = await opened(book=book)
    for message in ("What is your return window?", "how many points do I have?", "something for my aunt"):
        _, made = await desk.ask(message, user="u00003")
        assert made["generators"] == []
        assert 0 < made["cost_usd"] < 0.001
