"""What a shopper has ordered so far: by time and state, how much it cost, and which volumes of a series are missing."""

import datetime as dt

import pytest

from retail_assistant.answers.own import ELSEWHERE
from retail_assistant.shop import orders, records
from retail_assistant.shop.finding import Conditions

NOW = 1_790_000_000.0
"""21 September 2026, a Monday."""
ME = "somebody-new"
GATE = "Escape of Silver Gate"
SIGN_IN = "I see that only when you are signed in. Please sign in and ask me again."


def at(month, day=5):
    """Return a moment of 2026."""
    return dt.datetime(2026, month, day, 12, tzinfo=dt.UTC).timestamp()


@pytest.fixture
def put(desk):
    """Return a function that stores an order of the shopper: one copy of each product at 5 euros."""

    def one(number, *asins, state="delivered", placed_at=NOW - 9):
        lines = dict.fromkeys(asins, (1, 500))
        placed = {"shopper": ME, "placed_at": placed_at, "state": state, "lines": lines, "now": NOW}
        orders.put_order(desk.conn, number, **placed)

    return one


async def test_the_address_of_an_order_is_told_to_its_shopper_alone(desk, put, volumes):
    """An imported address is told as it was given; of an order without one the reply says who knows it."""
    put("N77001", volumes[1], state="shipped")
    put("N77002", volumes[2])
    desk.conn.execute("UPDATE orders SET address = '1 Long Lane, 12345 Town' WHERE number = 'N77001'")
    text, _ = await desk.ask("which address does order N77001 go to?", user=ME)
    assert text == "Order N77001 of 21 September goes to 1 Long Lane, 12345 Town."
    text, _ = await desk.ask("which address did order N77002 go to?", user=ME)
    assert "our support team" in text
    text, _ = await desk.ask("which address does order N77001 go to?", user="u00004")
    assert "Long Lane" not in text


async def test_an_order_is_found_by_the_number_of_its_parcel(desk, put, volumes):
    """A shopper may name the tracking number; another shopper's is not found."""
    put("N77001", volumes[1], state="shipped")
    put("N77002", volumes[2])
    desk.conn.execute("UPDATE orders SET tracking = 'TRK70595902' WHERE number = 'N77001'")
    text, _ = await desk.ask("where is parcel TRK70595902", user=ME)
    assert "N77001" in text
    assert "TRK70595902" in text
    text, _ = await desk.ask("where is parcel TRK70595902", user="u00004")
    assert "N77001" not in text


@pytest.mark.parametrize("to", ["", " to 5 Long Lane", " to another one"])
async def test_the_address_of_an_order_is_not_changed_here(desk, put, volumes, to):
    """Who wants an order to go elsewhere is told where that is done, or that it is too late; others get the rule."""
    rule = "The address can be changed on the order page until the parcel is packed."
    put("N77001", volumes[1], state="placed")
    put("N77002", volumes[2])
    text, _ = await desk.ask(f"Change the address of order N77001{to}", user=ME)
    assert text.startswith("Order N77001 of 21 September is placed and not packed yet. I cannot change its address")
    assert rule in text
    text, _ = await desk.ask(f"Change the address of order N77002{to}", user=ME)
    assert text == "Order N77002 of 21 September was delivered, so its address cannot be changed any more."
    assert "I see no order N9" in (await desk.ask(f"Change the address of order N9{to}", user=ME))[0]
    assert (await desk.ask(f"Change the address of order N77001{to}"))[0].startswith(rule)


async def test_without_a_rule_the_order_page_is_named(desk, put, volumes):
    """A shop whose policies state nothing of a change of address sends its shopper to the order page."""
    put("N77001", volumes[1], state="placed")
    records.delete_policy(desk.conn, "shipping")
    text, _ = await desk.ask("Change the address of order N77001", user=ME)
    assert "I cannot change its address for you here. " + ELSEWHERE.partition(", or")[0] in text


@pytest.fixture
def volumes(desk):
    """Return the asins of a series by volume, in paperback."""
    found = desk.shop.find(Conditions(titles=[GATE], formats=["paperback"], in_stock=False))
    return {offer.product.volume: offer.asin for offer in found}


def numbers(text):
    """Return the orders that a reply names."""
    return [word for word in text.replace(".", " ").split() if word.startswith("X")]


@pytest.mark.parametrize(
    "before",
    [
        [f"which volumes am I missing of {GATE}?"],
        [f"which volumes of {GATE} do I still need?"],
        [f"tell me about {GATE}", "which ones am I missing?"],
        [f"show me the volumes of {GATE}", "which of them don't I have yet?"],
        [f"do I have all volumes of {GATE}?"],
    ],
)
async def test_the_volumes_that_no_order_has_are_missing(desk, put, volumes, before):
    """The reply names the volumes on sale that no order has; what was cancelled or sent back is missing."""
    put("X1", *(asin for volume, asin in volumes.items() if volume not in (3, 7, 9, 11)))
    put("X2", volumes[7], state="cancelled")
    put("X3", volumes[9], state="returned")
    put("X4", volumes[11], state="shipped")
    text, made = (await desk.talk(*before, user=ME))[-1]
    assert made["intent"] == "orders"
    assert text.startswith(f"Of {GATE} you are missing volumes 3, 7 and 9.")
    assert [card["asin"] for card in made["cards"]] == [volumes[3], volumes[7], volumes[9]]


async def test_nothing_is_missing_of_a_complete_series(desk, put, volumes):
    """Who has ordered every volume is told so."""
    put("X1", *volumes.values())
    text, _ = await desk.ask(f"which volumes am I missing of {GATE}?", user=ME)
    assert text == f"You are missing none: you have ordered all {len(volumes)} volumes of {GATE} that we sell."


async def test_all_is_missing_of_a_series_that_was_never_ordered(desk):
    """Who has ordered no volume is told so, and how many there are."""
    text, _ = await desk.ask(f"which volumes am I missing of {GATE}?", user=ME)
    assert text.startswith(f"None of your orders has a volume of {GATE}, so you are missing all 12 volumes.")


async def test_the_volumes_that_are_said_to_be_there_are_not_missing(desk):
    """Volumes that the shopper names as bought elsewhere count as there, also for a stranger."""
    text, _ = await desk.ask(f"I have volumes 1 to 10 of {GATE}, which ones am I missing?")
    assert text.startswith(f"Of {GATE} you are missing volumes 11 and 12.")


async def test_missing_pages_and_parcels_are_no_missing_volumes(desk):
    """Pages and books that lack in a parcel are a trouble, and not volumes to buy."""
    for message in ("two pages are missing in my book", "a book is missing from my parcel"):
        text, _ = await desk.ask(message, user=ME)
        assert "you are missing" not in text


@pytest.mark.parametrize(
    "message", [f"which volumes am I missing of {GATE}?", "how much have I spent with you?", "my cancelled orders",
                "what did I order in October?", "which of my orders have been delivered?"]
)  # fmt: skip
async def test_a_stranger_is_asked_to_sign_in(desk, message):
    """What was ordered is only told to a shopper who gave a name."""
    text, _ = await desk.ask(message)
    assert text == SIGN_IN


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("what did I order in July?", ["X3"]),
        ("what did I buy in August?", ["X2"]),
        ("orders from last week", ["X1"]),
        ("my orders from last month", ["X2"]),
        ("my cancelled orders", ["X2"]),
        ("which of my orders have been delivered?", ["X1", "X3"]),
        ("which orders have not been delivered yet?", ["X4"]),
        ("show me my open orders", ["X4"]),
        ("which of my orders were sent back?", ["X5"]),
        ("show me all my orders since August", ["X4", "X1", "X2"]),
        ("which of my orders from this year were cancelled?", ["X2"]),
    ],
)
async def test_orders_are_told_by_time_and_state(desk, put, volumes, message, named):
    """Only the orders of the time and the state that are asked for are told, the newest first."""
    put("X1", volumes[1], placed_at=NOW - 5 * 86_400)
    put("X2", volumes[2], state="cancelled", placed_at=at(8))
    put("X3", volumes[3], placed_at=at(7))
    put("X4", volumes[4], state="shipped", placed_at=NOW - 60)
    put("X5", volumes[5], state="returned", placed_at=at(3))
    text, made = await desk.ask(message, user=ME)
    assert (made["intent"], numbers(text)) == ("orders", named)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("my cancelled orders", "You have no order that was cancelled."),
        ("what did I order in March?", "You placed no order in March."),
        ("my orders of the last 3 days", "You placed no order in the last 3 days."),
        ("what did I order last week?", "You placed no order last week."),
        ("which orders of last year were delivered?", "You placed no order last year that was delivered."),
    ],
)
async def test_no_order_of_a_time_or_a_state_is_said(desk, put, volumes, message, says):
    """If no order fits the reply says so, and tells no other one."""
    put("X1", volumes[1], state="shipped", placed_at=NOW - 20 * 86_400)
    text, _ = await desk.ask(message, user=ME)
    assert text == says


async def test_another_month_goes_on_from_the_orders_of_one(desk, put, volumes):
    """After the orders of one month, another month alone asks for its orders."""
    put("X1", volumes[1], placed_at=at(7))
    put("X2", volumes[2], placed_at=at(6))
    replies = await desk.talk("what did I order in July?", "and in June?", user=ME)
    assert [numbers(text) for text, _ in replies] == [["X1"], ["X2"]]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("how much have I spent with you?", "You have spent €30.00 on 4 orders"),
        ("How much money have I spent in total?", "You have spent €30.00 on 4 orders"),
        ("how much did I spend this year?", "This year you have spent €20.00 on 3 orders"),
        ("how much did I spend in the last 40 days?", "In the last 40 days you have spent €10.00 on 2 orders"),
        ("what did I pay in July?", "In July you have spent €10.00 on 1 order"),
        (f"how much have I spent on {GATE}?", "You have spent €30.00 on books of that title in 4 orders"),
    ],
)
async def test_what_was_spent_is_the_sum_of_the_orders(desk, put, volumes, message, says):
    """The sum has every order that was not cancelled, also old ones, and the part that was sent back is named."""
    put("X1", volumes[1], volumes[2], placed_at=at(7))
    put("X2", volumes[3], state="cancelled", placed_at=at(7))
    put("X3", volumes[4], state="returned", placed_at=at(8, 20))
    put("X4", volumes[5], placed_at=at(8, 20))
    put("X5", volumes[5], volumes[6], placed_at=at(1) - 365 * 86_400)
    text, _ = await desk.ask(message, user=ME)
    assert text.startswith(says)
    assert "cancelled orders are left out" in text
    assert ("€5.00 of it was for 1 order that you sent back" in text) is ("July" not in message)


async def test_more_orders_than_a_page_shows_count(desk, put, volumes):
    """The sum has all orders of a shopper who has very many."""
    for n in range(25):
        put(f"X{n}", volumes[1], placed_at=NOW - n)
    text, _ = await desk.ask("how much have I spent in total?", user=ME)
    assert "€125.00 on 25 orders" in text


@pytest.mark.parametrize(
    "message", ["I am u00007, where is my order?", "my customer number is u00007, has it arrived?"]
)
async def test_the_name_of_the_shopper_is_not_the_number_of_an_order(desk, put, volumes, message):
    """Who says who they are is told of their own order, and not that there is none of that number."""
    put("X700", volumes[1])
    text, _ = await desk.ask(message, user=ME)
    assert "X700" in text
    assert "u00007" not in text
