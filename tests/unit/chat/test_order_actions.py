"""Orders that the assistant cancels or takes back: asked first, by their owner, and as far as the shop's rules go."""

import pytest

from retail_assistant.shop import orders, queries

NOW = 1_790_000_000.0
ME, OTHER = "u00003", "u00004"
BOOK, DIGITAL = "B000030", "B000019"
PERSONAL = (
    "Cancel order X770", "Where is my order?", "What's in my cart?",
    "Add An Apron for Viktor 2 to my cart", "Empty my cart",
)  # fmt: skip


@pytest.fixture
def put(desk):
    """Return a function that stores an order of two copies, as the shopper's newest."""

    def one(number, state, shopper=ME, *, now=NOW, asins=(BOOK,)):
        lines = dict.fromkeys(asins, (2, 599))
        placed = {"shopper": shopper, "placed_at": NOW + 1, "state": state, "lines": lines, "now": now}
        orders.put_order(desk.conn, number, **placed)

    return one


def state(desk, number, shopper=ME):
    """Return the state of an order."""
    return orders.get_order(desk.conn, shopper, number).state


@pytest.mark.parametrize("message", ["Cancel my order", "Please cancel order X770", "I want to cancel my last order"])
async def test_a_placed_order_is_cancelled_after_a_yes(desk, put, message):
    """The reply names the order and asks; the yes cancels it and puts its copies back."""
    put("X770", "placed")
    before = queries.get_stock(desk.conn, BOOK).quantity
    text, made = await desk.ask(message, user=ME)
    assert text.startswith("Shall I cancel order X770 of 21 September")
    assert (made["intent"], state(desk, "X770")) == ("action", "placed")
    replies = await desk.talk(message, "yes", user=ME)
    assert (replies[1][0], state(desk, "X770")) == ("Done: order X770 is cancelled.", "cancelled")
    assert queries.get_stock(desk.conn, BOOK).quantity == before + 2


@pytest.mark.parametrize("answer", ["yes", "yes, cancel it", "yes please cancel order 302-1234567-1234567"])
async def test_an_order_with_a_long_number_is_cancelled_and_said(desk, put, answer):
    """A number that looks like a telephone number is the shopper's own, so that the reply may say it."""
    put("302-1234567-1234567", "placed")
    replies = await desk.talk("Cancel my order", answer, user=ME)
    assert replies[1][0] == "Done: order 302-1234567-1234567 is cancelled."
    assert state(desk, "302-1234567-1234567") == "cancelled"


async def test_a_long_tracking_number_is_said(desk, put):
    """The tracking number of the shopper's own order is said, however many digits it has."""
    put("X770", "shipped")
    desk.conn.execute("UPDATE orders SET tracking = '00340434161094015902' WHERE number = 'X770'")
    text, _ = await desk.ask("What is my tracking number?", user=ME)
    assert "Its tracking number is 00340434161094015902." in text


async def test_a_no_leaves_the_order(desk, put):
    """After a no the order stays placed."""
    put("X770", "placed")
    replies = await desk.talk("Cancel order X770", "no", "yes", user=ME)
    assert (replies[1][0], state(desk, "X770")) == ("All right, I leave it as it is.", "placed")


@pytest.mark.parametrize(
    ("now", "why"),
    [("packed", "it is already packed"), ("shipped", "it is shipped"), ("delivered", "it is delivered")],
)
async def test_an_order_that_is_further_is_not_cancelled(desk, put, now, why):
    """An order that is packed, shipped or delivered is refused with its state, and a yes changes nothing."""
    put("X770", now)
    replies = await desk.talk("Cancel order X770", "yes", user=ME)
    assert replies[0][0].startswith("I cannot cancel order X770")
    assert why in replies[0][0]
    assert state(desk, "X770") == now


async def test_an_order_that_was_packed_meanwhile_is_not_cancelled(desk, put):
    """If the order is packed between the question and the yes, the reply says that it was not possible."""
    put("X770", "placed")
    asked, _ = await desk.ask("Cancel order X770", user=ME)
    put("X770", "packed")
    history = [{"role": "user", "content": "Cancel order X770"}, {"role": "assistant", "content": asked}]
    text, _ = await desk.ask("yes", user=ME, history=history)
    assert (text, state(desk, "X770")) == ("That was not possible: order X770 is packed.", "packed")


async def test_an_order_is_cancelled_once(desk, put):
    """A second yes neither fails nor puts any copies back."""
    put("X770", "placed")
    before = queries.get_stock(desk.conn, BOOK).quantity
    await desk.talk("Cancel order X770", "yes", "yes", "cancel order X770", "yes", user=ME)
    assert queries.get_stock(desk.conn, BOOK).quantity == before + 2


async def test_an_order_of_which_nobody_knows_the_day_is_not_too_late(desk, put):
    """The day on which an imported order arrived is not known, so its return is not refused as too late."""
    put("X770", "delivered", now=0.0)
    replies = await desk.talk("I want to return order X770", "yes", user=ME)
    assert "too late" not in replies[0][0]
    assert state(desk, "X770") == "returning"


async def test_a_delivered_order_is_sent_back_after_a_yes(desk, put):
    """The reply asks; the yes starts the return."""
    put("X770", "delivered")
    replies = await desk.talk("I want to return order X770", "yes", user=ME)
    assert replies[0][0].startswith("Shall I start the return of order X770")
    assert (replies[1][0].startswith("Done: the return of order X770"), state(desk, "X770")) == (True, "returning")


@pytest.mark.parametrize(("days", "after"), [(30, "returning"), (31, "delivered")])
async def test_a_return_is_started_within_the_window_of_the_policy(desk, put, days, after):
    """The return of an order is started up to the last day of the policy's window, and refused after it."""
    put("X770", "delivered", now=NOW - days * 86_400)
    replies = await desk.talk("I want to return order X770", "yes", user=ME)
    assert ("too late" in replies[0][0]) is (after == "delivered")
    assert state(desk, "X770") == after


@pytest.mark.parametrize("message", ["I want to return order X770", "Can I return order X770?"])
async def test_digital_editions_are_not_sent_back(desk, put, message):
    """The reply says why an order of digital editions alone is not returned, and a yes does not start it."""
    put("X770", "delivered", asins=[DIGITAL])
    replies = await desk.talk(message, "yes", user=ME)
    assert replies[0][0].startswith("No, order X770 cannot be returned: it has only digital editions")
    assert state(desk, "X770") == "delivered"


async def test_a_mixed_order_is_sent_back_without_its_digital_editions(desk, put):
    """The proposal names the printed books as what is returned, and the digital ones as what is not."""
    put("X770", "delivered", asins=[BOOK, DIGITAL])
    printed, digital = (desk.shop.product(asin).title for asin in (BOOK, DIGITAL))
    (text, _), (done, _) = await desk.talk("I want to return order X770", "yes", user=ME)
    assert f"({printed})?" in text
    assert f"Digital editions cannot be returned, so this is without {digital}." in text
    assert (done.startswith("Done: the return of order X770"), state(desk, "X770")) == (True, "returning")


async def test_an_order_on_its_way_is_not_sent_back(desk, put):
    """The return of an order that has not arrived is refused with its state."""
    put("X770", "shipped")
    text, _ = await desk.ask("I want to return order X770", user=ME)
    assert text.startswith("I cannot start a return of order X770")
    assert "it is shipped" in text


@pytest.mark.parametrize("message", ["Cancel order X880", "Where is order X880?", "I want to return order X880"])
async def test_the_order_of_somebody_else_is_not_seen(desk, put, message):
    """A number of another shopper's order is answered as if it did not exist, and a yes changes nothing."""
    put("X880", "placed", OTHER)
    (first, _), _ = await desk.talk(message, "yes", user=ME)
    unknown, _ = await desk.ask(message.replace("X880", "X990"), user=ME)
    assert first == unknown.replace("X990", "X880")
    assert first == "I see no order X880 of yours."
    assert state(desk, "X880", OTHER) == "placed"


@pytest.mark.parametrize("number", ["99", "#7", "X990", "12345"])
async def test_a_number_that_is_not_there_never_means_another_order(desk, put, number):
    """The reply says that a named order does not exist, and proposes and cancels no other one instead."""
    put("X770", "placed")
    replies = await desk.talk(f"Cancel order {number}", "yes", user=ME)
    assert "X770" not in replies[0][0]
    assert state(desk, "X770") == "placed"


async def test_a_short_number_names_its_order(desk, put):
    """An order of a shop with short numbers is found by its number."""
    put("7", "placed")
    put("X770", "placed")
    replies = await desk.talk("Cancel order 7", "yes", user=ME)
    assert replies[1][0] == "Done: order 7 is cancelled."
    assert (state(desk, "7"), state(desk, "X770")) == ("cancelled", "placed")


@pytest.mark.parametrize("message", PERSONAL)
async def test_who_is_not_signed_in_is_asked_to_sign_in(desk, put, message):
    """Without a shopper's name the reply asks to sign in, and neither tells nor does anything."""
    put("X770", "placed")
    text, _ = await desk.ask(message)
    assert text.endswith("Please sign in and ask me again.")


async def test_a_consent_of_somebody_else_does_nothing(desk, put):
    """A yes of another shopper, or of nobody, to the same question leaves the order."""
    put("X770", "placed")
    asked, _ = await desk.ask("Cancel order X770", user=ME)
    history = [{"role": "user", "content": "Cancel order X770"}, {"role": "assistant", "content": asked}]
    for user in ({"user": OTHER}, {}):
        text, _ = await desk.ask("yes", history=history, **user)
        assert not text.startswith("Done")
    assert state(desk, "X770") == "placed"


@pytest.mark.parametrize("session", [{}, {"metadata": {"session": "s"}}])
async def test_whether_it_can_be_cancelled_is_said_and_then_done(desk, put, session):
    """The reply says whether an order can still be cancelled, and a yes to its offer cancels it."""
    put("X770", "placed")
    replies = await desk.talk("Can I still cancel order X770?", "yes", user=ME, **session)
    assert replies[0][0].startswith("Yes, order X770 can still be cancelled")
    assert state(desk, "X770") == "cancelled"


async def test_what_the_assistant_cannot_do_it_says(desk):
    """A change of how it is paid is refused with a word on where it is made."""
    text, made = await desk.ask("Change my card", user=ME)
    assert (made["intent"], text.startswith("I cannot do that for you here.")) == ("action", True)
