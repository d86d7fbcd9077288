"""What several copies or several products cost together."""

import pytest

from retail_assistant.shop import records
from retail_assistant.shop.finding import Conditions

NOW = 1_790_000_000.0
ME = "u00003"
GATE, WREN, PIER = "Escape of Silver Gate", "A Lantern for Wren", "The Waltz of Ivory Pier"


@pytest.fixture
def plain(desk):
    """Return the desk of a shop without promotions."""
    desk.conn.execute("DELETE FROM promotions")
    return desk


def cents(desk, title, volume=None, form=None):
    """Return the price of a product."""
    wanted = Conditions(titles=[title], volume=volume, formats=[form] if form else (), in_stock=False)
    (offer,) = desk.shop.find(wanted)
    return offer.cents


@pytest.mark.parametrize(
    ("messages", "copies"),
    [
        (["what would 25 copies of {} 3 in paperback cost?"], 25),
        (["how much are three copies of volume 3 of {} in paperback?"], 3),
        (["how much is {} 3 in paperback?", "and what would 12 of them cost?"], 12),
        (["how much is {} 3 in paperback?", "how much for ten copies?"], 10),
    ],
)
async def test_several_copies_cost_their_sum(plain, messages, copies):
    """The reply states the price of one copy and that of all."""
    replies = await plain.talk(*(message.format(GATE) for message in messages), user=ME)
    one = cents(plain, GATE, 3, "paperback")
    assert f"(paperback) costs {plain.shop.money(one)}" in replies[-1][0]
    assert f"{copies} copies cost {plain.shop.money(one * copies)}." in replies[-1][0]


@pytest.mark.parametrize("copies", ["2.5", "-5", "0", "1/2", "99999999", "minus two", "3-5"])
async def test_what_cannot_count_copies_multiplies_nothing(plain, copies):
    """For a number of copies that nobody can buy, the price of one copy is told, and no sum."""
    text, _ = await plain.ask(f"what would {copies} copies of {WREN} cost?")
    assert "copies cost" not in text
    assert plain.shop.money(cents(plain, WREN)) in text


@pytest.mark.parametrize(
    "question", ["what do 3 copies of {} cost with delivery?", "how much are 3 copies of {}, shipping included?"]
)
async def test_who_asks_for_the_cost_with_delivery_is_told_the_bill(plain, question):
    """The sum is then that of the cart: the books, and their standard delivery unless it is free."""
    records.put_policy(plain.conn, "shipping", facts={"free_over_eur": 500, "standard_fee_eur": 3.9}, now=NOW)
    text, _ = await plain.ask(question.format(PIER), user=ME)
    assert f"With standard delivery that is {plain.shop.money(3 * cents(plain, PIER) + 390)}." in text


async def test_one_copy_with_delivery_is_a_bill_too(plain):
    """Who asks for the total with delivery after the price of one product is told the sum of both."""
    records.put_policy(plain.conn, "shipping", facts={"free_over_eur": 500, "standard_fee_eur": 3.9}, now=NOW)
    _, (text, _) = await plain.talk(f"how much is {PIER}?", "ok, how much in total with delivery?", user=ME)
    assert f"With standard delivery that is {plain.shop.money(cents(plain, PIER) + 390)}." in text
    assert "Together" not in text


async def test_more_copies_than_are_left_are_counted(plain):
    """Who asks for more copies than are left is told how many there are."""
    text, _ = await plain.ask(f"what would 25 copies of {WREN} cost?")
    assert text.endswith("Only 7 copies are in stock.")


async def test_a_sum_has_the_promotion_that_the_cart_has(plain):
    """The price of one copy and the sum are those that the shopper would be charged."""
    times = {"starts_at": NOW - 9, "ends_at": NOW + 900, "now": NOW}
    records.put_promotion(
        plain.conn, "pa", title="Deal: 20 % off", percent=20, segment="all", category="romance", **times
    )
    await plain.http.app.drain()
    text, _ = await plain.ask(f"how much are 2 copies of {PIER}?", user=ME)
    assert f"{PIER} (hardcover) costs €22.90 (€18.32 with 20 % off)." in text
    assert "2 copies cost €36.64." in text


@pytest.mark.parametrize(
    "messages",
    [
        [f"is {WREN} or {PIER} cheaper?", "how much are both together?"],
        [f"compare {WREN} and {PIER}", "what would they cost in total?"],
    ],
)
async def test_what_was_shown_is_summed_up(plain, messages):
    """After several products, "together" means all of them."""
    replies = await plain.talk(*messages)
    total = plain.shop.money(cents(plain, WREN) + cents(plain, PIER))
    assert f"Together they cost {total}." in replies[-1][0]


@pytest.mark.parametrize(
    "messages",
    [
        [f"how much is volume 1 and 2 of {GATE} in paperback together?"],
        [f"how much are volumes 1 and 2 of {GATE} in paperback in total?"],
        [f"tell me about {GATE}", "how much is volume 1 and 2 in paperback together?"],
        [f"volumes 1 and 2 of {GATE} in paperback", "and what do they cost together?"],
    ],
)
async def test_several_volumes_cost_their_sum(plain, messages):
    """The reply states the price of each and that of all together."""
    replies = await plain.talk(*messages)
    both = [cents(plain, GATE, volume, "paperback") for volume in (1, 2)]
    assert all(plain.shop.money(one) in replies[-1][0] for one in both)
    assert f"Together they cost {plain.shop.money(sum(both))}." in replies[-1][0]


async def test_several_titles_cost_their_sum(plain):
    """Two different books are summed up too."""
    text, _ = await plain.ask(f"what do {WREN} and {PIER} cost together?")
    assert f"Together they cost {plain.shop.money(cents(plain, WREN) + cents(plain, PIER))}." in text


async def test_editions_are_summed_up_by_format(plain):
    """Without a format each format in which all of the volumes are sold has its own sum."""
    text, _ = await plain.ask(f"how much are volumes 1 and 2 of {GATE} together?")
    for form in ("digital", "paperback"):
        both = sum(cents(plain, GATE, volume, form) for volume in (1, 2))
        assert f"Together they cost {plain.shop.money(both)}." in text


@pytest.mark.parametrize(
    "messages",
    [
        [f"what does the whole series {GATE} cost in total?"],
        [f"who wrote {GATE}?", "how much is the whole series?"],
    ],
)
async def test_a_whole_series_costs_its_sum(plain, messages):
    """A series as a whole has the sum of all of its volumes in each format, and no price for each of them."""
    text, _ = (await plain.talk(*messages))[-1]
    every = plain.shop.find(Conditions(titles=[GATE], formats=["paperback"], in_stock=False))
    total = plain.shop.money(sum(offer.cents for offer in every))
    assert f"All {len(every)} volumes of {GATE} as paperback cost {total} together." in text


async def test_copies_of_a_series_need_a_volume(plain):
    """Several copies of a series are not summed up before the volume is known."""
    text, _ = await plain.ask(f"what would 25 copies of {GATE} cost?")
    assert text.endswith("Which volume would you like?")
