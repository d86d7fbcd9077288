"""Talks about books in which a search finds nothing, a list is changed, or two books are compared."""

import pytest
from tests.unit.chat.conftest import NOW

from retail_assistant.shop import records
from retail_assistant.shop.finding import Conditions

NILS, GATE = "An Apron for Nils", "Escape of Silver Gate"


def shown(desk, made):
    """Return the products of a reply."""
    return desk.shop.offers([card["asin"] for card in made["cards"]])


@pytest.fixture
def without_promotions(desk):
    """End every promotion."""
    desk.conn.execute("DELETE FROM promotions")


async def test_what_is_left_out_is_named_where_nothing_fits(desk):
    """An author who writes cooking books alone is not denied: the reply names what was left out."""
    text, _ = await desk.ask("what have you got by Petra Sato that isn't about cooking?")
    assert text.startswith("I found no books by Petra Sato without cooking in stock.")


@pytest.mark.parametrize("answer", ["yes", "ok show me those", "yes please, show me those without the price limit"])
async def test_who_accepts_what_was_offered_gets_it(desk, without_promotions, answer):
    """A yes to books without the price limit shows them, by the author who was asked for."""
    replies = await desk.talk("books by Petra Sato under 1 euro", answer)
    assert "Without that price limit there would be some" in replies[0][0]
    assert {o.product.author for o in shown(desk, replies[1][1])} == {"Petra Sato"}


async def test_the_same_refusal_is_not_said_twice(desk, without_promotions):
    """A search that goes on from one without result gives up what stands in the way, and says so."""
    replies = await desk.talk("books by Petra Sato under 1 euro", "hm, in digital then")
    assert replies[1][0].startswith("Without that price limit I found:")
    assert shown(desk, replies[1][1])


async def test_a_price_limit_counts_what_is_paid(desk, without_promotions):
    """Where no price is low enough, what a promotion brings below the limit is shown with what is paid."""
    desk.conn.execute("UPDATE prices SET cents = 1000")
    records.put_promotion(
        desk.conn, "p", title="Cooking week: 60 % off", category="cooking", percent=60, starts_at=NOW - 9,
        ends_at=NOW + 999,
    )  # fmt: skip
    text, made = await desk.ask("books by Petra Sato up to 5 euros")
    assert text.startswith("I found no books by Petra Sato up to €5.00 in stock without a promotion.")
    assert "€4.00 with 60 % off €10.00" in text
    assert shown(desk, made)
    text, _ = await desk.ask("books by Petra Sato up to 3 euros")
    assert text.startswith("I found no books by Petra Sato up to €3.00")


async def test_another_theme_replaces_the_one_before(desk):
    """Who asks for another theme after a list wants that one, and not both."""
    replies = await desk.talk("books about kitchens", "something about letters then")
    themes = desk.shop.with_words(["letters"])
    assert all(o.asin in themes for o in shown(desk, replies[1][1]))


async def test_books_with_one_of_two_themes_are_shown_as_such(desk):
    """If no book has both themes, those with one of them are shown, and the reply says that none has both."""
    themes = {one: desk.shop.with_words([one]) for one in ("apron", "escape")}
    assert all(themes.values())
    assert not set.intersection(*themes.values())
    text, made = await desk.ask("books about apron and escape")
    assert text.startswith("None is about apron and escape together")
    assert all(o.asin in themes["apron"] | themes["escape"] for o in shown(desk, made))


@pytest.mark.parametrize("message", ["do you sell lego?", "stephen king?"])
async def test_what_is_not_sold_is_said_so(desk, message):
    """Words that nothing in the shop has get a plain no, and no policy."""
    text, made = await desk.ask(message)
    assert text.startswith("I found nothing about")
    assert made["intent"] == "list"


async def test_a_comparison_goes_on(desk):
    """Which after a comparison compares the same two books by what is asked, or says that it is not stated."""
    replies = await desk.talk(
        f"compare {NILS} 1 and {GATE} 1", "which is scarier?", "which has the better reviews?",
        "and which is cheaper to collect completely?",
    )  # fmt: skip
    texts = [text for text, _ in replies]
    assert texts[1] == "Our pages do not state which is scarier."
    assert NILS in texts[2]
    assert GATE in texts[2]
    assert "volumes of" in texts[3]


async def test_what_is_sold_out_is_not_promised_back(desk):
    """Asked when a book will be back, the reply says that no page states it."""
    offer = desk.shop.find(Conditions(titles=[NILS], volume=1))[0]
    records.set_inventory(desk.conn, offer.asin, 0)
    text, _ = await desk.ask(f"when will {NILS} 1 be back in stock?")
    assert "do not state when it will be back" in text


async def test_the_volume_after_a_number_is_the_next_one(desk):
    """The volume after 2 is the third, whatever the last one is."""
    text, _ = await desk.ask(f"which volume of {GATE} comes after 2?")
    assert "Vol. 3" in text


async def test_promotions_are_talked_about(desk):
    """The best of the promotions is named; when that of a genre ends, and whether it needs a code, goes on from it."""
    records.put_promotion(
        desk.conn, "p", title="Cooking week: 60 % off", category="cooking", percent=60, starts_at=NOW - 9,
        ends_at=NOW + 999,
    )  # fmt: skip
    await desk.http.app.drain()
    await desk.http.app.ops.run_due()
    replies = await desk.talk(
        "any deals today?",
        "which is the biggest discount?",
        "when does the cooking one end?",
        "do I need a code for it?",
    )
    assert "Cooking week" in replies[1][0]
    assert "until" in replies[2][0]
    assert "code" in replies[3][0]


async def test_a_wish_is_taken_back(desk):
    """The message "it doesn't have to be a thriller" drops the genre, and neither wants nor refuses it."""
    messages = ("a thriller as paperback under 50 euros", "it doesn't have to be a thriller")
    replies = await desk.talk(*messages, "show me something else")
    shown = [{o.product.genre for o in desk.shop.offers(c["asin"] for c in made["cards"])} for _, made in replies]
    assert shown[0] == {"thriller"}
    assert (shown[1] | shown[2]) - {"thriller"}


async def test_nothing_over_a_price_is_an_upper_limit(desk):
    """The message "nothing over 8" limits the price from above."""
    _, made = (await desk.talk("thrillers", "nothing over 8 tho"))[-1]
    asins = [card["asin"] for card in made["cards"]]
    paid = desk.shop.shoppers.charges("somebody", asins, now=NOW)
    assert asins
    assert all(charge.cents <= 800 for charge in paid.values())


async def test_the_cheapest_is_what_costs_least_now(desk):
    """The cheapest books come in the order of what is paid for them, promotions taken off."""
    _, made = await desk.ask("what are the cheapest books?")
    asins = [card["asin"] for card in made["cards"]]
    paid = desk.shop.shoppers.charges("somebody", asins, now=NOW)
    cents = [paid[asin].cents for asin in asins]
    everything = desk.shop.shoppers.charges("somebody", [o.asin for o in desk.shop.find(Conditions())], now=NOW)
    assert cents == sorted(cents)
    assert cents[0] == min(charge.cents for charge in everything.values())


async def test_a_question_of_those_stays_within_them(desk):
    """The message "the cheapest of those" is one of the books that were shown, in any of their editions."""
    replies = await desk.talk("recommend me thrillers", "the cheapest of those?")
    lines = [{o.product.line for o in desk.shop.offers(c["asin"] for c in made["cards"])} for _, made in replies]
    assert lines[1]
    assert lines[1] <= lines[0]


async def test_a_book_that_starts_a_series_is_a_first_volume(desk):
    """Who wants the start of a series is shown first volumes only."""
    _, made = await desk.ask("a thriller that starts a series")
    assert {o.product.volume for o in desk.shop.offers(c["asin"] for c in made["cards"])} == {1}
