"""A price or a stock that a message states as a fact about a book that it names."""

import pytest

from retail_assistant.understand.premises import Premise

GATE = "Escape of Silver Gate"


@pytest.mark.parametrize(
    ("message", "premise"),
    [
        ("why is {} free?", Premise(cents=0)),
        ("why is {} only 5 euros?", Premise(cents=500)),
        ("Why does {} 3 cost 20 euros?", Premise(cents=2000)),
        ("I heard {} costs 5 euros", Premise(cents=500)),
        ("I read that {} in paperback is just \u20ac4.50. Is that right?", Premise(cents=450)),
        ("a friend told me {} is free", Premise(cents=0)),
        ("{} costs 5 euros, right?", Premise(cents=500)),
        ("since {} is out of stock, what else do you have?", Premise(in_stock=False)),
        ("what can I read instead, now that {} is sold out?", Premise(in_stock=False)),
        ("why is {} not available?", Premise(in_stock=False)),
        ("you said {} is in stock", Premise(in_stock=True)),
    ],
)
def test_a_stated_price_or_stock_is_a_premise(read_all, message, premise):
    """What a message says as a fact, or asks the reason of, is a premise."""
    assert read_all(message.format(GATE)).premise == premise


@pytest.mark.parametrize(
    "message",
    [
        "is {} free?",
        "is {} out of stock?",
        "does {} cost 5 euros?",
        "I heard {} has 5 euros off",
        "is there anything like {} for 5 euros?",
        "why is delivery of {} free?",
        "since {} is under 10 euros, add it to my cart",
        "I heard {} comes with free delivery",
        "is {} free or is {} 2 free?",
        "why is it free?",
        "I heard it costs 5 euros",
    ],
)
def test_questions_and_other_facts_are_no_premises(read_all, message):
    """A question states nothing, and only a price or a stock of one named book is looked at."""
    assert read_all(message.format(GATE, GATE)).premise is None
