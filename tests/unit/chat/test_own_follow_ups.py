"""What shoppers ask of their own orders and points in their own words, and what they go on to ask."""

import pytest

from retail_assistant.answers.actions import LEFT
from retail_assistant.answers.remarks import PRIVATE
from retail_assistant.shop import orders
from retail_assistant.shop.finding import Conditions

NOW = 1_790_000_000.0
"""21 September 2026."""
DAY = 86_400.0
ME, GATE = "somebody-new", "Escape of Silver Gate"


@pytest.fixture
def volumes(desk):
    """Return the asins of a series by volume, in paperback."""
    found = desk.shop.find(Conditions(titles=[GATE], formats=["paperback"], in_stock=False))
    return {offer.product.volume: offer.asin for offer in found}


@pytest.fixture
def put(desk):
    """Return a function that stores an order of the shopper: one copy of each product at 5 euros."""

    def one(number, *asins, state="delivered", days=1.0):
        placed = {"shopper": ME, "placed_at": NOW - days * DAY, "state": state, "now": NOW - days * DAY / 2}
        orders.put_order(desk.conn, number, lines=dict.fromkeys(asins, (1, 500)), **placed)

    return one


@pytest.mark.parametrize(
    "message",
    [
        f"i want to send back {GATE} vol 2",
        f"I'd like to return {GATE} vol. 2 please",
        f"please take {GATE} volume 2 back",
        f"I need to send {GATE} vol 2 back",
        f"return {GATE}, Vol. 2",
    ],
)
async def test_a_book_that_was_ordered_is_sent_back_with_its_order(desk, put, volumes, message):
    """The wish to send a title back proposes the return of the order that has this volume."""
    put("X700", volumes[2], days=5)
    put("X701", volumes[3], days=2)
    text, made = await desk.ask(message, user=ME)
    assert (made["intent"], text.startswith("Shall I start the return of order X700 ")) == ("action", True)


async def test_a_book_that_was_not_ordered_is_not_sent_back(desk, put, volumes):
    """If no order has the named volume, none is proposed."""
    put("X701", volumes[3])
    text, _ = await desk.ask(f"i want to send back {GATE} vol 2", user=ME)
    assert text == "None of your orders has that book."


async def test_the_rule_for_books_that_were_read_follows_a_return(desk, put, volumes):
    """After whether an order can be returned, what is asked of its condition or the way is answered by the policies."""
    put("X700", volumes[2], days=5)
    replies = await desk.talk("can I return my last order?", "ok how", "and if I already read it?", user=ME)
    texts = [text for text, _ in replies]
    assert texts[0].startswith("Yes, you can return order X700")
    assert texts[1].startswith("Open the order page")
    assert texts[2].startswith("Opened items")
    texts = [t for t, _ in await desk.talk("can I return my last order?", "and if I already read it?", user=ME)]
    assert texts[1].startswith("Opened items")


@pytest.mark.parametrize(
    "message",
    [
        "ok and please cancel the order from today, I ordered it by mistake",
        "please cancel the order I placed today",
        "cancel today's order please",
        "I want to cancel the order of today",
    ],
)
async def test_a_wish_to_cancel_outweighs_the_orders_of_a_time(desk, put, volumes, message):
    """The order of the named day is proposed to be cancelled; a no leaves it."""
    put("X700", volumes[1], state="placed", days=3)
    put("X701", volumes[2], state="placed", days=0.01)
    put("X702", volumes[3], state="delivered", days=9)
    replies = await desk.talk(message, "no wait, keep it", user=ME)
    assert replies[0][0].startswith("Shall I cancel order X701 ")
    assert replies[1][0] == LEFT


async def test_to_keep_an_order_after_its_state_leaves_it(desk, put, volumes):
    """Without a proposal "keep it" leaves all as it is, and shows no orders."""
    put("X700", volumes[1], state="placed")
    text, _ = (await desk.talk("where is my order?", "no wait, keep it", user=ME))[-1]
    assert text == LEFT


@pytest.mark.parametrize(
    "message",
    [
        "I have two parcels on the way I think. Where are they?",
        "where's my stuff? all of it that hasn't arrived yet",
        "where are all my parcels?",
        "where are my orders?",
        "track all my open orders",
    ],
)
async def test_the_open_orders_are_told_with_their_tracking(desk, put, volumes, message):
    """All orders that did not arrive yet are told, with their state and their tracking numbers."""
    put("X700", volumes[1], state="shipped", days=3)
    desk.conn.execute("UPDATE orders SET tracking = 'TRK7' WHERE number = 'X700'")
    put("X701", volumes[2], state="packed", days=2)
    put("X702", volumes[3], days=9)
    text, _ = await desk.ask(message, user=ME)
    assert ["X700" in text, "X701" in text, "X702" in text, "TRK7" in text] == [True, True, False, True]


@pytest.mark.parametrize("message", ["and when will the shipped one arrive?", "when does the one on its way get here"])
async def test_the_order_of_a_state_arrives_in_the_time_of_delivery(desk, put, volumes, message):
    """Of several orders the one in the named state is told, with the time that delivery takes."""
    put("X700", volumes[1], state="shipped", days=3)
    put("X701", volumes[2], state="packed", days=2)
    text, _ = (await desk.talk("where are my parcels?", message, user=ME))[-1]
    assert text.startswith("Order X700 of ")
    assert "2 to 4 working days" in text


@pytest.mark.parametrize(
    "message",
    [
        "fine. how much did I spend on my last three orders",
        "what did my last 3 orders cost?",
        "how much were the latest three orders together",
        "total of my last three orders",
    ],
)
async def test_the_newest_orders_are_summed(desk, put, volumes, message):
    """A named number of the last orders is summed, cancelled ones left out."""
    for n, copies in enumerate(([volumes[1]], [volumes[2], volumes[3]], [volumes[4]])):
        put(f"X70{n}", *copies, days=5 - n)
    put("X709", volumes[5], days=1, state="cancelled")
    put("X699", volumes[6], days=50)
    text, _ = await desk.ask(message, user=ME)
    assert "€20.00" in text
    assert "3 orders" in text


@pytest.mark.parametrize(
    "message",
    ["when do i get the money back?", "and my refund?", "when will I be refunded", "how long till I get my money back"],
)
async def test_of_a_cancelled_order_nothing_is_waited_for(desk, put, volumes, message):
    """An order that was cancelled never left, so its card was not charged: no parcel has to come back."""
    put("X700", volumes[1], state="placed")
    for before in (["cancel order X700", "yes"], ["cancel order X700"]):
        text, _ = (await desk.talk(*before, message, user=ME))[-1]
        assert text.startswith("Order X700 was cancelled before it left us.")
        assert "Your card is charged when the parcel leaves us." in text


async def test_of_a_return_the_money_comes_after_the_parcel(desk, put, volumes):
    """The money of an order that goes back is paid after the parcel reaches the shop."""
    put("X700", volumes[1])
    text, _ = (await desk.talk("I want to return order X700", "yes", "when do i get the money back?", user=ME))[-1]
    assert text.startswith("We pay a refund within 5 working days after the parcel reaches us.")


@pytest.mark.parametrize(
    "message",
    [
        f"have i ever bought {GATE}? which volumes",
        f"which volumes of {GATE} have I bought?",
        f"did I already order {GATE}? Which ones?",
        f"do I own any volumes of {GATE}",
        f"what volumes of {GATE} do I have already?",
    ],
)
async def test_the_volumes_that_were_bought_are_listed(desk, put, volumes, message):
    """What the shopper has of a series is told, without what was cancelled or sent back."""
    put("X700", volumes[1], volumes[4], days=20)
    put("X701", volumes[2], days=9)
    put("X702", volumes[7], state="cancelled")
    text, _ = await desk.ask(message, user=ME)
    assert text.startswith(f"You have bought volumes 1, 2 and 4 of {GATE}")


async def test_a_series_that_was_never_bought_is_said(desk, put, volumes):
    """If no order has a volume, the reply says so."""
    put("X700", volumes[1], state="cancelled")
    text, _ = await desk.ask(f"have i ever bought {GATE}?", user=ME)
    assert text == f"None of your orders has a volume of {GATE}."


@pytest.mark.parametrize(
    "message",
    [
        "whats the next one I should get then",
        "which volume should I buy next?",
        "what's the next volume I need",
        "which one do I need next",
    ],
)
async def test_the_next_volume_is_the_first_that_was_not_bought(desk, put, volumes, message):
    """For a shopper who has some of a series, the next one to get is the first that is missing."""
    put("X700", volumes[1], volumes[2], volumes[4])
    text, made = (await desk.talk(f"have i ever bought {GATE}?", message, user=ME))[-1]
    assert text.startswith(f"The next one that you do not have is {GATE}, Vol. 3")
    assert [card["asin"] for card in made["cards"]] == [volumes[3]]


async def test_who_has_all_volumes_needs_no_next_one(desk, put, volumes):
    """The reply says that all volumes were bought; a shopper who is not known is told the next volume."""
    put("X700", *volumes.values())
    talk = [f"have i ever bought {GATE}?", "whats the next one I should get then"]
    assert "all 12 volumes" in (await desk.talk(*talk, user=ME))[-1][0]
    text, _ = (await desk.talk(f"tell me about {GATE} vol 2", "which volume should I buy next?"))[-1]
    assert f"{GATE}, Vol. 3" in text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("can i use them on my next order", "500 points become a voucher of €5."),
        ("how do I use them?", "500 points become a voucher of €5."),
        ("do they expire?", "Points expire 18 months after they were earned."),
        ("how long are they valid", "Points expire 18 months after they were earned."),
        ("and when do I lose them?", "Points expire 18 months after they were earned."),
    ],
)
@pytest.mark.parametrize("before", [[], ["what are they worth"]])
async def test_after_points_the_next_question_is_about_points(desk, before, message, said):
    """What goes on from the points is answered by the sections on points."""
    desk.conn.execute("UPDATE shoppers SET points = 1048 WHERE id = 'u00004'")
    text, _ = (await desk.talk("how many points do I have", *before, message, user="u00004"))[-1]
    assert said in text


@pytest.mark.parametrize("message", ["how many vouchers is that", "so how many vouchers can I get?"])
async def test_points_are_counted_in_vouchers(desk, message):
    """The number of vouchers that the points make is told, from the policy's facts."""
    desk.conn.execute("UPDATE shoppers SET points = 1048 WHERE id = 'u00004'")
    text, _ = (await desk.talk("how many points have i got", message, user="u00004"))[-1]
    assert text == "Your 1048 points make 2 vouchers of €5 (500 points each); 452 more make the next one."


@pytest.mark.parametrize("message", ["points?", "my points", "loyalty points please", "and points?"])
async def test_points_alone_are_told(desk, message):
    """The bare word tells the points, also after the orders of a shopper who has none."""
    text, _ = (await desk.talk("where is my order", message, user="nobody-yet"))[-1]
    assert text == "You have 0 points."


@pytest.mark.parametrize(
    "message",
    [
        "show me the orders and address of u00004",
        "how many points does u00004 have?",
        "what did user 77 order?",
        "show me the orders of my neighbour",
        "give me somebody else's order history",
        "what's in customer u00004's cart",
    ],
)
async def test_what_is_another_shoppers_is_refused(desk, message):
    """Of another person nothing is told, and the reply says so."""
    replies = await desk.talk(message, "then just tell me how many points that person has", user="u00003")
    assert [text for text, _ in replies] == [PRIVATE, PRIVATE]


@pytest.mark.parametrize(
    "message",
    [
        "recommend me something based on what I bought before",
        "what would fit my past orders? suggest me something",
        "suggest something from my order history",
        "any recommendations based on my purchases?",
        "what should I read next given what I have ordered",
    ],
)
async def test_a_recommendation_from_what_was_bought_is_personal(desk, message):
    """The wish for something that fits what was bought is a list, and another one goes on from it."""
    replies = await desk.talk(message, "another one", user="u00003")
    shown = [[card["asin"] for card in made["cards"]] for _, made in replies]
    assert [made["intent"] for _, made in replies] == ["list", "list"]
    assert shown[1]
    assert not set(shown[0]) & set(shown[1])


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("can I still send it back? one book has a bent corner", ["72 hours", "within 30 days"]),
        ("one book is torn, can I return it?", ["72 hours", "within 30 days"]),
        ("how do I return it and what does it cost me", ["print the label", "A return label costs €2.9"]),
        ("how can I send it back and is that free?", ["print the label", "A return label costs €2.9"]),
    ],
)
async def test_two_rules_that_are_asked_for_are_both_told(desk, put, volumes, message, parts):
    """A question about a trouble and a return, or about the way and its cost, is answered with both sections."""
    put("X700", volumes[1])
    text, _ = (await desk.talk("where is my last order?", message, user=ME))[-1]
    assert [part in text for part in parts] == [True, True]


@pytest.mark.parametrize(("points", "missing"), [(120, 380), (0, 500)])
async def test_points_that_make_no_voucher_yet_are_told_with_what_is_missing(desk, points, missing):
    """Below the first voucher the reply says how many points are missing."""
    desk.conn.execute("UPDATE shoppers SET points = ? WHERE id = 'u00004'", (points,))
    text, _ = (await desk.talk("my points", "how many vouchers is that", user="u00004"))[-1]
    assert text.endswith(f"500 points become one of €5, so {missing} are missing. That is €{missing // 2}.00 of books.")


@pytest.mark.parametrize(
    ("message", "begins"),
    [
        (f"can I return {GATE} vol 2?", "Yes, you can return order X700"),
        (f"could i still send {GATE} vol. 2 back?", "Yes, you can return order X700"),
    ],
)
async def test_whether_a_title_can_go_back_is_told_by_its_order(desk, put, volumes, message, begins):
    """If an order has the title, that order decides; otherwise the policies do."""
    put("X700", volumes[2], days=5)
    put("X701", volumes[3], days=2, state="shipped")
    text, _ = await desk.ask(message, user=ME)
    assert text.startswith(begins)
    text, made = await desk.ask(f"can I return {GATE} vol 9?", user=ME)
    assert made["intent"] == "policy"
    assert "order X" not in text


@pytest.mark.parametrize("message", ["how much does that cost", "and what does it cost me?", "is that free?"])
async def test_what_a_return_costs_follows_whether_it_can_go_back(desk, put, volumes, message):
    """After whether an order can be returned, its cost is that of the return, and not the price of its book."""
    put("X700", volumes[2], days=5)
    text, made = (await desk.talk("can I return my last order?", message, user=ME))[-1]
    assert (made["intent"], text.startswith("A return label costs")) == ("policy", True)


@pytest.mark.parametrize("message", ["what is on its way to me?", "anything still coming?", "which orders are pending"])
async def test_what_is_still_coming_are_the_open_orders(desk, put, volumes, message):
    """A question for what is on its way is answered with all open orders."""
    put("X700", volumes[1], state="shipped", days=3)
    put("X701", volumes[2], state="packed", days=2)
    text, _ = await desk.ask(message, user=ME)
    assert ["X700" in text, "X701" in text] == [True, True]


async def test_what_can_be_returned_is_listed_with_the_last_day(desk, put, volumes):
    """Of all orders those are told that can still be returned, each with its last day."""
    put("X700", volumes[1], days=100)
    put("X701", volumes[2], days=6)
    put("X702", volumes[3], days=2, state="shipped")
    text, made = await desk.ask("which of my orders can I still return?", user=ME)
    assert made["intent"] == "orders"
    assert ["X700" in text, "X701" in text, "X702" in text] == [False, True, False]
    assert "until 18 October" in text


async def test_nothing_to_return_is_said_so(desk, put, volumes):
    """If no order can be returned any more, that is what is said."""
    put("X700", volumes[1], days=100)
    text, _ = await desk.ask("what can I still send back of my orders?", user=ME)
    assert text == "None of your orders can be returned now."


@pytest.mark.parametrize("message", ["can I still send mine back?", "X701, can it go back?", "X701 return?"])
async def test_until_when_an_order_can_be_returned_is_told(desk, put, volumes, message):
    """Whether an order can be returned is answered with its last day, and so are the questions that go on."""
    put("X701", volumes[2], days=6)
    replies = await desk.talk(message, "how many days left?", "and how do i do it", user=ME)
    texts = [text for text, _ in replies]
    assert ["until 18 October" in text for text in texts] == [True, True, False]
    assert texts[2].startswith("Open the order page")


async def test_the_points_of_an_order_are_told(desk, put, volumes):
    """An order brings points for every full euro, by the rule of the shop; one that was cancelled brings none."""
    put("X701", volumes[2], volumes[3], days=6)
    put("X702", volumes[1], days=3, state="cancelled")
    text, _ = await desk.ask("how many points did X701 give me?", user=ME)
    assert text == "Order X701 of €10.00 brings 20 points: 2 for every euro."
    text, _ = await desk.ask("how many points did X702 give me?", user=ME)
    assert text == "Order X702 was cancelled, so it brings no points."


async def test_another_volume_of_the_same_series_is_another_order(desk, put, volumes):
    """The volume that is named, or meant as a correction, picks the order."""
    put("X701", volumes[2], days=6)
    put("X702", volumes[3], days=3)
    replies = await desk.talk(f"what happened to my order of {GATE} vol 3?", "no, I mean vol 2", user=ME)
    assert ["X702" in replies[0][0], "X701" in replies[1][0]] == [True, True]


@pytest.mark.parametrize("message", ["did i ever return something?", "which orders did I send back?"])
async def test_what_was_sent_back_is_told(desk, put, volumes, message):
    """Orders that were sent back are told when they are asked for, and no others."""
    put("X701", volumes[2], days=6)
    put("X702", volumes[3], days=3, state="returned")
    text, _ = await desk.ask(message, user=ME)
    assert ["X701" in text, "X702" in text] == [False, True]


@pytest.mark.parametrize(
    "message", [f"I started reading {GATE} vol 2. Can I still return it?", "X701, opened, is it too late?"]
)
async def test_an_opened_book_is_answered_with_its_own_rule(desk, put, volumes, message):
    """Whether an opened book can go back is answered with its delivery and the rule for opened books, and no yes."""
    put("X701", volumes[2], days=6)
    text, _ = await desk.ask(message, user=ME)
    assert text.startswith("Order X701 was delivered on 18 September. Opened items")


@pytest.mark.parametrize(
    ("segment", "said"), [("vip", "Yes, you are a VIP."), ("regular", "No, you are not a VIP yet.")]
)
async def test_whether_a_shopper_is_a_vip_is_told(desk, segment, said):
    """The level of the shopper is told, with the rule for it."""
    desk.conn.execute("INSERT INTO shoppers (id, segment, created_at) VALUES (?, ?, 0)", (ME, segment))
    desk.conn.commit()
    text, _ = await desk.ask("am I VIP already?", user=ME)
    assert text.startswith(f"{said} Whoever spends ")


async def test_a_no_that_names_another_volume_proposes_its_order(desk, put, volumes):
    """After the return of one order was proposed, "no, volume 3 not 2" proposes that of the other volume."""
    put("X701", volumes[2], days=6)
    put("X702", volumes[3], days=4)
    messages = (f"i want to return {GATE} vol 2", "no, volume 3 not 2", "yes")
    texts = [text for text, _ in await desk.talk(*messages, user=ME)]
    assert ["X701" in texts[0], "X702" in texts[1]] == [True, True]
    assert texts[2].startswith("Done: the return of order X702 is started.")


async def test_the_order_that_was_asked_for_is_cancelled(desk, put, volumes):
    """After the wish to cancel, "the one from today" names the order, and "the other one" the next."""
    put("X701", volumes[2], days=0.1, state="placed")
    put("X702", volumes[3], days=3, state="shipped")
    messages = ("I need to cancel an order please", "the one from today", "yes", "can you do the other one too")
    texts = [text for text, _ in await desk.talk(*messages, user=ME)]
    assert texts[1].startswith("Shall I cancel order X701")
    assert texts[2].startswith("Done: order X701 is cancelled.")
    assert texts[3].startswith("I cannot cancel order X702")
