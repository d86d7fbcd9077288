"""Which words of a model's units need an item behind them."""

import pytest

from retail_assistant.chat.spoken import wordings

KNOWN = "a pirate for noor, volume 2 by tomo oda (paperback, €8.39). (action) a tale of stolen maps and open water."


@pytest.mark.parametrize("talk", ["I am sorry to hear that.", "Of course, happy to help.", "Let me have a look."])
def test_what_people_say_to_each_other_states_nothing(talk):
    """Sympathy and offers of help need nothing behind them."""
    assert not wordings.states(talk)


@pytest.mark.parametrize(
    "claim",
    [
        "Gift cards never run out.",
        "Crooked Feast comes as a digital edition.",
        "We sold the last one yesterday.",
        "It is back by the weekend!",
        "You can send us a book for the author to sign.",
    ],
)
def test_what_says_something_of_the_shop_states_it(claim):
    """A rule, an edition or a day is stated, also with an exclamation mark."""
    assert wordings.states(claim)


def test_a_question_only_asks():
    """A question may name goods in general, and neither say something first nor offer what the shop does."""
    told = wordings.words("romance")
    assert wordings.asks("Shall I look for something gentler?", told)
    assert wordings.asks("Would you like it as a paperback, or is a screen fine?", wordings.words("paperback"))
    assert not wordings.asks("Reviews open again on Monday. Would you like a reminder?", told)
    assert not wordings.asks("Do you want us to print it for you?", told)
    assert not wordings.asks("There is a hardcover about a witches' school, if that helps?", told)


def test_a_claim_has_its_items_words_and_words_of_taste():
    """Words of the item and of taste pass; what it does not have is named, but for one word of a long claim."""
    assert not wordings.foreign("A charming tale of stolen maps, and the second volume of its series.", KNOWN)
    assert wordings.foreign("It has vampires.", KNOWN)
    assert not wordings.foreign(
        "An exciting pirate paperback: stolen maps, open water and a stormy action tale.", KNOWN
    )


@pytest.mark.parametrize("claim", ["It is the only one.", "It came out in autumn.", "It is funnier than that one."])
def test_what_counts_dates_or_compares_needs_the_very_word(claim):
    """A word of number, time or comparison that the item does not have is found."""
    assert wordings.unmeasured(claim, KNOWN)


def test_a_volume_is_named_by_its_number_or_its_place():
    """A claim may say "the second volume" of an item that states "volume 2"."""
    assert not wordings.unmeasured("It is the second volume.", KNOWN)
