"""What a turn asks for, beyond the head's intent."""

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
    """A price limit or an answer to a recommendation is a wish for recommendations; other intents stay."""
    assert corrected(Turn(message, "u", None, history), intent, EmptyShelf()) == expected
