"""Misspelled words are corrected with English and the shop's own words; names are left as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.understand.names.spelling import COMMON, Speller


@pytest.fixture(scope="module")
def english():
    """Return a speller without the words of a shop."""
    return Speller()


@pytest.fixture(scope="module")
def speller():
    """Return a speller with a few words of a shop."""
    return Speller(["nils", "foxglove", "varga", "harbour", "lantern", "paperback"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("how mch is it", "how much is it"),
        ("retun window", "return window"),
        ("do you hav it", "do you have it"),
        ("wher is my ordr", "where is my order"),
        ("avalable", "available"),
        ("definately", "definitely"),
        ("it dosnt work", "it doesn't work"),
        ("wen is my pre order sent", "when is my pre order sent"),
        ("the postage aswell", "the postage as well"),
        ("they werent there", "they weren't there"),
        ("hows it going", "how's it going"),
    ],
)
def test_misspelled_words_are_corrected(speller, typed, meant):
    """A missing, an exchanged or a superfluous letter is corrected, in long words two of them."""
    assert speller.correct(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant", "commoner"),
    [("orer", "order", "over"), ("wher", "where", "when"), ("eview", "review", "view"), ("horor", "horror", "honor")],
)
def test_a_missing_letter_is_the_likeliest_error(english, typed, meant, commoner):
    """Of two words that are as near, the one with all typed letters in their order wins over a commoner one."""
    assert english.correct(typed) == meant
    assert english.correct(commoner) == commoner


def test_the_shops_words_come_first(english):
    """Of two corrections that are as near, the shop's word wins over a more frequent English one."""
    assert english.correct("lanterm") == "lantern"
    assert Speller(["lanterk"]).correct("lanterm") == "lanterk"


@pytest.mark.parametrize("name", ["nils", "varga", "foxglove", "kindle", "vol", "dhl"])
def test_names_of_the_shop_and_of_chats_are_left_as_they_are(speller, name):
    """Words of the catalog and abbreviations of chats are known and not changed."""
    assert speller.knows(name)
    assert speller.correct(name) == name
    assert speller.correct(name.upper()) == name.upper()


@pytest.mark.parametrize(("typed", "meant"), [("foxglov", "foxglove"), ("vraga", "varga")])
def test_misspelled_names_of_the_shop_are_corrected(speller, english, typed, meant):
    """A shop's name with an error is corrected to that name, which English alone does not know."""
    assert speller.correct(typed) == meant
    assert english.correct(typed) != meant


@pytest.mark.parametrize(
    ("typed", "meant"), [("xy", "xy"), ("bok", "book"), ("vxl", "vxl"), ("don't", "don't"), ("2nd", "2nd")]
)
def test_short_words_are_corrected_with_care(speller, typed, meant):
    """Two letters are left alone, to three letters only a missing one is added, and contractions are left."""
    assert speller.correct(typed) == meant


def test_the_commonest_slip_of_three_letters_is_corrected(speller):
    """The exchanged letters of "teh" are put right, and it does not become another word."""
    assert speller.correct("teh book") == "the book"


@pytest.mark.parametrize("name", ["Norway", "Brazil", "Germany", "Romania", "San Marino", "Costa Rica"])
def test_countries_are_left_as_they_are(speller, name):
    """The name of a country, common or not, is not a misspelling of another word."""
    assert speller.correct(f"do you ship to {name}?") == f"do you ship to {name}?"


@pytest.mark.parametrize("word", ["manga", "isekai", "shonen", "seinen"])
def test_words_of_manga_readers_are_left_as_they_are(speller, word):
    """The words by which readers of manga call its kinds are not misspellings of English words."""
    assert speller.correct(f"any {word}?") == f"any {word}?"


def test_letters_beside_figures_are_left_as_they_are(speller):
    """The speller does not change the number of a parcel or an order; it corrects the words around it."""
    assert speller.correct("wher is TRK70595902 or 12trk") == "where is TRK70595902 or 12trk"


def test_words_that_nothing_resembles_are_left(speller):
    """A word that does not resemble a known one stays as it was typed."""
    assert speller.correct("Jujutsu zzyzzxq") == "Jujutsu zzyzzxq"


def test_rare_words_of_the_dictionary_are_not_known(speller):
    """Only the most frequent words are known, so that a rare one can be an error."""
    assert speller.knows("price")
    assert not speller.knows("cuckooflower")
    assert COMMON < 82_765


@given(text=st.text(alphabet="abcdefgh rstu,.!", max_size=40))
def test_correcting_twice_is_correcting_once(english, text):
    """A corrected text is left as it is, and its stops are those that were typed."""
    once = english.correct(text)
    assert english.correct(once) == once
    assert [c for c in once if c in ",.!"] == [c for c in text if c in ",.!"]


def test_equally_good_corrections_do_not_depend_on_the_order_of_words():
    """Two processes that know the same words correct alike, in whatever order they got them."""
    words = ["lund", "mund", "rund", "bund"]
    assert Speller(words).correct("qund") == Speller(reversed(words)).correct("qund")


@pytest.mark.parametrize(
    ("text", "written"),
    [("it hasnt come", "it hasn't come"), ("dont you", "don't you"), ("i cant", "i can't"), ("whats new", "what's new"),
     ("we wont", "we won't"), ("he hasn't", "he hasn't")],
)  # fmt: skip
def test_a_lost_apostrophe_is_put_back(speller, text, written):
    """Shortened words are written with their apostrophe, so that they are read like the others."""
    assert speller.correct(text) == written


@pytest.mark.parametrize("word", ["heist", "swordsman", "falconry", "noir", "mermaids", "goblins", "courtesan"])
def test_rare_but_real_words_are_left_as_they_are(english, word):
    """A rare word of the dictionary is meant, unless a word that is very much commoner resembles it."""
    assert english.correct(f"books about {word}") == f"books about {word}"


@pytest.mark.parametrize(("typed", "meant"), [("hae", "have"), ("trave", "travel"), ("firs", "first")])
def test_a_slip_that_makes_a_rare_word_is_corrected(english, typed, meant):
    """A rare word that a slip makes of a very much commoner one is that one."""
    assert english.correct(typed) == meant


def test_a_rare_word_that_resembles_a_name_of_the_shop_is_that_name(english):
    """A name that only the shop has is meant rather than a rare English word."""
    assert english.correct("falconry") == "falconry"
    assert Speller(["falconrya"]).correct("falconry") == "falconrya"
