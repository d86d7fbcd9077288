"""The state of a conversation, kept by its session or read again out of its messages: both give the same replies."""

import json

import pytest

from retail_assistant.answers.draft import Draft
from retail_assistant.chat.conversation import KEPT, KEPT_S, LONGEST_QUESTION, MOST_OFFERED, Sessions, after
from retail_assistant.chat.turn import Turn
from retail_assistant.shop import queries, records
from retail_assistant.shop.explorations import note_exploration
from retail_assistant.shop.finding import Conditions
from retail_assistant.shop.retention import Privacy
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import NEW, Dialogue, Pending
from retail_assistant.understand.wishes import Wishes

from .conftest import NOW

ME, PLACED = "u00003", "u00041"
DIALOGUES = {
    "a list that is refined": (
        "show me thriller books", "in paperback", "under 8 euros", "something else", "how much is the first one?",
    ),
    "a list and no format": (
        "recommend me a cooking book", "something else", "no hardcover please", "who wrote the first?",
    ),
    "policies": ("What is your return window?", "and for opened boxes?", "and abroad?"),
    "a topic that changes": ("how do gift cards work?", "how long are they valid?", "thanks", "show me a romance"),
    "facts of one series": (
        "who wrote Escape of Silver Gate?", "how many volumes are there?", "and 3?", "how much is it in paperback?",
    ),
    "a comparison": (
        "compare An Apron for Nils 1 and A Rally for Nils 1", "the other one", "how much is the cheaper one?",
    ),
    "promotions": ("any promotions on cooking books?", "and thriller?"),
    "a promotion and its end": ("any promotions on cooking books?", "until when?", "and how many percent?"),
    "what sells": ("what are your most popular thrillers?", "in paperback", "something else"),
    "orders": ("where is my order?", "and the other one?", "how much did I pay?"),
    "points": ("how many points do I have?", "what are they worth?"),
    "a cart": (
        "add An Apron for Viktor 2 to my cart", "make it three", "yes", "remove it from my cart", "no",
        "what's in my cart?",
    ),
    "a return": ("start a return of order A10008", "yes", "yes", "where is order A10008?"),
    "two questions at once": ("how much is Escape of Silver Gate 2 and who wrote it?", "and volume 3?"),
}  # fmt: skip


async def both(opened, messages, **members):
    """Hold a dialogue without and with a session, each in its own shop; return the texts, kinds and cards."""
    plain, kept = await opened(), await opened()
    named = members | {"metadata": members.get("metadata", {}) | {"session": "s"}}
    replies = []
    for desk, said in ((plain, members), (kept, named)):
        held = await desk.talk(*messages, **said)
        replies.append([(text, made["intent"], [c["asin"] for c in made["cards"]]) for text, made in held])
    carts = [queries.get_cart(desk.conn, members.get("user", "")).lines for desk in (plain, kept)]
    return replies, carts


@pytest.mark.parametrize("name", DIALOGUES)
async def test_a_dialogue_needs_no_session(opened, name):
    """The same dialogue gives the same replies, cards and cart with and without a session."""
    (plain, kept), carts = await both(opened, DIALOGUES[name], user=ME)
    assert plain == kept
    assert carts[0] == carts[1]


@pytest.mark.parametrize(
    "messages",
    [
        ("is this in stock?", "what is it about?", "are there reviews?"),
        ("what is it about?", "how much is it?", "something like this"),
    ],
)
async def test_a_dialogue_on_a_page_needs_no_session(opened, messages):
    """On the page of an edition all questions are about that edition, with and without a session."""
    (plain, kept), _ = await both(opened, messages, metadata={"page": "B000044"})
    assert plain == kept


async def test_an_order_is_cancelled_with_and_without_a_session(opened):
    """The dialogue that cancels an order gives the same replies in both, and cancels it in both."""
    messages = ("where is my order?", "cancel it", "yes", "where is it?")
    (plain, kept), _ = await both(opened, messages, user=PLACED)
    assert plain == kept
    assert [text for text, *_ in plain][2:] == [text for text, *_ in kept][2:]
    assert "is cancelled" in plain[2][0]
    assert "was cancelled" in plain[3][0]


async def test_a_session_of_another_conversation_is_not_gone_on_from(desk):
    """A session whose last reply is not that of the messages is read again out of the messages."""
    session = {"metadata": {"session": "s"}, "user": ME}
    await desk.ask("who wrote Escape of Silver Gate?", **session)
    elsewhere = [{"role": "user", "content": "who wrote A Lantern for Wren?"},
                 {"role": "assistant", "content": "A Lantern for Wren is by Chiyo Marlow."}]  # fmt: skip
    text, _ = await desk.ask("how much is it?", history=elsewhere, **session)
    assert text.startswith("A Lantern for Wren by Chiyo Marlow costs €10.99")


async def test_words_of_a_title_in_a_reply_are_not_that_book(desk):
    """A reply that only has words of a title did not show the book, so a price that is asked for next is not its."""
    said = "We pack every parcel in silver paper before it leaves our gate."
    history = [{"role": "user", "content": "how do you pack?"}, {"role": "assistant", "content": said}]
    _, made = await desk.ask("how much is it?", history=history)
    assert made["cards"] == []


async def test_a_message_without_history_begins_anew(desk):
    """A first message goes on from nothing, also in a session that was used before."""
    session = {"metadata": {"session": "s"}, "user": ME}
    await desk.ask("add An Apron for Viktor 2 to my cart", **session)
    text, made = await desk.ask("yes", **session)
    assert not text.startswith("Done")
    assert queries.get_cart(desk.conn, ME).lines == ()
    assert made["intent"] != "action"


class Now:
    """A clock that is set by hand."""

    at = 1_000.0

    def __call__(self):
        return self.at


@pytest.fixture
def now():
    """Return a clock."""
    return Now()


@pytest.fixture
def sessions(now):
    """Return the empty states of conversations."""
    return Sessions(now)


SAID = Dialogue(focus="B1", kind="facts", turns=1)


def turn(session="s", shopper=ME, reply="It is a book."):
    """Return a turn that follows a reply."""
    return Turn("and the price?", shopper, history=(("user", "x"), ("assistant", reply)), session=session)


def test_a_state_is_recalled_after_its_reply_only(sessions):
    """A state is recalled by its shopper and session after the same reply, whatever spaces surround it."""
    sessions.keep(turn(), SAID, "It is a book. ")
    assert sessions.recall(turn()) == SAID
    assert sessions.recall(turn(reply="It is a tale.")) is None
    assert sessions.recall(turn(shopper="u00004")) is None
    assert sessions.recall(turn(session="t")) is None
    assert sessions.recall(Turn("hello", ME, session="s")) is None


def test_a_conversation_without_a_session_is_not_kept(sessions):
    """Nothing is kept or recalled for a conversation that its client did not name."""
    sessions.keep(turn(session=""), SAID, "It is a book.")
    assert sessions.recall(turn(session="")) is None
    assert sessions.erase(ME) == {"conversations": 0}


@pytest.mark.parametrize(("later", "is_kept"), [(KEPT_S, True), (KEPT_S + 1, False)])
def test_a_state_is_kept_for_an_hour(sessions, now, later, is_kept):
    """A state is recalled up to its time, and not after it."""
    sessions.keep(turn(), SAID, "It is a book.")
    now.at += later
    assert (sessions.recall(turn()) == SAID) is is_kept


def test_the_oldest_states_are_dropped_first(sessions):
    """Beyond the greatest number the state that was used longest ago is dropped."""
    for n in range(KEPT):
        sessions.keep(turn(session=f"s{n}"), SAID, "It is a book.")
    sessions.keep(turn(session="s0"), SAID, "It is a book.")
    sessions.keep(turn(session="new"), SAID, "It is a book.")
    assert [sessions.recall(turn(session=name)) == SAID for name in ("s0", "s1", "s2", "new")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_a_shopper_is_forgotten(sessions):
    """All states of one shopper are erased and counted, and those of others are kept."""
    for session in ("s", "t"):
        sessions.keep(turn(session), SAID, "It is a book.")
    sessions.keep(turn(shopper="u00004"), SAID, "It is a book.")
    assert sessions.erase(ME) == {"conversations": 2}
    assert sessions.recall(turn()) is None
    assert sessions.recall(turn(shopper="u00004")) == SAID


def test_what_is_remembered_of_a_shopper_is_told(sessions, now):
    """Each state of a shopper is told by its session, in values that JSON has, and none of others."""
    wishes = Wishes(genres=frozenset({"thriller"}))
    sessions.keep(turn("t"), Dialogue(focus="B1", wishes=wishes), "It is a book.")
    sessions.keep(turn(shopper="u00004"), SAID, "It is a book.")
    ((told,),) = json.loads(json.dumps(sessions.export(ME.upper()))).values()
    assert (told["session"], told["at"], told["focus"], told["wishes"]["genres"]) == ("t", now.at, "B1", ["thriller"])


async def test_a_server_erases_the_shop_first_and_then_what_it_remembers(desk):
    """A server has both places, and a conversation is forgotten by the one that a command has not."""
    await desk.ask("do you have a fantasy?", user=ME, metadata={"session": "s"})
    shop, conversations = desk.http.app.plugins[Privacy]
    assert (shop.name, conversations.name) == ("shop", "conversations")
    assert conversations.erase(ME) == {"conversations": 1}


THRILLERS = Wishes(genres=frozenset({"thriller"}))


@pytest.mark.parametrize(
    ("intent", "asins", "shown", "focus"),
    [
        ("list", ("B1", "B2"), ("B1", "B2"), ""),
        ("compare", ("B1", "B2"), ("B1", "B2"), ""),
        ("offer", ("B1", "B2"), ("B1", "B2"), "B1"),
        ("list", ("B1",), ("B1",), "B1"),
        ("policy", (), ("B8", "B9"), "B9"),
    ],
)
def test_a_reply_leaves_what_it_showed_and_what_it_spoke_of(intent, asins, shown, focus):
    """A reply with one product makes it the product spoken of, a list leaves none, and other replies change nothing."""
    said = Dialogue(shown=("B8", "B9"), focus="B9", turns=3)
    found = after(said, Ask("x"), Draft("Y.", asins=asins, intent=intent))
    assert (found.shown, found.focus, found.kind, found.turns) == (shown, focus, intent, 4)


def test_wishes_are_left_by_lists_and_pending_actions_by_the_last_reply():
    """Only a list leaves its wishes, other replies keep them; a pending action lasts for one reply."""
    said = after(NEW, Ask("x"), Draft("Y.", asins=("B1",), intent="list", wishes=THRILLERS, pending=Pending("empty")))
    assert (said.wishes, said.offered, said.pending) == (THRILLERS, ("B1",), Pending("empty"))
    said = after(said, Ask("x"), Draft("Y.", asins=("B2",), intent="offer"))
    assert (said.wishes, said.offered, said.pending) == (THRILLERS, ("B1",), None)


def test_a_long_conversation_stays_small():
    """What was offered and what was asked before are kept up to a limit."""
    said = NEW
    for n in range(MOST_OFFERED + 5):
        said = after(said, Ask("x"), Draft("Y.", asins=(f"B{n}",), intent="list"))
    assert len(said.offered) == MOST_OFFERED
    assert said.offered[-1] == f"B{MOST_OFFERED + 4}"
    for _ in range(20):
        ask = Ask("and what about very long questions?", follows=True, leftover=("long",))
        said = after(said, ask, Draft("Y.", intent="policy", section="a#b"))
    assert len(said.question) <= LONGEST_QUESTION


def test_a_state_that_is_over_is_not_kept_in_memory(sessions, now):
    """A later conversation drops the states whose time is over, also those that nobody asks for again."""
    sessions.keep(turn(session="old"), SAID, "It is a book.")
    now.at += KEPT_S + 1
    sessions.keep(turn(session="new"), SAID, "It is a book.")
    assert sessions.erase(ME) == {"conversations": 1}


async def test_what_is_kept_of_a_shopper_is_erased_over_http(desk):
    """An operator erases a shopper's conversations and recorded questions, and nobody else's."""
    for shopper in (ME, "u00004"):
        await desk.ask("do you have a fantasy?", user=shopper, metadata={"session": "s"})
        note_exploration(desk.conn, shopper=shopper, text="can I swap it?", answer="returns#exchange", now=NOW)
    answer = await desk.client.delete(f"/v1/chat/shoppers/{ME.upper()}")
    assert (answer.status_code, answer.json()) == (200, {"conversations": 1, "questions": 1})
    assert desk.conn.execute("SELECT shopper FROM explorations").fetchall() == [("u00004",)]
    again = await desk.client.delete(f"/v1/chat/shoppers/{ME}")
    assert again.json() == {"conversations": 0, "questions": 0}


async def test_a_place_in_a_list_is_known_after_one_was_picked(desk):
    """After one product of a list was picked, another place still means the list, with a session and without."""
    for session in ({}, {"metadata": {"session": "s"}}):
        replies = await desk.talk("show me thriller books", "the second one", "no, I meant the first one", **session)
        first = replies[0][1]["cards"][0]["asin"]
        assert [card["asin"] for card in replies[2][1]["cards"]] == [first]


async def test_a_no_after_a_picked_product_has_a_reply(desk):
    """A bare no after a product was picked is answered, and is not an error."""
    replies = await desk.talk("show me thriller books", "the last one", "neither", "no, wait")
    assert all(text for text, _ in replies)


async def test_the_edition_of_a_changed_number_is_read_out_of_the_reply(desk):
    """Without a session a yes to another number of copies means the edition that the question named."""
    offers = desk.shop.find(Conditions(titles=["An Apron for Nils"]))
    volume = offers[0].product.volume
    for offer in [o for o in offers if o.product.volume == volume]:
        name = f"{offer.product.title} as {offer.product.format}"
        await desk.talk(f"add {name} to my cart", "yes", "make it two", "yes", user=ME)
        assert desk.shop.shoppers.cart(ME) == {offer.asin: 2}
        records.set_cart(desk.conn, ME, {}, now=NOW)


async def test_a_list_after_a_policy_is_a_list(desk):
    """After a country was asked about, a genre and a price ask for books."""
    replies = await desk.talk("do you ship to France?", "do you have thrillers under 12 euros?")
    assert replies[1][1]["intent"] == "list"


async def test_another_language_is_read_again_as_it_was_heard(desk):
    """Without a session, a list that was asked for in another language is gone on from."""
    replies = await desk.talk("haben Sie Thriller als Taschenbuch?", "und als Ebook?")
    formats = [{o.product.format for o in desk.shop.offers(c["asin"] for c in made["cards"])} for _, made in replies]
    genres = {o.product.genre for o in desk.shop.offers(c["asin"] for c in replies[1][1]["cards"])}
    assert (formats, genres) == ([{"paperback"}, {"digital"}], {"thriller"})
