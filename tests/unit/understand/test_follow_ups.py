"""Messages that mean something only after what was said before."""

import pytest

from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.parse import wants_another
from retail_assistant.understand.wishes import Wishes

THRILLERS = Wishes(genres=frozenset({"thriller"}))
THREE = ("P001", "P002", "P003")
LISTED = Dialogue(shown=THREE, offered=THREE, kind="list", wishes=THRILLERS, turns=1)
TWO = Dialogue(shown=("P001", "P002"), focus="P002", kind="compare", turns=1)
ONE = Dialogue(shown=("P002",), focus="P002", kind="facts", slot="author", turns=1)
PRICED = Dialogue(shown=("P002",), focus="P002", kind="offer", slot="price", turns=1)
"""The prices of P001, P002 and P003 are 9, 12 and 7 euros."""


def meant(ask):
    """Return the products that a question is about, by asin."""
    return [(subject.source, subject.asin) for subject in ask.subjects]


@pytest.mark.parametrize(
    ("message", "asin"),
    [
        ("the first one", "P001"),
        ("the second", "P002"),
        ("the third one please", "P003"),
        ("the 2nd one", "P002"),
        ("the last one", "P003"),
        ("the middle one", "P002"),
        ("option 3", "P003"),
        ("number two", "P002"),
        ("how much is the first one?", "P001"),
        ("who wrote the second?", "P002"),
        ("the second of them", "P002"),
        ("the cheaper one", "P003"),
        ("the cheapest one", "P003"),
        ("the more expensive one", "P002"),
        ("the most expensive of them", "P002"),
    ],
)
def test_a_place_in_a_list_is_a_product(read, message, asin):
    """Ordinals name a product by its place in the last list, and comparatives by its present price."""
    assert meant(read(message, LISTED)) == [("shown", asin)]


@pytest.mark.parametrize("message", ["the fourth one", "number 7"])
def test_a_place_behind_the_end_of_a_list_is_not_a_product(read, message):
    """A place behind the end of the list does not name a product."""
    assert meant(read(message, LISTED)) == []


@pytest.mark.parametrize(("focus", "other"), [("P002", "P001"), ("P001", "P002"), ("", "P002")])
def test_the_other_one_of_two_is_the_one_not_spoken_of(read, focus, other):
    """Of two products the other one is the one that is not in focus; at first it is the second."""
    said = Dialogue(shown=("P001", "P002"), focus=focus, kind="compare", turns=1)
    assert meant(read("the other one", said)) == [("shown", other)]


def test_the_other_one_means_nothing_with_three_products(read):
    """With three products "the other one" names none of them."""
    assert meant(read("the other one", LISTED)) == []


@pytest.mark.parametrize(
    ("message", "kind"),
    [("how much is the first one?", "offer"), ("what is the second about?", "facts"), ("add the third one", "action")],
)
def test_a_place_is_asked_about_like_a_title(read, message, kind):
    """A question about a place in a list is read as it would be about a title."""
    assert read(message, LISTED).best.kind == kind


@pytest.mark.parametrize("message", ["the first one", "the cheaper one", "the last one please"])
def test_a_place_alone_asks_for_that_product(read, message):
    """A place alone, after a list, asks what that product is or costs, and not for another list or a policy."""
    assert read(message, LISTED).best.kind in ("facts", "offer")


@pytest.mark.parametrize(
    ("message", "volume"),
    [("and 3?", 3), ("3", 3), ("volume 3", 3), ("and volume 3?", 3), ("the third one", 3), ("#3", 3), ("vol 12", 12)],
)
def test_a_bare_number_after_one_product_is_a_volume(read, message, volume):
    """A number alone, after one product, is another volume of it, and asks for its price."""
    ask = read(message, ONE)
    assert meant(ask) == [("focus", "P002")]
    assert (ask.subjects[0].volume, ask.best.kind) == (volume, "offer")


@pytest.mark.parametrize("message", ["what about 3?", "what about volume 3?", "what about the hardcover?"])
@pytest.mark.parametrize("said", [ONE, PRICED])
def test_what_about_does_not_ask_for_the_story(read, message, said):
    """The words "what about" and a volume or format ask for its price, not for what the book is about."""
    ask = read(message, said)
    assert meant(ask) == [("focus", "P002")]
    assert ask.best.kind == "offer"


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("in paperback", {"formats": frozenset({"paperback"})}),
        ("under 10 euros", {"most_cents": 999}),
        ("no horror", {"no_genres": frozenset({"horror"})}),
        ("only romance", {"genres": frozenset({"romance"})}),
        ("and fantasy?", {"genres": frozenset({"fantasy"})}),
        ("by Zelda Kato", {"authors": frozenset({"Zelda Kato"})}),
        ("with dragons", {"themes": frozenset({"dragons"})}),
        ("volume 3", {"volume": 3}),
        ("in hardcover under 20 euros please", {"formats": frozenset({"hardcover"}), "most_cents": 1999}),
    ],
)
def test_slots_after_a_list_refine_it(read, message, changed):
    """Wishes alone, after a list, change only what they state in the wishes of that list."""
    ask = read(message, LISTED)
    assert (ask.best.kind, ask.best.slot) == ("list", "refine")
    assert ask.wishes == THRILLERS.then(Wishes(**changed))


@pytest.mark.parametrize(
    ("message", "wants"),
    [
        ("something different", True),
        ("a different book", True),
        ("any others?", True),
        ("show me more", True),
        ("more than 300 pages", False),
        ("anything more expensive?", False),
        ("what is different about them?", False),
        ("are there more copies?", False),
    ],
)
def test_more_of_something_is_not_another_list(message, wants):
    """Only a wish for other products asks for another list, not one for more money, pages or copies."""
    assert wants_another(message) is wants


@pytest.mark.parametrize("message", ["something else", "another one", "more", "anything else?", "what else?"])
def test_something_else_after_a_list_is_another_list(read, message):
    """A wish for something else, after a list, asks for more of the same."""
    ask = read(message, LISTED)
    assert (ask.best.kind, ask.wishes) == ("list", THRILLERS)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("where is my order?", "orders"),
        ("thanks", "social"),
        ("how many points do i have?", "points"),
        ("what is your return window?", "policy"),
    ],
)
@pytest.mark.parametrize("said", [LISTED, ONE, PRICED, Dialogue(kind="promotion", turns=1)])
def test_a_complete_question_does_not_go_on_from_the_last_one(read, message, kind, said):
    """A complete question about something else is read as such, whatever was asked before."""
    assert read(message, said).best.kind == kind


@pytest.mark.parametrize(
    ("said", "kind", "slot"),
    [
        (PRICED, "offer", "price"),
        (ONE, "facts", "author"),
        (Dialogue(kind="reviews", shown=("P002",), focus="P002", turns=1), "reviews", ""),
    ],
)
def test_a_title_alone_repeats_the_question_before(read, said, kind, slot):
    """Another title after a question about one asks the same about it."""
    ask = read("and Escape of Silver Gate?", said)
    assert (ask.best.kind, ask.best.slot) == (kind, slot)
    assert [s.name for s in ask.subjects] == ["Escape of Silver Gate"]


@pytest.mark.parametrize(
    ("message", "slot"),
    [
        ("and the other one?", "where"),
        ("how much did i pay?", "paid"),
        ("when will it arrive?", "arrive"),
        ("can i cancel it?", "can_cancel"),
    ],
)
def test_questions_after_one_about_an_order_are_about_orders(read, message, slot):
    """After a question about an order the next one is about orders, and asks for what its words say."""
    ask = read(message, Dialogue(kind="orders", slot="where", turns=1))
    assert (ask.best.kind, ask.best.slot) == ("orders", slot)


@pytest.mark.parametrize(
    ("message", "turns", "follows"),
    [
        ("and in paperback", 1, True),
        ("in paperback", 1, True),
        ("and in paperback", 0, False),
        ("do you also have any books about old lighthouses", 1, False),
        ("do you have any books about old lighthouses instead", 1, True),
    ],
)
def test_a_follow_up_is_short_or_begins_like_one(read, message, turns, follows):
    """A message goes on from earlier turns if it is short, begins with "and" or the like, or says "instead"."""
    assert read(message, Dialogue(turns=turns)).follows is follows


@pytest.mark.parametrize(
    "question",
    [
        "how long can I return a book?",
        "do you ship books to Norway?",
        "can I pay a book by invoice?",
        "is delivery free for one book?",
        "what is the return window for a book",
    ],
)
def test_a_question_about_policies_does_not_change_the_list(parser, question):
    """After a list, a question about what the policies state is not a wish, although it names a book."""
    said = Dialogue(kind="list", shown=("P001", "P002"), offered=("P001", "P002"), turns=1)
    ask = parser.read(question, said)[-1]
    assert ask.slot("list") != "refine"
    assert not ask.wishes.themes
    assert ask.weight("policy") > 0


@pytest.mark.parametrize(
    ("question", "theme"),
    [
        ("any stories with cats?", "cats"),
        ("books about returning soldiers", "returning"),
        ("a shorter series", "shorter"),
    ],
)
def test_a_theme_after_a_list_changes_it(parser, question, theme):
    """After a list, what a book should be about is a wish, also in a word that policies have."""
    said = Dialogue(kind="list", shown=("P001", "P002"), offered=("P001", "P002"), turns=1)
    ask = parser.read(question, said)[-1]
    assert theme in ask.wishes.themes


OFFERED = Dialogue(shown=("P001",), focus="P001", kind="offer", slot="price", turns=1)
ORDERED = Dialogue(kind="orders", slot="where", turns=1)


@pytest.mark.parametrize("question", ["do you price match amazon", "do you sell magazines"])
def test_a_word_that_the_shop_does_not_have_is_not_about_the_last_product(parser, question):
    """A short question with a foreign word is about the last product only if it points at it."""
    for said in (OFFERED, ORDERED):
        ask = parser.read(question, said)[-1]
        assert not ask.subjects
        assert ask.weight("orders") == 0


def test_a_question_about_an_author_is_not_about_the_last_product(parser):
    """After a product's price, "who is" an author asks for that author's books."""
    ask = parser.read("who is petra sato", OFFERED)[-1]
    assert not ask.subjects
    assert ask.best.kind == "list"


@pytest.mark.parametrize(
    ("message", "kind"),
    [("my parcel hasnt come", "orders"), ("which orders do I have", "orders"), ("what's in my cart", "cart")],
)
def test_what_asks_for_something_else_does_not_go_on_from_a_policy(parser, message, kind):
    """After a policy, a question that names the shopper's own things stands alone; a bare amount does not."""
    said = Dialogue(kind="policy", section="payment#gift-cards", question="do you have gift cards", turns=1)
    ask = parser.read(message, said)[-1]
    assert ask.best.kind == kind
    assert ask.stands_alone
    assert not parser.read("how much is it?", said)[-1].stands_alone


def test_a_trouble_after_a_list_does_not_change_it(parser):
    """After a list, a torn cover is a trouble, and not a theme."""
    ask = parser.read("my book arrived with a torn cover!!", LISTED)[-1]
    assert not ask.wishes.themes
    assert ask.weight("list") == 0


@pytest.mark.parametrize("question", ["what about the second", "and the second one?", "the second one"])
def test_a_place_in_the_list_means_its_product(parser, question):
    """A place in the list is the product there, and neither a theme nor another list."""
    ask = parser.read(question, LISTED)[-1]
    assert meant(ask) == [("shown", "P002")]
    assert ask.best.kind == "facts"
    assert not ask.wishes.themes


def test_whether_something_is_of_a_genre_is_not_a_wish(parser):
    """The question "is it scary?" asks for a genre, after a list as after a product."""
    for said in (LISTED, OFFERED):
        assert parser.read("is it scary?", said)[-1].best.kind == "facts"


def test_the_first_several_of_a_list_are_meant_together(parser):
    """The first two of a list are two products."""
    assert meant(parser.read("compare the first two", LISTED)[-1]) == [("shown", "P001"), ("shown", "P002")]


def test_another_genre_instead_is_a_wish(parser):
    """After a product, another genre is asked for, and not the product again."""
    ask = parser.read("ok forget that, comedy instead", OFFERED)[-1]
    assert ask.best.kind == "list"
    assert ask.wishes.genres == {"comedy"}


@pytest.mark.parametrize(
    ("message", "kind", "slot"),
    [
        ("show me order A10583", "orders", "where"),
        ("show me my orders", "orders", "what"),
        ("which order was my last one?", "orders", "what"),
        ("check out please", "social", "checkout"),
        ("I want to pay now", "social", "checkout"),
        ("delete everything", "action", "remove"),
        ("i'm looking for a birthday present for my daughter", "list", ""),
        ("neither", "social", "nothing"),
    ],
)
def test_what_is_asked_for_is_read_by_its_words(parser, message, kind, slot):
    """An order by its number, all orders, the checkout, the whole cart, a present and a no are each told apart."""
    assert (parser.read(message)[-1].best.kind, parser.read(message)[-1].slot(kind)) == (kind, slot)


def test_a_theme_is_refused_after_a_list(read):
    """A shopper who refuses a theme after a list drops it from the wishes; of two alternatives the other one stays."""
    said = Dialogue(shown=THREE, kind="list", wishes=Wishes(themes=frozenset({"dragons"})), turns=1)
    ask = read("no dragons please", said)
    assert (ask.best.kind, ask.wishes) == ("list", Wishes(no_themes=frozenset({"dragons"})))
    choice = Wishes(themes=frozenset({"dragons or pirates"}))
    ask = read("no dragons please", Dialogue(shown=THREE, kind="list", wishes=choice, turns=1))
    assert ask.wishes == Wishes(themes=choice.themes, no_themes=frozenset({"dragons"}))


def test_what_somebody_loves_is_a_theme(parser):
    """What the one for whom a book is loves is what the book should be about."""
    assert "football" in parser.read("a present for my daughter, she loves football")[-1].wishes.themes


@pytest.mark.parametrize("word", ["hmm", "nicer", "mind", "gimme", "grandfather", "boy"])
def test_fillers_name_no_theme(parser, word):
    """Words that only fill a sentence are not content."""
    assert parser.read(f"{word}, under 20 euros", LISTED)[-1].leftover == ()


def test_volumes_go_on_about_the_series(parser):
    """A long question about volumes is about the series that was spoken of, or that was listed."""
    ask = parser.read("I have volumes 1 to 4, which ones am I missing?", OFFERED)[-1]
    assert meant(ask) == [("focus", "P001")]
    listed = Dialogue(shown=THREE, kind="list", wishes=Wishes(series=frozenset({"Foxglove"})), turns=1)
    ask = parser.read("is volume 5 in stock at the moment, please?", listed)[-1]
    assert [(s.name, s.volume) for s in ask.subjects] == [("Foxglove", 5)]


def test_a_volume_is_not_a_number_of_copies(parser):
    """Of "volumes 5 and 6" the first is meant, and neither is a number of copies."""
    ask = parser.read("add volumes 5 and 6 to my cart", OFFERED)[-1]
    assert ask.copies is None
    assert ask.subjects[0].volume == 5


@pytest.mark.parametrize("question", ["how long until i see it on my account?", "can i still change it?"])
def test_a_question_of_how_is_not_a_search(parser, question):
    """A question of how or when whose words the catalog happens to have does not search for them."""
    assert parser.read(question)[-1].weight("list") == 0
