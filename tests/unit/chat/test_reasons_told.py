"""Recommendations say why: with what the shopper bought or looks at, and only where the catalog bears it out."""

import pytest

from retail_assistant.answers.phrases import listed
from retail_assistant.answers.why import told, untold
from retail_assistant.chat.spoken.evidence import Evidence, put
from retail_assistant.chat.tools import ToolResult
from retail_assistant.recs.reasons import Reason
from retail_assistant.shop import records
from retail_assistant.shop.finding import Conditions

NOW = 1_790_000_000.0


@pytest.fixture
def pair(desk):
    """Return two products on sale by one author, of different lines."""
    offers = desk.shop.find(Conditions())
    return next(
        (one, other)
        for one in offers
        for other in offers
        if one.product.author == other.product.author and one.product.line != other.product.line
    )


def test_a_reason_names_what_it_rests_on(desk, pair):
    """The author is named with the purchase; what another product shares with it is said shortly."""
    one, other = pair
    found = {one.asin: Reason("author", other.asin)}
    slot = f"{{{{ordered:{other.asin}}}}}"
    assert told(found, [one], desk.shop) == {
        one.asin: f"by {one.product.author}, like {slot}, which you bought",
    }
    found = {one.asin: Reason("popular"), other.asin: Reason("popular")}
    assert told(found, [one, other], desk.shop) == {
        one.asin: "bought by many lately",
        other.asin: "also bought by many lately",
    }


@pytest.mark.parametrize("kind", ["next", "series", "author", "genre", "page_author", "page_genre"])
def test_a_reason_that_does_not_hold_any_more_is_not_told(desk, pair, kind):
    """If the catalog has changed since the model was trained, the reason is left out."""
    one, other = pair
    records.put_product(desk.conn, other.asin, author="Somebody Else", genre="something else", series="", now=NOW)
    assert told({one.asin: Reason(kind, other.asin)}, [one], desk.shop) == {}
    assert told({one.asin: Reason(kind, "NOPE")}, [one], desk.shop) == {}


async def test_recommendations_for_a_page_say_why(desk):
    """On a product's page, the reply says what it shares with what is recommended, and shows that alone as cards."""
    page = desk.product()
    text, made = await desk.ask("recommend me something", user="u00003", metadata={"page": page.asin})
    assert f"{page.title}, which you are looking at" in text
    assert page.asin not in {card["asin"] for card in made["cards"]}


async def test_a_reason_is_not_taken_for_what_was_shown(desk):
    """Read out of its messages, a conversation has the products that were recommended, and not those of the reasons."""
    page = desk.product()
    given = {"user": "u00003", "metadata": {"page": page.asin}}
    first, second = await desk.talk("recommend me something", "tell me more about the second one", **given)
    assert second[1]["cards"][0]["asin"] == first[1]["cards"][1]["asin"]


def test_reasons_are_cut_out_of_a_reply():
    """A reason is cut where it stands behind a product; other words in the reply stay."""
    reply = "You might like: T (print, €5.00): by A, like Other (new), Vol. 2, which you bought. U (digital, €1.00)."
    assert untold(reply) == "You might like: T (print, €5.00). U (digital, €1.00)."
    reply = "T (print, €5.00): bought by many lately. U (digital, €1.00): by A, like V (new), which you bought."
    assert untold(reply) == "T (print, €5.00): bought by many lately. U (digital, €1.00)."


async def test_suggestions_of_a_page_say_why(desk):
    """The suggestions beside a product have a reason for what shares its author or genre."""
    page = desk.product()
    answer = await desk.client.get(f"/shop/products/{page.asin}/suggestions", params={"user": "u00003"})
    found = answer.json()
    assert found["why"]
    assert all("{{" not in why for why in found["why"].values())
    assert found["why"].keys() <= {item["asin"] for item in found["products"]}


async def test_a_model_reads_the_reason_of_an_item_and_places_it_without(desk, pair):
    """A recommended product is an item with its reason behind it; where the model places it, the reason is not told."""
    one, other = pair
    slot = f"{{{{ordered:{other.asin}}}}}"
    said = listed([one], why={one.asin: f"by {one.product.author}, like {slot}, which you bought"})
    evidence = Evidence(desk.shop, lambda _: {})
    result = ToolResult(said, (one.asin,), (f"product/{one.asin}",), stated=(said,), kind="list")
    line = evidence.add(result)
    (item,) = evidence.find("r1.1")
    assert item.asin == one.asin
    assert f"Why: by {one.product.author}, like {other.product.title}, which you bought" in line
    assert put(item, desk.shop).endswith(")")


async def test_a_list_has_its_first_words_apart_and_reasons_on_its_cards(desk):
    """Whoever shows the cards needs only the first words of the text, and the cards have the reasons that it names."""
    text, made = await desk.ask("Can you recommend me something?", user="u00003")
    assert made["lead"]
    assert text.startswith(made["lead"])
    assert all(card["title"] in text and card["why"] in text for card in made["cards"])
    priced, alone = await desk.ask("What does it cost?", metadata={"page": desk.product().asin})
    assert priced
    assert alone["lead"] == ""
