"""Which number of copies a message names, and which numbers are prices, volumes or dates."""

import math

import pytest

from retail_assistant.understand.copies import copies


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("add it to my cart", None),
        ("add 3 copies to my cart", 3),
        ("add twelve of them", 12),
        ("put 1,000 copies in my cart", 1000),
        ("put 1000000 copies in my cart", 1_000_000),
        ("add 0 copies", 0),
        ("make it -2", -2),
        ("add \u22125 copies", -5),
        ("add minus five copies", -5),
        ("add one of vol 1 and -2 of vol 2", -2),
        ("add - 2 copies", 2),
        ("add volumes 1-3", None),
        ("add vol 2 for \u20ac9", None),
        ("add it for 5.99 to my cart", None),
        ("add the \u20ac5.99 one", None),
        ("add it with 2.5 % off", None),
    ],
)
def test_a_number_of_copies_is_read_with_its_sign(text, named):
    """Prices, ranges and volumes count nothing; of several numbers one below zero is told."""
    assert copies(text) == named


@pytest.mark.parametrize(
    "text", ["add 2.5 copies", "add 2,5 to my cart", "make it 1.5", "add half a copy", "add one and a half copies",
             "add 1/2 copies", "add -1.5 copies", "change it to 1.5 in my cart"],
)  # fmt: skip
def test_a_part_of_a_copy_is_not_a_number_of_copies(text):
    """A fraction that is counted with is told as what it is, rather than left out or taken for its digits."""
    assert math.isnan(copies(text))
