"""Several volumes of one title in one wish."""

import pytest

from retail_assistant.shop.finding import Conditions

ME = "u00003"
GATE = "Escape of Silver Gate"


def shown(desk, made):
    """Return the volumes of a reply's cards."""
    return [o.product.volume for o in desk.shop.offers(card["asin"] for card in made["cards"])]


def in_form(product):
    """Return a product's title with its format."""
    return f"{product.title} ({'digital edition' if product.format == 'digital' else product.format})"


@pytest.mark.parametrize(
    ("messages", "wanted", "form"),
    [
        ([f"volumes 1 and 3 of {GATE}"], [1, 3], ""),
        ([f"{GATE} 2, 3 and 5"], [2, 3, 5], ""),
        ([f"{GATE} 3-5"], [3, 4, 5], ""),
        ([f"show me volumes 1 to 4 of {GATE}"], [1, 2, 3, 4], ""),
        ([f"do you have volumes 1 and 3 of {GATE} in paperback?"], [1, 3], "paperback"),
        ([f"how much are volume 1 and volume 3 of {GATE}?"], [1, 3], ""),
        ([f"is {GATE} 2 and 6 in stock?"], [2, 6], ""),
        ([f"who wrote {GATE}?", "how much are volumes 2 and 3?"], [2, 3], ""),
        ([f"show me all volumes of {GATE}", "volumes 2 and 3 please"], [2, 3], ""),
    ],
)
async def test_each_of_several_volumes_is_told(desk, messages, wanted, form):
    """The reply states the price and the stock of every volume that is asked for, and of no other."""
    text, made = (await desk.talk(*messages))[-1]
    every = desk.shop.find(Conditions(titles=[GATE], formats=[form] if form else (), in_stock=False))
    offers = [offer for offer in every if offer.product.volume in wanted]
    assert shown(desk, made) == [offer.product.volume for offer in offers]
    for offer in offers:
        state = "in stock" if offer.quantity else "out of stock"
        assert f"{in_form(offer.product)} costs {desk.shop.money(offer.cents)} and is {state}." in text


async def test_volumes_that_are_not_sold_are_named(desk):
    """Of a range that goes beyond the last volume the reply names those that do not exist."""
    text, made = await desk.ask(f"volumes 11 to 15 of {GATE}")
    assert shown(desk, made)[:2] == [11, 12]
    assert f"There is no volumes 13 to 15 of {GATE}" not in text
    assert f"There are no volumes 13 to 15 of {GATE} in our shop" in text


async def test_volumes_that_are_not_sold_in_a_format_are_each_named(desk):
    """Of several volumes the reply says of each that it is not sold in the format that is asked for."""
    text, _ = await desk.ask(f"do you have volumes 2 and 3 of {GATE} in hardcover?")
    assert all(f"{GATE}, Vol. {volume} is not sold as hardcover" in text for volume in (2, 3))


async def test_the_story_of_each_volume_is_told(desk):
    """A question for what several volumes are about is answered for each."""
    text, _ = await desk.ask(f"what are volumes 1 and 2 of {GATE} about?")
    assert all(f"{GATE}, Vol. {volume} is a thriller book" in text for volume in (1, 2))


async def test_more_volumes_than_are_shown_are_counted(desk):
    """Of very many volumes the first are shown, and the reply says of how many."""
    text, made = await desk.ask(f"volumes 1 to 12 of {GATE}")
    assert "These are the first 10 of" in text, text
    assert len(made["cards"]) == 10


async def test_several_volumes_are_put_into_the_cart_together(desk):
    """Several volumes are proposed with their prices, and one yes puts all of them into the cart."""
    replies = await desk.talk(f"add volumes 2, 3 and 4 of {GATE} in paperback to my cart", "yes", user=ME)
    assert replies[0][0].startswith(f"Shall I add 1 copy each of {GATE}, Vol. 2 (paperback) for ")
    names = [f"{GATE}, Vol. {volume}" for volume in (2, 3, 4)]
    assert replies[1][0] == f"Done: {names[0]}, {names[1]} and {names[2]} are in your cart."


async def test_a_volume_and_a_number_of_copies_are_told_apart(desk):
    """The parser does not read a number of copies after a volume as another volume."""
    text, _ = await desk.ask(f"add 2 copies of volume 3 of {GATE} in paperback to my cart", user=ME)
    assert f"Shall I add 2 copies of {GATE}, Vol. 3 (paperback)" in text
    assert "one book at a time" not in text
