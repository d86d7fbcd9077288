"""What customers met in conversations: a rule asked twice, a time that has passed, a complaint, a why, one more."""

import pytest

from retail_assistant.answers.policy.policy_answers import NOTHING_STATED
from retail_assistant.chat.flow import AS_SAID
from retail_assistant.shop import orders, records
from retail_assistant.shop.prices import reduced_cents

NOW = 1_790_000_000.0
DAY = 86_400.0
ME = "u00003"
WINDOW = "How many days do I have to send a book back?"


async def test_a_rule_that_was_just_stated_is_stated_as_said_before(desk):
    """The same question twice in a row gets the rule with a word that it was said; after another one it does not."""
    question = "How much is express delivery?"
    first, again, still, other, later = await desk.talk(question, question, question, WINDOW, question)
    assert again[0] == still[0] == f"{AS_SAID}{first[0]}"
    assert not other[0].startswith(AS_SAID)
    assert later[0] == first[0]


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("and after 40 days?", "No, that is too late"),
        ("what about 25 days", "Yes, that is in time"),
        ("i've had it for 5 weeks", "No, that is too late"),
        ("and 2 weeks?", "Yes, that is in time"),
    ],
)
async def test_a_time_that_is_named_after_a_limit_is_judged_by_it(desk, message, verdict):
    """After the limit of returns was told, a bare time is answered with yes or no before the rule."""
    _, (text, _) = await desk.talk(WINDOW, message)
    assert text.startswith(verdict), text
    assert "30 days" in text


async def test_how_long_something_was_had_is_a_time_that_has_passed(desk):
    """Whoever has had a book for three weeks and fears to be late is told that it is in time."""
    text, _ = await desk.ask("i've had it 3 weeks, too late to return it?")
    assert text.startswith("No, that is in time"), text


@pytest.mark.parametrize(
    "message",
    [
        "that's not what i asked",
        "you are not helpful",
        "That is not an answer!",
        "no, you didn't answer",
        "wrong answer",
    ],
)
async def test_a_complaint_about_the_reply_is_no_question(desk, message):
    """Whoever says only that the reply missed the question is told so, and neither a rule nor a product."""
    *_, (text, made) = await desk.talk("How much is express delivery?", message)
    assert text.startswith("I am sorry that my answer missed"), text
    assert (made["intent"], made["cards"]) == ("social", [])


async def test_a_complaint_that_says_what_is_meant_is_answered(desk):
    """What is meant is answered, whatever else is complained of."""
    *_, (text, _) = await desk.talk("How much is express delivery?", "that's not what i asked, i mean gift cards")
    assert "gift card" in text.lower()


async def test_why_tells_the_reasons_of_what_was_shown(desk):
    """After recommendations "why" repeats those that have a reason, with it; about a price it is another question."""
    shown, why = await desk.talk("recommend me something", "why do you recommend that?", user=ME)
    assert why[1]["intent"] == "list"
    asins = [card["asin"] for card in shown[1]["cards"]]
    assert {card["asin"] for card in why[1]["cards"]} <= set(asins)
    assert why[0].startswith(("This is why:", "I find no purchase of yours"))
    _, price = await desk.talk("recommend me something", "why is the first one so expensive?", user=ME)
    assert not price[0].startswith(("This is why:", "I find no purchase of yours"))


async def test_one_more_of_a_list_is_added_as_well(desk):
    """After one of a list was added, "the third too" proposes to add the third."""
    *_, (text, made) = await desk.talk(
        "recommend me something", "add the second one", "yes", "the third too please", user=ME
    )
    listed = (await desk.ask("recommend me something", user=ME))[1]["cards"]
    assert made["intent"] == "action"
    assert text.startswith(f"Shall I add 1 copy of {listed[2]['title']}"), text


async def test_the_order_that_is_on_its_way_is_the_one_that_was_asked_for(desk):
    """Among orders, "the one that's shipped" is the shipped one, and stays the subject."""
    asin = desk.product().asin
    for number, state, days in (("A1", "shipped", 3.0), ("A2", "placed", 1.0)):
        placed = {"shopper": "somebody-new", "placed_at": NOW - days * DAY, "state": state, "now": NOW - DAY}
        orders.put_order(desk.conn, number, lines={asin: (1, 500)}, **placed)
    *_, (text, made) = await desk.talk("where is my order?", "the one that's shipped", user="somebody-new")
    assert made["intent"] == "orders"
    assert "A1" in text


@pytest.mark.parametrize("message", ["how long till my books are here usually", "in general, when do my books arrive?"])
async def test_what_holds_in_general_is_a_rule_and_no_order(desk, message):
    """How long a delivery usually takes is answered by the policies, also to somebody who has orders."""
    text, made = await desk.ask(message, user=ME)
    assert made["intent"] == "policy", text
    assert "working day" in text


async def test_a_question_that_goes_on_from_a_rule_stays_with_the_rules(desk):
    """A time asked for after a rule on returns from abroad is not one of the shopper's orders."""
    *_, (_, made) = await desk.talk("I'm in Canada. how do I send a book back?", "and how long have i got?", user=ME)
    assert made["intent"] == "policy"


@pytest.mark.parametrize("before", ["how much is delivery to spain", "what if my book arrives damaged"])
@pytest.mark.parametrize(
    ("question", "stated"),
    [
        (WINDOW, "30 days"),
        ("how long can i keep a book before i send it back", "30 days"),
        ("do you have gift cards?", "gift card"),
        ("how long does a refund take", "refund within"),
    ],
)
async def test_a_whole_question_is_not_answered_by_the_rule_before_it(desk, before, question, stated):
    """A question that says by itself what it asks gets its own rule, whichever was told before it."""
    (first, _), (text, _) = await desk.talk(before, question)
    assert stated in text.lower()
    assert first not in text


async def test_a_wish_after_a_rule_is_a_wish(desk):
    """Whoever asks for products after a rule gets products, or the word that there are none, and not the rule again."""
    for wish in ("i feel low today, something gentle please", "do you have dragons"):
        *_, (_, made) = await desk.talk("how much is delivery to spain", wish)
        assert made["intent"] == "list", wish


async def test_who_has_said_where_they_are_is_meant_there(desk):
    """A whole question of somebody who has told the country is answered for that country."""
    *_, (text, _) = await desk.talk("How much is express delivery?", "I live in Canada.", "how do I send a book back?")
    assert "abroad" in text


async def test_a_gift_is_not_chosen_by_what_the_giver_has_bought(desk):
    """For somebody else everybody gets products in the same order, and no reason is a purchase of the giver."""
    for wish in ("i need a gift for my niece, she is 8", "recommend a book for my friend"):
        mine, others = [await desk.ask(wish, user=user) for user in (ME, "u00012")]
        first, second = ([card["asin"] for card in made["cards"]] for _, made in (mine, others))
        assert len(set(first) & set(second)) > 2  # what the one or the other has bought is left out
        assert [asin for asin in first if asin in second] == [asin for asin in second if asin in first]
        assert "which you bought" not in mine[0]


async def test_a_product_that_was_only_spoken_of_is_not_one_that_is_looked_at(desk):
    """Without an open page no reason says that the shopper is looking at a product."""
    *_, (text, made) = await desk.talk("what does A Rally for Nils cost?", "recommend me something", user=ME)
    assert made["cards"]
    assert "looking at" not in text


@pytest.mark.parametrize("message", ["my fault, i ordered the wrong one", "i bought the wrong book by mistake"])
async def test_what_the_shop_does_for_its_own_mistake_is_not_told_of_the_shoppers(desk, message):
    """The rule for a wrong parcel is for whoever got one, and not for whoever ordered the wrong book."""
    text, _ = await desk.ask(message)
    assert "we collect it for free" not in text
    told, _ = await desk.ask("you sent me the wrong book")
    assert "we collect it for free" in told


async def test_each_edition_has_its_own_reduced_price(desk):
    """Of a title in two editions the reply says what each costs with the promotion, by its name."""
    desk.conn.execute("DELETE FROM promotions")
    pairs = (
        "SELECT title, genre FROM products WHERE listed = 1 GROUP BY title, genre HAVING count(*) = 2 ORDER BY title"
    )
    title, genre = desk.conn.execute(pairs).fetchone()
    records.put_promotion(desk.conn, "p", title="Half", category=genre, percent=50, starts_at=NOW - 9, ends_at=NOW + 9)
    await desk.http.app.drain()
    editions = desk.conn.execute(
        "SELECT asin, format FROM products WHERE title = ? AND listed = 1", (title,)
    ).fetchall()
    text, _ = await desk.ask(f"how much is {title}?")
    for asin, form in editions:
        reduced = money(desk.shop.cents(asin), desk)
        assert f"{reduced} for the {form}" in text, text


def money(cents, desk):
    """Return half of a price in words, rounded as the shop rounds."""
    return desk.shop.money(reduced_cents(cents, 50))


async def test_more_of_a_rule_is_answered_by_its_words_and_the_closest_beside_it(desk):
    """Of what a quoted section does not decide, its words are told again, and those of the section next to it."""
    *_, (text, made) = await desk.talk("how long do I have to return a book?", "and what if it fell into the bath")
    assert text.startswith(NOTHING_STATED)
    assert "30 days" in text or "14 days" in text
    assert made["intent"] == "policy"


async def test_another_place_takes_the_stead_of_the_one_before(desk):
    """The same question for another place is answered for that one alone."""
    *_, (text, _) = await desk.talk("ship to Portugal?", "what's it cost to there", "and to my brother in Brazil")
    assert "€19" in text
    assert "€8.90" not in text


async def test_a_new_question_of_the_product_in_view_is_not_the_one_before(desk):
    """After a price, what is asked of the story is answered from the page, and not with the price again."""
    title = desk.product().title
    *_, (text, made) = await desk.talk(f"how much is {title}?", "does the tale stop there")
    assert made["intent"] == "facts"
    assert desk.product().description.partition(".")[0] in text


async def test_a_word_beside_a_genre_is_what_it_is_about(desk):
    """The word in front of a genre narrows a list, also for the messages that refine it."""
    replies = await desk.talk("got any bakery cooking?", "as digital edition please")
    for _, made in replies:
        found = [desk.shop.product(card["asin"]) for card in made["cards"]]
        assert found
        assert all("bakery" in f"{one.title} {one.description}".lower() for one in found)


async def test_a_bare_number_is_that_of_an_order(desk):
    """A long number is looked up among the shopper's orders, although the word does not stand there."""
    text, made = await desk.ask("cancel 5530118", user=ME)
    assert made["intent"] == "action"
    assert "5530118" in text


async def test_a_parcel_and_a_person_are_no_search_for_books(desk):
    """What is said of a parcel, and the wish for a person or a number, list no books."""
    for said in (
        "hi my parcel came and one corner is all squashed",
        "do you have a phone number or a human",
    ):
        _, made = await desk.ask(said)
        assert made["intent"] != "list"
        assert not made["cards"]


async def test_those_may_be_the_kind_of_which_some_were_shown(desk):
    """If none of the few that were shown fits, the whole shop is searched with the wishes that stand."""
    *_, (text, made) = await desk.talk("show me books under 20 euros", "any cooking among those?")
    assert made["cards"]
    assert {desk.shop.product(card["asin"]).genre for card in made["cards"]} == {"cooking"}
    assert "found no" not in text


async def test_thanks_with_more_words_are_thanks(desk):
    """Thanks are answered as thanks, also after a sigh."""
    for said in ("yeah sorry, long day. thanks for listening anyway", "ok great, thanks for your patience"):
        assert (await desk.ask(said))[1]["intent"] == "social"


async def test_plain_synonyms_are_read_like_the_words_that_customers_use_most(desk):
    """What is similar to a series is another one, a list that is too expensive gets cheaper, and "stock" is "have"."""
    (_, first), *_ = await desk.talk("show me some cooking books")
    title = desk.shop.product(first["cards"][0]["asin"]).series
    _, made = await desk.ask(f"something similar to {title} please")
    assert made["cards"]
    assert title not in {desk.shop.product(card["asin"]).series for card in made["cards"]}
    (_, first), (_, second) = await desk.talk("show me some cooking books", "too expensive")
    assert second["intent"] == "list"
    dearest = max(desk.shop.cents(card["asin"]) for card in first["cards"])
    assert all(desk.shop.cents(card["asin"]) < dearest for card in second["cards"])
    assert (await desk.ask("do you stock chess boards"))[1]["intent"] == "list"
