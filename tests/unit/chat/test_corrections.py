"""A price or a stock that a message states wrongly is corrected before anything else is said."""

import pytest

from retail_assistant.shop import records

NOW = 1_790_000_000.0
WREN, GATE = "A Lantern for Wren", "Escape of Silver Gate"


@pytest.fixture
def plain(desk):
    """Return the desk of a shop without promotions; the book costs 10.99 euros and is in stock."""
    desk.conn.execute("DELETE FROM promotions")
    return desk


@pytest.mark.parametrize(
    ("message", "begins"),
    [
        ("why is {} free?", "No, A Lantern for Wren"),
        ("I heard {} costs 5 euros", "No, A Lantern for Wren"),
        ("since {} is out of stock, when is it back?", "No, A Lantern for Wren"),
        ("since {} is out of stock, show me cooking books", "No, A Lantern for Wren is in stock. "),
    ],
)
async def test_a_wrong_premise_is_corrected(plain, message, begins):
    """The reply to a wrong price or stock begins with the right one."""
    text, _ = await plain.ask(message.format(WREN))
    assert text.startswith(begins)
    assert ("€10.99" if "out of stock" not in message else "in stock") in text
    assert text.count("No, ") == 1


@pytest.mark.parametrize(
    "message",
    ["I heard {} costs 10.99 euros", "why is {} in stock?", "is {} free?", "does {} cost 5 euros?", "how much is {}?"],
)
async def test_what_is_right_or_asked_is_not_corrected(plain, message):
    """A right premise and a mere question get no correction."""
    text, _ = await plain.ask(message.format(WREN))
    assert not text.startswith("No, ")


async def test_a_book_that_is_sold_out_is_said_so(plain):
    """Who takes a book for available that is not is told so."""
    for row in plain.conn.execute("SELECT asin FROM products WHERE title = ?", (WREN,)).fetchall():
        records.set_inventory(plain.conn, row[0], 0)
    text, _ = await plain.ask(f"you said {WREN} is in stock")
    assert text.startswith(f"No, {WREN}")
    assert "out of stock" in text


async def test_a_price_with_the_shoppers_promotion_is_right(plain):
    """The reduced price that the shopper is charged is not corrected."""
    times = {"starts_at": NOW - 9, "ends_at": NOW + 900, "now": NOW}
    records.put_promotion(plain.conn, "pa", title="Deal: 50 % off", percent=50, segment="all", category="*", **times)
    await plain.http.app.drain()
    text, _ = await plain.ask(f"I heard {WREN} costs 5.50 euros")
    assert not text.startswith("No, ")


async def test_each_edition_and_a_series_is_corrected(plain):
    """A wrong price of a volume in several formats, or of a series, is corrected with all that there are."""
    text, _ = await plain.ask(f"I heard {GATE} 1 costs 3 euros")
    assert text.startswith(f"No, {GATE}, Vol. 1 costs €5.99 (digital edition) or €7.99 (paperback).")
    text, _ = await plain.ask(f"why is {GATE} free?")
    assert text.startswith(f"No, a volume of {GATE} costs €5.09 to €9.19.")


async def test_places_in_a_list_after_a_correction_are_those_of_the_list(plain):
    """The product that a correction names is not one of the list that follows it."""
    replies = await plain.talk(f"since {WREN} is out of stock, show me cooking books", "how much is the first one?")
    assert replies[0][0].startswith(f"No, {WREN} is in stock.")
    assert replies[1][1]["cards"][0]["asin"] == replies[0][1]["cards"][0]["asin"]
