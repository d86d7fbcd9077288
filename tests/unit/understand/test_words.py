"""Words of a message: lower case, plain quotation marks, politeness taken off, numbers written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.shop.checks import has_control_characters
from retail_assistant.understand.plain_words import bare, number, ordinal, plain, tokens, words

POLITE = st.sampled_from(["hi", "Hello,", "please", "thanks", "how long", "is shipping", "the book", "?", "!"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi there, how long can I return it, please?", "how long can i return it"),
        ("Hello! Good morning, where is it? Thanks!", "where is it"),
        ("Quick question: where is it, pls?", "where is it"),
        ("Thanks!", "thanks"),
        ("hello, please", "hello, please"),
        ("How long?!", "how long"),
        ("please cancel it", "please cancel it"),
        ("  ", ""),
    ],
)
def test_politeness_and_closing_marks_are_not_part_of_a_question(text, found):
    """A greeting before, thanks behind and final marks are taken off, unless nothing else is left."""
    assert bare(text) == found


@given(st.lists(POLITE, max_size=6).map(" ".join))
def test_baring_twice_is_baring_once(text):
    """Taking politeness off a bare question does not change it."""
    once = bare(text)
    assert bare(once) == once == once.lower().strip()


@pytest.mark.parametrize(("text", "holds"), [("a\tb\nc", False), ("a\u0000", True), ("a\u007f", True), ("\r", True)])
def test_tab_and_newline_are_the_only_control_characters_of_a_message(text, holds):
    """Tab and newline are allowed; other control characters are detected."""
    assert has_control_characters(text) is holds


@pytest.mark.parametrize(("mark", "holds"), [("\u2027", False), ("\u202a", True), ("\u202e", True), ("\u2066", True)])
def test_overrides_of_the_text_direction_are_control_characters(mark, holds):
    """Characters that turn the direction of a text are detected, their neighbours are not."""
    assert has_control_characters(f"a{mark}b") is holds


def test_a_plain_text_has_plain_marks_and_composed_letters():
    """Curly quotation marks become straight ones, and a letter with its accent becomes one character."""
    assert plain("The Captain\u2019s \u201cCafe\u0301\u201d") == 'the captain\'s "caf\u00e9"'


def test_words_are_without_stops_and_signs():
    """Words keep apostrophes, hyphens and decimals; tokens have stops and currency signs as well."""
    assert words("It's sci-fi, Vol. 3: €9.99!") == ["it's", "sci-fi", "vol", "3", "9.99"]
    assert tokens("Vol. 3: €9,99!") == ["vol", ".", "3", ":", "€", "9,99", "!"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("3", 3),
        ("three", 3),
        ("third", 3),
        ("twenty", 20),
        ("dozen", 12),
        ("999999", 999999),
        ("1000000", None),
        ("many", None),
    ],
)
def test_numbers_are_read_as_figures_and_as_words(word, value):
    """A figure, a number word and an ordinal give their number, up to six digits; other words do not give a number."""
    assert number(word) == value


@pytest.mark.parametrize(
    ("word", "place"), [("second", 2), ("2nd", 2), ("12th", 12), ("tenth", 10), ("2", None), ("two", None)]
)
def test_an_ordinal_names_a_place_and_a_number_does_not(word, place):
    """Ordinals in words and figures give a place; cardinal numbers do not."""
    assert ordinal(word) == place
