"""Amounts of money in the notations that people type, and numbers that are not money."""

import pytest

from retail_assistant.understand.typed_prices import price_range


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("under 10 euros", 999),
        ("under €10", 999),
        ("below 9.99", 998),
        ("under 9,99 €", 998),
        ("less than ten euros", 999),
        ("cheaper than 8", 799),
        ("under a tenner", 999),
        ("under a fiver", 499),
        ("at most 10 euros", 1000),
        ("up to 12", 1200),
        ("max 15", 1500),
        ("maximum of 15 euros", 1500),
        ("no more than $20", 2000),
        ("not over 12", 1200),
        ("my budget is 15", 1500),
        ("i can spend 25", 2500),
        ("i have 10 euros", 1000),
        ("10 euros or less", 1000),
        ("10€ max", 1000),
        ("within 10 euros", 1000),
        ("under €1,000", 99_999),
        ("max. 10 euros", 1000),
        ("twenty-five euros max", 2500),
    ],
)
def test_a_highest_price_is_read_in_many_notations(text, most):
    """The word "under" leaves the amount itself out and "at most" includes it, with any sign, comma or number word."""
    assert price_range(text)[0] == (None, most)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("over 20 euros", 2000),
        ("at least 20", 2000),
        ("more than 20 euros", 2000),
        ("from 20 euros", 2000),
        ("starting at 5 euros", 500),
        ("20 euros and up", 2000),
        ("20 euros or more", 2000),
    ],
)
def test_a_lowest_price_is_read_in_many_notations(text, least):
    """A lowest price is read before and behind its amount."""
    assert price_range(text)[0] == (least, None)


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("between 5 and 10", (500, 1000)),
        ("between €5 and €10", (500, 1000)),
        ("between five and ten euros", (500, 1000)),
        ("from 5 to 10 euros", (500, 1000)),
        ("5-10 euros", (500, 1000)),
        ("€5-€10", (500, 1000)),
        ("5 \u2013 10 €", (500, 1000)),
        ("over 5 euros and under 10 euros", (500, 999)),
        ("under 10 euros but over 5", (500, 999)),
        ("around 10 euros", (800, 1200)),
        ("about €10", (800, 1200)),
    ],
)
def test_both_ends_of_a_range_are_read(text, both):
    """A range has its lower and its upper end, and "around" means a fifth less or more."""
    assert price_range(text)[0] == both


@pytest.mark.parametrize(
    "text",
    [
        "2-3 days",
        "in 2 to 3 working days",
        "10 pages",
        "from 2 to 3 books",
        "within 5 days",
        "within 5 working days",
        "within 14 days",
        "less than 200 pages",
        "between 50 and 100 pages",
        "at least 3 volumes",
        "up to 5 copies",
        "over 4 stars",
        "over 30 %",
        "2 for 1",
        "from 20",
        "around 10",
        "5 to 10",
        "i have two kids",
    ],
)
def test_numbers_of_other_things_are_not_prices(text):
    """Days, pages, volumes, copies, stars and percents are not prices, nor is a number after a bare "from" or "to"."""
    assert price_range(text) == ((None, None), text)


@pytest.mark.parametrize("text", ["10 euros", "it costs €10", "hello", ""])
def test_an_amount_without_a_limit_limits_nothing(text):
    """An amount alone is not a limit, and the text stays as it is."""
    assert price_range(text) == ((None, None), text)


@pytest.mark.parametrize("text", ["a thriller under 10 euros please", "a thriller between 5 and 10 euros please"])
def test_the_words_of_a_price_are_taken_out(text):
    """What remains of a text has all its words except the number and the sign."""
    rest = price_range(text)[1]
    assert rest.split() == ["a", "thriller", ",", "please"]
