"""Corrections of a turn's intent after the head's prediction."""

from types import SimpleNamespace

import pytest

from retail_assistant.chat.routing import RECOMMENDED, corrected
from retail_assistant.chat.turn import Turn

RECENT = (("user", "recommend me something"), ("assistant", f"{RECOMMENDED[0]} A (€1)."))


class EmptyShelf:
    """A shop in which no title is found."""

    def search(self, *_, **__):
        return []


@pytest.mark.parametrize(
    ("message", "history", "intent", "expected"),
    [
        ("something under 10 euros please", (), "promotion", "recommendation"),
        ("show me horror books under 8 euros", (), "promotion", "recommendation"),
        ("no horror please", RECENT, "smalltalk", "recommendation"),
        ("more", RECENT, "smalltalk", "recommendation"),
        ("what's popular in fantasy?", RECENT, "trending", "trending"),
        ("is it cheaper in paperback?", (("user", "x"), ("assistant", "y")), "faq", "price_stock"),
        ("where is my order?", RECENT, "order_status", "order_status"),
        ("what is your return window?", (), "faq", "faq"),
    ],
)
def test_conversation_and_price_limits_correct_the_intent(message, history, intent, expected):
    """A price limit, or an answer to a recommendation, changes the intent to recommendation."""
    assert corrected(Turn(message, "u", None, history), intent, EmptyShelf()) == expected


SPOKEN = (("user", "tell me about Moon Tales"), ("assistant", "It is a comedy."))
NINE_WORDS = "is it too expensive for a very small child"


class OneBook:
    """A shop with one book."""

    def search(self, *_, **__):
        return ["b1"]

    def product(self, _):
        return SimpleNamespace(title="Moon Tales", volume=1, format="paperback")


@pytest.mark.parametrize(
    ("message", "history", "expected"),
    [
        ("how much is Moon Tales?", (), "price_stock"),
        ("is Moon Tales in stock?", RECENT, "price_stock"),
        ("how much is Sun Tales?", (), "faq"),
        ("who wrote Moon Tales?", (), "faq"),
        ("how much is Moon Tales under 10 euros?", (), "faq"),
        ("which is the cheapest, is Moon Tales in stock?", (), "faq"),
        ("is it expensive?", SPOKEN, "price_stock"),
        ("is it expensive?", (), "faq"),
        ("is it expensive, or under 10 euros?", SPOKEN, "faq"),
        ("is it good?", SPOKEN, "faq"),
        ("is shipping expensive?", SPOKEN, "faq"),
        (NINE_WORDS.removesuffix(" child"), RECENT, "recommendation"),
        (NINE_WORDS, RECENT, "price_stock"),
    ],
)
def test_a_price_is_told_of_a_book_that_is_known(message, history, expected):
    """A price question about a known book has the intent price_stock; one with a limit does not."""
    assert corrected(Turn(message, "u", None, history), "faq", OneBook()) == expected


@pytest.mark.parametrize("intent", ["faq", "reviews", "order_status", "smalltalk", "trending"])
@pytest.mark.parametrize(
    ("message", "history", "is_about_an_edition"),
    [
        ("is it there as a hardcover?", SPOKEN, True),
        ("do you have it as an e-book?", SPOKEN, True),
        ("do you have it?", SPOKEN, False),
        ("is it there as a hardcover?", (), False),
        ("do you sell paperback editions?", SPOKEN, False),
    ],
)
def test_a_format_asks_for_an_edition_of_what_was_spoken_of(message, history, is_about_an_edition, intent):
    """A format in a follow-up changes any intent to price_stock; other messages keep theirs."""
    found = corrected(Turn(message, "u", None, history), intent, EmptyShelf())
    assert found == ("price_stock" if is_about_an_edition else intent)
