"""Messages that ask several questions, and what only tells something."""

import pytest

from retail_assistant.understand.split import MOST, questions


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("do you ship to norway? how much is it?", ["do you ship to norway?", "how much is it?"]),
        ("how much is it and is it in stock?", ["how much is it", "is it in stock?"]),
        ("how much is it plus is it in stock", ["how much is it", "is it in stock"]),
        ("what is the price\nis it in stock", ["what is the price", "is it in stock"]),
        ("where is it; what does it cost", ["where is it", "what does it cost"]),
        ("is it in stock? and how much?", ["is it in stock?", "and how much?"]),
    ],
)
def test_a_double_question_is_cut_in_two(text, cores):
    """Two questions are cut at marks, at line ends, and at "and" before a word that asks."""
    assert [part.core for part in questions(text)] == cores
    assert [part.whole for part in questions(text)] == cores


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "recommend a thriller and a romance",
        "do you have it in paperback and hardcover?",
        "which is cheaper, the first or the second, and is it in stock?",
        "is the hardcover better and is it cheaper?",
        "i like dragons and cats",
        "i want a thriller; something dark",
    ],
)
def test_one_question_stays_whole(text):
    """What is joined inside a question, a comparison, and a message that asks nothing are not cut."""
    (part,) = questions(text)
    assert part.core == part.whole == text


@pytest.mark.parametrize(
    ("text", "core", "whole"),
    [
        ("my parcel is wet. what can i do?", "what can i do?", "my parcel is wet. what can i do?"),
        ("what can i do? my parcel is wet.", "what can i do?", "what can i do? my parcel is wet."),
        ("i paid 9.99. can i return it?", "can i return it?", "i paid 9.99. can i return it?"),
        ("hello. where is it? thanks!", "where is it?", "hello. where is it? thanks!"),
    ],
)
def test_what_only_tells_something_goes_with_a_question(text, core, whole):
    """Sentences before a question belong to it, and those behind the last one belong to that."""
    assert [tuple(part) for part in questions(text)] == [(core, whole)]


def test_what_is_told_between_two_questions_goes_with_the_second():
    """A sentence between two questions belongs to the question that follows it."""
    first, second = questions("do you ship abroad? i live in norway. how much is it?")
    assert first.whole == "do you ship abroad?"
    assert second == ("how much is it?", "i live in norway. how much is it?")


@pytest.mark.parametrize(
    ("text", "number"), [("tell me about vol. 3", 1), ("what is no. 3?", 1), ("tell me about vol. 3. is it good?", 2)]
)
def test_the_stop_of_an_abbreviation_does_not_end_a_sentence(text, number):
    """A number stays with "vol." and "no.", whose stop is taken off."""
    parts = questions(text)
    assert len(parts) == number
    assert parts[0].core.rstrip(".?").endswith((" vol 3", " no 3"))


@pytest.mark.parametrize(("asked", "parts"), [(MOST, MOST), (MOST + 1, 1)])
def test_more_questions_than_a_reply_can_hold_are_read_as_one(asked, parts):
    """Up to three questions are cut apart, and a message with more of them is left whole."""
    text = " ".join(["where is my order?"] * asked)
    assert len(questions(text)) == parts
    assert questions(text)[0].core == (text if parts == 1 else "where is my order?")
