"""What shoppers say of their cart after it was spoken of: one more book, other numbers, the way to free delivery."""

import pytest

from retail_assistant.answers.actions import LEFT
from retail_assistant.answers.remarks import NOTHING_ASKED
from retail_assistant.shop import queries, records
from retail_assistant.shop.finding import Conditions

NOW = 1_790_000_000.0
ME, GATE = "u00003", "Escape of Silver Gate"
ADD = f"add {GATE} vol. 1 in paperback to my basket please"
CHECKOUT = "choose Checkout"


@pytest.fixture
def volumes(desk):
    """Return the asins of a series by volume, in paperback, all in stock."""
    found = desk.shop.find(Conditions(titles=[GATE], formats=["paperback"], in_stock=False))
    asins = {offer.product.volume: offer.asin for offer in found}
    for asin in asins.values():
        records.set_inventory(desk.conn, asin, 9)
    return asins


@pytest.fixture(autouse=True)
def empty_carts(desk):
    """Begin with empty carts."""
    desk.conn.execute("DELETE FROM carts")


def cart(desk):
    """Return what the shopper's cart holds."""
    return {line.asin: line.quantity for line in queries.get_cart(desk.conn, ME).lines}


@pytest.mark.parametrize("more", ["also vol 2", "and volume 2 too", "vol 2 as well please", "and vol. 2"])
@pytest.mark.parametrize("members", [{}, {"metadata": {"session": "s"}}])
async def test_one_more_book_waits_until_the_first_is_agreed(desk, volumes, more, members):
    """A second book that is wanted before the yes keeps the first proposal; after the yes it is proposed itself."""
    replies = await desk.talk(ADD, more, "yes", more, "yes", user=ME, **members)
    texts = [text for text, _ in replies]
    assert "one book at a time" in texts[1]
    assert f"Shall I add 1 copy of {GATE}, Vol. 1 " in texts[1]
    assert texts[2].startswith("Done:")
    assert f"Shall I add 1 copy of {GATE}, Vol. 2 " in texts[3]
    assert cart(desk) == {volumes[1]: 1, volumes[2]: 1}


@pytest.mark.parametrize(
    "message",
    [
        f"ok then add vol. 1 and vol. 2 of {GATE}",
        f"please add volume 1 and volume 2 of {GATE}",
        f"can you add {GATE} vol 1 and 2 for me",
        f"then put vol 1 and vol 2 of {GATE} in please",
    ],
)
async def test_to_add_volumes_needs_no_word_for_the_cart(desk, volumes, message):
    """Volumes of a title that are to be added are proposed together."""
    text, made = await desk.ask(message, user=ME)
    assert (made["intent"], text.startswith("Shall I add 1 copy each of ")) == ("action", True)
    assert [f"{GATE}, Vol. {volume} (paperback)" in text for volume in (1, 2)] == [True, True]


@pytest.mark.parametrize("message", ["so what's in it now?", "what is in there now", "ok and what does it have now?"])
@pytest.mark.parametrize("before", [[], ["thanks"]])
async def test_what_is_in_it_after_cart_talk_is_the_cart(desk, volumes, message, before):
    """After the cart was spoken of, "in it" is in the cart, also after a word of thanks."""
    records.set_cart(desk.conn, ME, {volumes[3]: 1}, now=NOW)
    text, made = (await desk.talk("show me my basket", *before, message, user=ME))[-1]
    assert (made["intent"], text.startswith(f"Your cart has 1 \u00d7 {GATE}, Vol. 3")) == ("cart", True)


@pytest.mark.parametrize(
    ("message", "volume", "copies"),
    [
        ("thats wrong way round, I only want one of vol 1 and 2 of vol 2", 2, 2),
        ("I want 3 of vol 1 and just one of volume 2", 1, 3),
        ("please one of vol 1 and three of vol 2", 2, 3),
        ("make that two of vol 2", 2, 2),
    ],
)
async def test_numbers_of_volumes_after_cart_talk_change_the_cart(desk, volumes, message, volume, copies):
    """The first volume whose number of copies is another one than the cart has is proposed."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1, volumes[2]: 1}, now=NOW)
    text, made = (await desk.talk("whats in my cart", message, user=ME))[-1]
    noun = "copy" if copies == 1 else "copies"
    assert (made["intent"], f"Shall I change {GATE}, Vol. {volume} " in text) == ("action", True)
    assert f"to {copies} {noun} in your cart?" in text


async def test_numbers_of_volumes_that_the_cart_has_already_are_said(desk, volumes):
    """If the cart has every number that is named, there is nothing to propose."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1, volumes[2]: 2}, now=NOW)
    text, _ = (await desk.talk("whats in my cart", "I want one of vol 1 and 2 of vol 2", user=ME))[-1]
    assert text == "Your cart has exactly that already."


@pytest.mark.parametrize(
    "message",
    [
        "can I check out here in the chat?",
        "can you check me out here?",
        "can i pay here?",
        "how can I place the order here in this chat",
        "checkout please",
    ],
)
async def test_to_check_out_in_the_chat_is_told_where_it_is_done(desk, message):
    """A wish to check out here is answered with the way to the checkout."""
    text, _ = await desk.ask(message, user=ME)
    assert CHECKOUT in text


@pytest.mark.parametrize(
    "message",
    [
        "how much until free delivery?",
        "how much more till free shipping",
        "is delivery free now?",
        "do I get free shipping now?",
        "how much do i need to add for free delivery?",
        "is my delivery free already?",
    ],
)
async def test_the_way_to_free_delivery_is_told_by_the_cart(desk, volumes, message):
    """A shopper who has a cart is told what is missing, or that delivery is free; others are told the rule."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1}, now=NOW)
    text, made = await desk.ask(message, user=ME)
    assert (made["intent"], "and delivery is free (over €35)" in text) == ("cart", True)
    text, _ = await desk.ask(message)
    assert "free for orders over €35" in text


async def test_the_way_to_free_delivery_of_an_empty_cart_is_the_rule(desk):
    """With nothing in the cart the total from which delivery is free is told."""
    text, _ = await desk.ask("how much until free delivery?", user=ME)
    assert text == "Your cart is empty. Delivery is free for orders over €35."


@pytest.mark.parametrize("before", ["what's in my cart?", "what is your return window?", "thanks"])
@pytest.mark.parametrize("yes", ["yes", "yes please", "yep", "sure"])
async def test_a_yes_to_nothing_is_told_that_nothing_was_asked(desk, before, yes):
    """The assistant does not say goodbye to a yes that follows a reply without a question."""
    text, _ = (await desk.talk(before, yes, user=ME))[-1]
    assert text == NOTHING_ASKED


async def test_a_no_to_nothing_is_no_farewell_to_a_proposal(desk, volumes):
    """A no without a question is taken as it is, and a no to a proposal leaves the cart."""
    texts = [text for text, _ in await desk.talk(ADD, "no wait, keep it", "no", user=ME)]
    assert texts[1] == LEFT
    assert texts[2].startswith("All right")
    assert cart(desk) == {}


@pytest.mark.parametrize(
    ("message", "proposed"),
    [
        ("remove vol 2", f"Shall I take {GATE}, Vol. 2 (paperback) out of your cart?"),
        ("take volume 2 out please", f"Shall I take {GATE}, Vol. 2 (paperback) out of your cart?"),
        ("add vol 3", f"Shall I add 1 copy of {GATE}, Vol. 3 (paperback)"),
        ("please put vol. 3 in as well", f"Shall I add 1 copy of {GATE}, Vol. 3 (paperback)"),
    ],
)
async def test_a_volume_alone_is_put_in_or_taken_out_of_the_cart(desk, volumes, message, proposed):
    """After the cart was shown, a volume is one of its series, in the format that the cart has."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1, volumes[2]: 1}, now=NOW)
    text, _ = (await desk.talk("whats in my cart", message, user=ME))[-1]
    assert text.startswith(proposed)


async def test_a_number_of_what_the_cart_does_not_have_waits(desk, volumes):
    """What is not in the cart comes after what is changed, and the reply says so."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1}, now=NOW)
    text, _ = (await desk.talk("whats in my cart", "make it 2 of vol 1 and 1 of vol 4", user=ME))[-1]
    assert "one book at a time" in text
    assert f"Shall I change {GATE}, Vol. 1 (paperback) to 2 copies in your cart?" in text


async def test_to_order_for_the_shopper_is_told_where_it_is_done(desk, volumes):
    """After cart talk the wish that the assistant orders is answered with the way to the checkout."""
    records.set_cart(desk.conn, ME, {volumes[1]: 1}, now=NOW)
    text, _ = (await desk.talk("whats in my cart", "can you order it for me", user=ME))[-1]
    assert CHECKOUT in text


async def test_a_line_is_taken_out_by_its_format_and_the_sum_is_that_of_the_cart(desk, volumes):
    """After the cart, "together" asks for its total, and "the hardcover" is the line of that format."""
    hardcover = desk.shop.find(Conditions(formats=["hardcover"]))[0].asin
    records.set_cart(desk.conn, ME, {volumes[1]: 1, hardcover: 1}, now=NOW)
    replies = await desk.talk("what's in my cart?", "and together that is how much", "take the hardcover out", user=ME)
    assert replies[1][0].startswith("Your cart has ")
    assert (replies[2][0].startswith("Shall I take "), "(hardcover)" in replies[2][0]) == (True, True)
