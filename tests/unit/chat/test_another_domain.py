"""A shop that sells no books: it is asked for its products, for what their pages say, and for its rules."""

import asyncio

import pytest
from tests.unit.chat.conftest import Desk

from parbake.testing import FakeClock
from parbake_semantic.embedder import Embedder
from retail_assistant import compose
from retail_assistant.importing import load_rows
from retail_assistant.settings import Settings
from retail_assistant.shop.trade import Trade

NOW = 1_790_000_000.0
SOLD = (
    ("P1", "Hand Trowel, Ash Handle", "Hand Tools", "Carbon steel blade 15 cm long. It rusts if it is put away wet."),
    ("P2", "Digging Spade, Forged", "Hand Tools", "Solid carbon steel head for trenching and heavy ground."),
    ("P3", "Iron Phosphate Slug Pellets", "Pest Control", "Slugs stop eating at once. Without poison for pets."),
    ("P4", "Snail Poison Granules", "Pest Control", "Strong poison against slugs and snails. Keep away from pets."),
    ("P5", "Window Bird Feeder", "Birds", "Sticks to the pane with suction cups. The tray holds 250 g."),
    ("P6", "Rain Barrel 210 L", "Watering", "Catches the rain from the roof. Stand and downpipe filler not included."),
    ("P7", "Garden Hose, 25 m", "Watering", "Does not kink, and withstands 24 bar."),
    ("P8", "Garden Hose, 50 m", "Watering", "Does not kink, and weighs 6 kg."),
    ("P9", "Fig Tree 'Brunswick'", "Fruit", "Hardy to -15 degrees against a south wall. Sap irritates the skin."),
    ("P10", "Waterproof Gloves", "Clothing", "Nitrile coated, for wet work in winter."),
    ("P11", "Cushion Bench, Small", "Furniture", "Cushion 4 cm thick, for one."),
    ("P12", "Cushion Bench, Large", "Furniture", "Cushion 9 cm thick, for three."),
)
RULES = """# Returns

## How long
You can return tools within 45 days.
## Refund
The money comes back within 6 days after a return.
## Deleting
Write to privacy@shop.example to delete it."""


@pytest.fixture(scope="module")
def garden(tmp_path_factory, embedder):
    """Return the folder of a garden shop with every task materialized."""
    folder = tmp_path_factory.mktemp("garden")
    products = [
        {"asin": asin, "title": title, "genre": genre, "description": said, "price": 10 + n, "quantity": 5}
        for n, (asin, title, genre, said) in enumerate(SOLD)
    ]
    orders = [{"number": "G-1", "shopper": "ida", "state": "shipped", "placed_at": NOW - 9}]
    tables = {
        "products": products, "policies": [{"id": "returns", "title": "Returns", "body": RULES}], "orders": orders,
        "shoppers": [{"id": "ida"}], "order_lines": [{"number": "G-1", "asin": "P10", "price": 19}],
    }  # fmt: skip
    words = Trade("garden tool", "garden tools", "garden shop")
    load_rows.load(tables, folder / "shop.db", words=words)

    async def prepare():
        app = compose.build(Settings(folder), clock=FakeClock(NOW))
        app.settings.resources[Embedder] = embedder
        await app.drain()
        await app.ops.run_due(only_missing=True)
        await app.close()

    asyncio.run(prepare())
    return folder


@pytest.fixture
async def desk(garden, embedder, monkeypatch):
    """Return the assistant over the garden shop; nothing is written to it."""
    monkeypatch.setattr("retail_assistant.settings.MiniLm", lambda **_: embedder)
    made = Desk(garden, compose.http_app(Settings(garden), clock=FakeClock(NOW)))
    await made.http.app.drain()
    for warm in made.http.warm[:2]:
        await warm()
    yield made
    await made.client.aclose()
    made.conn.close()
    made.shop.close()
    await made.http.app.close()


@pytest.mark.parametrize(
    ("message", "first"),
    [
        ("do you have a shovel?", "P2"),
        ("have you got something that collects water from the roof", "P6"),
        ("i want to feed the robins outside my flat", "P5"),
        ("gloves for wet work", "P10"),
    ],
)
async def test_products_are_found_by_meaning(desk, message, first):
    """What is asked for in other words than the products' texts have is found first."""
    _, made = await desk.ask(message)
    assert made["intent"] == "list"
    assert made["cards"][0]["asin"] == first


async def test_what_says_that_it_is_without_something_is_not_left_out(desk):
    """Who wants no poison is shown what says to be without it, and not what is made of it."""
    _, made = await desk.ask("do you have something against slugs without poison?")
    asins = [card["asin"] for card in made["cards"]]
    assert "P3" in asins
    assert "P4" not in asins


async def test_what_no_product_has_is_said_so(desk):
    """Where nothing has the words, the reply says so before it shows what is closest."""
    text, made = await desk.ask("do you have spades or shovels?")
    assert made["cards"][0]["asin"] == "P2"
    text, _ = await desk.ask("do you sell laptops?")
    assert text.startswith("I found nothing about")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (("does the hand trowel rust?",), "It rusts if it is put away wet."),
        (("what feeders for birds do you have?", "and what does the tray hold?"), "The tray holds 250 g."),
        (("is the fig tree hardy?",), "Hardy to -15 degrees"),
    ],
)
async def test_a_fact_is_told_from_the_products_own_page(desk, messages, said):
    """A question about one product, by its title or as the one spoken of, quotes what its page says."""
    *_, (text, made) = await desk.talk(*messages)
    assert made["intent"] == "facts"
    assert said in text


async def test_a_fact_that_the_page_does_not_state_is_not_made_up(desk):
    """What the page does not say is told as all that it says, with the present price and stock."""
    text, _ = await desk.ask("is the digging spade foldable?")
    assert "our page says this, and no more: Solid carbon steel head for trenching and heavy ground." in text
    assert "€11.00" in text


async def test_two_that_are_named_alike_are_not_mistaken(desk):
    """A name that two products share names neither of them, so both are shown."""
    _, made = await desk.ask("how much is the garden hose?")
    assert {"P7", "P8"} <= {card["asin"] for card in made["cards"]}, made


async def test_a_variant_is_told_by_what_names_it(desk):
    """Of several variants of a name, the one is told whose title has the word."""
    text, _ = await desk.ask("how thick is the cushion of the large cushion bench?")
    assert "9 cm" in text
    assert "4 cm" not in text


async def test_a_price_narrows_what_was_looked_for(desk):
    """A price that is named after a search leaves what was searched for as it is."""
    _, (text, made) = await desk.talk("anything against slugs?", "nothing over 12.50 though, money is tight")
    assert made["cards"][0]["asin"] == "P3", text
    assert "P4" not in [card["asin"] for card in made["cards"]]


@pytest.mark.parametrize("session", [{}, {"metadata": {"session": "s"}}])
async def test_what_is_added_to_a_search_goes_on_from_it(desk, session):
    """What a customer adds after a list is looked for together with it, also by another process."""
    replies = await desk.talk("do you have something against slugs?", "the pets must not be harmed though", **session)
    assert replies[1][1]["intent"] == "list"
    assert replies[1][1]["cards"][0]["asin"] == "P3"


async def test_two_goods_are_compared_by_their_pages(desk):
    """What two products are is told of both, where no price or number is asked for."""
    text, made = await desk.ask("what's the difference between the slug pellets and the snail poison?")
    assert {card["asin"] for card in made["cards"]} == {"P3", "P4"}
    assert "Without poison for pets." in text
    assert "Keep away from pets." in text


async def test_another_of_a_kind_is_called_one(desk):
    """What is called "the large one" is of the kind that was named before it."""
    _, made = await desk.ask("what's the difference between the small bench and the large one?")
    assert {card["asin"] for card in made["cards"]} == {"P11", "P12"}


async def test_a_size_says_which_variant_is_meant(desk):
    """Where only the size tells two products apart, the one of the named size is told of, alone."""
    _, made = await desk.ask("how much is the cushion bench in large?")
    assert [card["asin"] for card in made["cards"]] == ["P12"]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (("is this waterproof",), "Catches the rain from the roof."),
        (("can i send tools back?", "does it come with a stand?"), "Stand and downpipe filler not included."),
    ],
)
async def test_what_no_rule_states_is_asked_of_the_open_page(desk, messages, said):
    """On a product's page, a question that no rule answers is one of that product, also after one of a rule."""
    *_, (text, made) = await desk.talk(*messages, metadata={"page": "P6"})
    assert made["intent"] == "facts"
    assert said in text


async def test_a_policy_as_a_whole_is_told_from_its_beginning(desk):
    """Who asks for the rules of something and for nothing else is told what the policy on it begins with."""
    text, _ = await desk.ask("what is your return policy?")
    assert "within 45 days" in text


async def test_a_rule_is_told_on_an_open_page(desk):
    """A question that a rule answers is answered by it, whatever page is open."""
    text, _ = await desk.ask("until when can i send this back?", metadata={"page": "P1"})
    assert "within 45 days" in text


async def test_what_points_after_a_list_is_asked_of_its_first(desk):
    """After a list that is only close to what was looked for, a question that points at one is of the first."""
    members = {"metadata": {"session": "s"}}
    (_, listed), (text, made) = await desk.talk("i need something to dig a deep trench", "is it heavy?", **members)
    assert listed["cards"][0]["asin"] == "P2"
    assert [card["asin"] for card in made["cards"]] == ["P2"]
    assert "Solid carbon steel head" in text


async def test_the_other_size_of_the_open_product_is_told_of(desk):
    """Who asks on a product's page for a size that only another one has is told of that one."""
    text, made = await desk.ask("how much does the 50 m one weigh?", metadata={"page": "P7"})
    assert [card["asin"] for card in made["cards"]] == ["P8"]
    assert "weighs 6 kg" in text


async def test_the_sizes_of_one_product_are_compared(desk):
    """Two sizes of one product are compared by their pages, and both are spoken of where a question asks of each."""
    (text, made), (each, _) = await desk.talk(
        "what's the difference between the two cushion benches?", "how thick are they?"
    )
    assert {card["asin"] for card in made["cards"]} == {"P11", "P12"}
    for told in (text, each):
        assert "4 cm" in told
        assert "9 cm" in told


async def test_what_is_most_of_several_is_told_by_their_pages(desk):
    """Which of those that were shown is the most of something is answered by what the page of each says."""
    _, (text, made) = await desk.talk("do you have something against slugs?", "which of those is safest for the dog?")
    assert made["intent"] == "compare"
    assert "Without poison for pets." in text


async def test_a_product_without_reviews_is_told_of_by_its_page(desk):
    """Where nobody has written a review, the reply says so, and what the page says."""
    text, _ = await desk.ask("is the window bird feeder any good?")
    assert "has no reviews yet. Our page says: Sticks to the pane" in text


async def test_an_order_that_is_named_is_asked_about_after_signing_in(desk):
    """Who names an order is told to sign in, and no rule that has the same words."""
    text, made = await desk.ask("where is my order G-4711")
    assert made["intent"] == "orders"
    assert "sign" in text


async def test_the_closest_rule_is_quoted_where_none_states_what_is_asked(desk):
    """A reply that no rule states what is asked quotes the closest one, so that the shopper sees what that states."""
    text, made = await desk.ask("how much does it cost to send a tool back?")
    assert made["intent"] == "policy"
    assert text.startswith("Our policies do not state exactly that. The closest that I find is \u201cHow long")


@pytest.mark.parametrize("message", ["ok bye then", "great thank u so much!!", "ta very much thats me sorted"])
async def test_thanks_are_no_search(desk, message):
    """Thanks and a goodbye after a list are answered as such."""
    replies = await desk.talk("do you have a shovel?", message)
    assert replies[1][1]["intent"] == "social"


async def test_rules_are_told_as_rules(desk):
    """What is nearer to a policy than to any product is answered by the policy."""
    text, made = await desk.ask("how long can I send a tool back?")
    assert (made["intent"], "45 days" in text) == ("policy", True)


async def test_an_order_is_found_by_what_is_in_it(desk):
    """What a shopper calls theirs is looked for in their own orders."""
    text, made = await desk.ask("what is happening with the gloves i ordered", user="ida")
    assert (made["intent"], "G-1" in text) == ("orders", True)


async def test_the_shop_speaks_of_what_it_sells(desk):
    """Greetings and refusals have the shop's own word for its goods."""
    text, _ = await desk.ask("hello")
    assert "garden tools" in text
    assert "book" not in text
