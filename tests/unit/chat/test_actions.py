"""What the assistant does for a shopper: it asks first, does it after a yes, and only what is the shopper's own."""

import asyncio

import pytest

from retail_assistant.answers.actions import AT_MOST, HOW_MANY, LEFT, SIGN_IN_FIRST
from retail_assistant.answers.consent import answers_question, hesitates
from retail_assistant.chat.release import Release
from retail_assistant.live import fill_slots
from retail_assistant.shop import queries, records
from retail_assistant.understand.dialogue import Pending

NOW = 1_790_000_000.0
ME = "u00003"
BOOK, TITLE = "B000019", "An Apron for Viktor, Vol. 2"
ADD = f"Add {TITLE} to my cart"


def cart(desk, shopper=ME):
    """Return what a shopper's cart holds."""
    return {line.asin: line.quantity for line in queries.get_cart(desk.conn, shopper).lines}


@pytest.fixture(autouse=True)
def empty_carts(desk):
    """Begin with empty carts."""
    desk.conn.execute("DELETE FROM carts")


async def test_a_product_is_added_after_a_yes(desk):
    """The reply to a wish asks with title, format and price; only the yes writes, and the reply says what is there."""
    text, made = await desk.ask(ADD, user=ME)
    assert text.startswith(
        "Shall I add 1 copy of An Apron for Viktor, Vol. 2 (digital edition), €4.19 with 30 % off €5.99 each, "
    )
    assert (made["intent"], cart(desk)) == ("action", {})
    _, (text, _) = await desk.talk(ADD, "yes", user=ME)
    assert text == "Done: 1 copy of An Apron for Viktor, Vol. 2 is in your cart."
    assert cart(desk) == {BOOK: 1}


@pytest.mark.parametrize("answer", ["no", "no thanks", "leave it", "actually no"])
async def test_a_no_leaves_the_cart(desk, answer):
    """After a no nothing is written, and a later yes does not do it either."""
    replies = await desk.talk(ADD, answer, "yes", user=ME)
    assert replies[1][0] == "All right, I leave it as it is."
    assert cart(desk) == {}


async def test_a_second_yes_does_nothing_again(desk):
    """What was done is not done again by another yes."""
    await desk.talk(ADD, "yes", "yes", "yes please", user=ME)
    assert cart(desk) == {BOOK: 1}


def history_of(*said):
    """Return a shopper's and the assistant's messages in turn."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


@pytest.mark.parametrize("members", [{}, {"metadata": {"session": "s"}}])
async def test_a_yes_that_is_sent_again_acts_once(desk, members):
    """A retried request gets the same reply and adds nothing, at once or one after the other, also in a session."""
    asked, _ = await desk.ask(ADD, user=ME, **members)
    history = history_of(ADD, asked)
    again = [desk.ask("yes", user=ME, history=history, **members) for _ in range(4)]
    replies = [*await asyncio.gather(*again), await desk.ask("yes", user=ME, history=history, **members)]
    assert {text for text, _ in replies} == {f"Done: 1 copy of {TITLE} is in your cart."}
    assert cart(desk) == {BOOK: 1}


async def test_the_same_words_in_a_new_conversation_are_a_new_agreement(desk):
    """Who asks for the same again within a minute, and agrees, gets it: a retry is a yes without a new proposal."""
    await desk.talk(ADD, "yes", user=ME)
    _, (text, _) = await desk.talk(ADD, "yes", user=ME)
    assert text == f"Done: 2 copies of {TITLE} are in your cart."
    assert cart(desk) == {BOOK: 2}


async def test_the_same_yes_does_nothing_after_a_minute(desk):
    """What is not a retry any more is not done again: a proposal is used up, and only another one can be agreed to."""
    first, second = await desk.talk(ADD, "yes", user=ME)
    history = history_of(ADD, first[0])
    clock = desk.http.app.settings.clock
    clock.advance(61.0)
    text, _ = await desk.ask("yes", user=ME, history=history)
    assert "I have not offered that" in text
    longer = [*history, *history_of("yes", second[0])]
    asked, _ = await desk.ask(ADD, user=ME, history=longer)
    text, _ = await desk.ask("yes", user=ME, history=[*longer, *history_of(ADD, asked)])
    assert text == f"Done: 2 copies of {TITLE} are in your cart."
    await desk.talk(ADD, "yes", user="u00004")
    assert (cart(desk), cart(desk, "u00004")) == ({BOOK: 2}, {BOOK: 1})


async def test_a_proposal_names_the_price_that_is_paid(desk):
    """With a promotion running, the question states the reduced price as well."""
    desk.conn.execute("DELETE FROM promotions")
    records.put_promotion(desk.conn, "sale", title="Sale", category="*", percent=40, starts_at=NOW - 9, ends_at=NOW + 9)
    text, _ = await desk.ask(ADD, user=ME)
    assert "€3.59 with 40 % off €5.99 each, to your cart?" in text


async def test_an_action_is_done_once_if_its_sentence_is_refused(desk, monkeypatch):
    """A refused sentence is said again from what holds now, but the action behind it is not done again."""

    async def always(*_):
        return True

    await desk.ask(ADD, user=ME)
    monkeypatch.setattr(Release, "is_outdated", always)
    await desk.talk(ADD, "yes", user=ME)
    assert cart(desk) == {BOOK: 1}


@pytest.mark.parametrize("answer", ["yes, add it", "yes please add it", "yes, add one copy"])
async def test_a_yes_that_repeats_the_action_is_a_yes(desk, answer):
    """A yes that says again what was proposed does it."""
    replies = await desk.talk(ADD, answer, user=ME)
    assert (replies[1][0][:5], cart(desk)) == ("Done:", {BOOK: 1})


async def test_a_no_that_repeats_the_action_is_a_no(desk):
    """A no that says again what was proposed leaves the cart."""
    replies = await desk.talk(ADD, "no, don't add it", user=ME)
    assert (replies[1][0], cart(desk)) == ("All right, I leave it as it is.", {})


async def test_a_yes_repeats_that_the_cart_is_emptied(desk):
    """To empty the cart is one of the actions that a yes may say again."""
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    await desk.talk("Empty my cart", "yes, empty my cart", user=ME)
    assert cart(desk) == {}


async def test_a_title_with_years_is_said(desk):
    """A title that looks like a telephone number is not taken for personal data."""
    desk.conn.execute("UPDATE products SET title = 'A Chronicle 1914-1918 1939' WHERE asin = ?", (BOOK,))
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    text, made = await desk.ask("What is in my cart?", user=ME)
    assert "A Chronicle 1914-1918 1939" in text
    assert not [why for why in made["refusals"] if why.startswith("guard")]


async def test_another_question_in_between_drops_what_was_asked(desk):
    """A yes that does not directly follow the question does nothing."""
    await desk.talk(ADD, "what is your return window?", "yes", user=ME)
    assert cart(desk) == {}


async def test_a_question_about_what_was_asked_is_not_a_yes(desk):
    """A message that begins politely but asks something else does nothing."""
    await desk.talk(ADD, "please tell me first how long a refund takes", user=ME)
    assert cart(desk) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yes", True),
        ("Yes, please!", True),
        ("ok", True),
        ("sure, do it", True),
        ("hmm, yes", True),
        ("no", False),
        ("No, thanks.", False),
        ("never mind", False),
        ("please don't", False),
        ("yes, but leave it for now", False),
        ("maybe", None),
        ("how much is it?", None),
        ("ok, but what does it cost?", None),
        ("right, where is my order?", None),
        ("yesterday I got another one", None),
        ("yes... actually no", False),
        ("fine, forget it", False),
        ("yes, but not now", False),
        ("yes, I mean no", False),
        ("do it not", False),
        ("yes but only the second book", None),
        ("yes tomorrow", None),
        ("yes unless it's used", None),
        ("yes, the hardcover though", None),
        ("yes two of them", None),
        ("yes, cancel", None),
        ("", None),
    ],
)
def test_only_a_yes_or_a_no_answers_a_question(text, said):
    """A message agrees or declines only if it says so; a question or another statement does neither."""
    assert answers_question(text) is said


@pytest.mark.parametrize(("text", "verb"), [("yes, cancel it", "cancel"), ("yes please add it to my cart", "add")])
def test_a_yes_may_name_what_was_proposed(text, verb):
    """A yes may repeat the verb of the proposal, and no other verb."""
    assert answers_question(text, Pending(verb)) is True
    assert answers_question(text, Pending("remove")) is None


@pytest.mark.parametrize("message", ["yes tomorrow", "yes but only the first volume", "yes, after Christmas"])
async def test_a_yes_with_a_condition_is_asked_again(desk, message):
    """Nothing is done for a yes that says more than yes, and a plain yes after it counts."""
    assert hesitates(message)
    replies = await desk.talk(ADD, message, user=ME)
    assert replies[1][0].startswith("So far I have done nothing")
    assert cart(desk) == {}
    await desk.talk(ADD, message, "yes", user=ME)
    assert cart(desk) == {BOOK: 1}


async def test_the_number_of_copies_can_be_changed_before_the_yes(desk):
    """A number in the wish, or in a message before the yes, is how many copies are added."""
    replies = await desk.talk(f"Add four copies of {TITLE} to my cart", "make it three", "yes", user=ME)
    assert ["4 copies" in replies[0][0], "3 copies" in replies[1][0]] == [True, True]
    assert cart(desk) == {BOOK: 3}


async def test_the_volume_in_a_title_is_not_a_number_of_copies(desk):
    """The number of a volume that is named adds one copy of it."""
    await desk.talk("Add An Apron for Viktor 2 to my cart", "yes", user=ME)
    assert cart(desk) == {BOOK: 1}


async def test_as_many_copies_as_the_volume_has_are_added(desk):
    """Two copies of a second volume are two, although the numbers are the same."""
    await desk.talk(f"Add two copies of {TITLE} to my cart", "yes", user=ME)
    assert cart(desk) == {BOOK: 2}


async def test_copies_are_added_to_those_that_are_there(desk):
    """A product that is in the cart already gets one copy more."""
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    await desk.talk(ADD, "yes", user=ME)
    assert cart(desk) == {BOOK: 3}


async def test_the_number_of_copies_in_the_cart_is_changed(desk):
    """A new number of copies replaces the old one, whatever number the title has."""
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    await desk.talk(f"Change {TITLE} to 5 copies in my cart", "yes", user=ME)
    assert cart(desk) == {BOOK: 5}


async def test_no_copies_of_a_product_take_it_out_of_the_cart(desk):
    """Who wants none of a product is asked whether to take it out, also after another number."""
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    replies = await desk.talk(f"Change {TITLE} to 5 copies in my cart", "make it zero", "yes", user=ME)
    assert replies[1][0].startswith(f"Shall I take {TITLE} (digital edition) out of your cart?")
    assert cart(desk) == {}


async def test_no_copies_of_a_proposed_product_are_added(desk):
    """Who wants none of a product that would be added gets none, also with a late yes."""
    replies = await desk.talk(ADD, "make it 0", "yes", user=ME)
    assert replies[1][0] == LEFT
    assert cart(desk) == {}


@pytest.mark.parametrize(
    "message",
    [f"Add {said} {TITLE} to my cart" for said in ("-5 copies of", "2.5 copies of", "0 copies of", "half a copy of")]
    + [f"Add -2 copies of {TITLE}", f"Remove 0 copies of {TITLE} from my cart", "make it -2", "make it 1.5"],
)
async def test_what_cannot_be_a_number_of_copies_is_asked_again(desk, message):
    """A number below one and a fraction are answered with what is allowed, and a late yes does nothing."""
    records.set_cart(desk.conn, ME, {"B000030": 1}, now=NOW)
    replies = await desk.talk(*([ADD] if message.startswith("make") else []), message, "yes", user=ME)
    assert replies[-2][0] == fill_slots(HOW_MANY, desk.shop)
    assert cart(desk) == {"B000030": 1}


async def test_no_more_copies_are_proposed_than_a_cart_can_hold(desk):
    """Who wants more copies than a cart can hold is told the limit, and asked for as many as that."""
    records.set_inventory(desk.conn, BOOK, 1000)
    replies = await desk.talk(f"Add 500 copies of {TITLE} to my cart", "yes", user=ME)
    assert replies[0][0].startswith(f"{fill_slots(AT_MOST, desk.shop)} Shall I add 99 copies")
    assert cart(desk) == {BOOK: 99}


@pytest.mark.parametrize("copies", ["50", "100000"])
async def test_no_more_copies_are_proposed_than_are_in_stock(desk, copies):
    """Who wants more copies than there are is asked for those that are there, and gets no more after a yes."""
    records.set_inventory(desk.conn, BOOK, 17)
    replies = await desk.talk(f"Add {copies} copies of {TITLE} to my cart", "yes", user=ME)
    assert replies[0][0].startswith("Only 17 of it are in stock. Shall I add 17 copies")
    assert cart(desk) == {BOOK: 17}


@pytest.mark.parametrize("message", [f"Take one copy of {TITLE} out of my cart", "remove one copy"])
async def test_one_copy_of_several_is_taken_out(desk, message):
    """Who wants one of two copies taken out keeps the other."""
    records.set_cart(desk.conn, ME, {BOOK: 2}, now=NOW)
    replies = await desk.talk("what is in my cart?", message, "yes", user=ME)
    assert "to 1 copy" in replies[1][0]
    assert cart(desk) == {BOOK: 1}


async def test_a_product_is_taken_out_of_the_cart(desk):
    """The named product is taken out after a yes, and the others stay."""
    records.set_cart(desk.conn, ME, {BOOK: 2, "B000030": 1}, now=NOW)
    replies = await desk.talk(f"Remove {TITLE} from my cart", "yes", user=ME)
    assert replies[0][0].startswith(f"Shall I take {TITLE} (digital edition) out of your cart?")
    assert cart(desk) == {"B000030": 1}


async def test_the_whole_cart_is_emptied(desk):
    """The question asks for a yes in plain words, and after it the cart is empty."""
    records.set_cart(desk.conn, ME, {BOOK: 2, "B000030": 1}, now=NOW)
    replies = await desk.talk("Empty my cart", "yes", user=ME)
    assert replies[0][0] == "Shall I take everything out of your cart? Please answer yes or no."
    assert cart(desk) == {}


async def test_what_is_not_in_the_cart_is_not_taken_out(desk):
    """A product that the cart does not hold is said not to be there."""
    records.set_cart(desk.conn, ME, {"B000030": 1}, now=NOW)
    text, _ = await desk.ask(f"Remove {TITLE} from my cart", user=ME)
    assert text == f"{TITLE} (digital edition) is not in your cart."


async def test_a_sold_out_product_is_not_added(desk):
    """The reply says that a product without stock is sold out, and a yes does not add it."""
    records.set_inventory(desk.conn, BOOK, 0)
    replies = await desk.talk(ADD, "yes", user=ME)
    assert "is out of stock, so I cannot add it" in replies[0][0]
    assert cart(desk) == {}


async def test_between_two_editions_the_shopper_chooses(desk):
    """A title with two formats is asked back with both, and a yes to that adds neither."""
    replies = await desk.talk("Add An Apron for Nils 1 to my cart", "yes", user=ME)
    assert all(said in replies[0][0] for said in ("digital edition", "€6.99", "hardcover", "€27.49"))
    assert cart(desk) == {}


@pytest.mark.parametrize(("form", "asin"), [("hardcover", "B000040"), ("as an ebook", "B000032")])
@pytest.mark.parametrize("members", [{}, {"metadata": {"session": "s"}}])
async def test_the_edition_that_was_asked_for_is_added(desk, form, asin, members):
    """The yes adds the edition that the question named, with and without a session."""
    replies = await desk.talk(f"Add An Apron for Nils 1 {form} to my cart", "yes", user=ME, **members)
    assert desk.shop.price(asin) in replies[0][0]
    assert cart(desk) == {asin: 1}


@pytest.mark.parametrize("user", ["anonymous", "Anonymous", " ANONYMOUS ", " "])
async def test_a_shopper_without_a_name_has_no_cart(desk, user):
    """A shopper called "anonymous" in any spelling, or with a blank name, is asked to sign in; a yes adds nothing."""
    replies = await desk.talk(ADD, "yes", user=user)
    assert replies[0][0] == SIGN_IN_FIRST
    assert desk.conn.execute("SELECT count(*) FROM carts").fetchone() == (0,)


async def test_the_product_of_the_page_is_added(desk):
    """On a product's page "this" is that product."""
    await desk.talk("Add this to my cart", "yes", user=ME, metadata={"page": BOOK})
    assert cart(desk) == {BOOK: 1}
