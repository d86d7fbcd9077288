"""Messages in other languages, and places in and outside Europe."""

import pytest

from retail_assistant.understand.language import is_doubtful, other_language
from retail_assistant.understand.said.places import place

EUROPEAN = (
    "norway", "the netherlands", "the uk", "switzerland", "iceland", "cyprus", "serbia", "ukraine", "turkey", "kosovo",
    "london", "vienna", "moscow", "the eu", "scandinavia", "europe",
)  # fmt: skip
FURTHER = (
    "brazil", "japan", "the us", "canada", "australia", "kazakhstan", "georgia", "jordan", "mali", "new york", "tokyo",
    "asia", "the middle east", "the states",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie lange kann ich ein Buch zurückgeben?", "German"),
        ("Où est ma commande?", "French"),
        ("¿Dónde está mi pedido?", "Spanish"),
        ("Dov'è il mio ordine?", "Italian"),
        ("Waar is mijn bestelling?", "Dutch"),
        ("Onde está o meu pedido?", "Portuguese"),
        ("Gdzie jest moje zamówienie?", "Polish"),
        ("Где мой заказ?", "Russian"),
        ("Haben Sie Fantasy Bücher?", "German"),
        ("私の注文はどこですか", "Japanese"),
        ("你们有什么书推荐吗", "Chinese"),
    ],
)
def test_another_language_is_named(vocabulary, text, language):
    """A message in another language is recognised, and named in English."""
    assert is_doubtful(text, known=vocabulary.share_known(text))
    assert other_language(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order?",
        "how mch iz ths bk plz",
        "do you have An Apron for Nils by Petra Sato",
        "¿how much is An Apron for Nils?",
        "Nils Varga Takeda",
        "hola",
        "Guten Tag",
        "",
    ],
)
def test_english_names_and_short_texts_are_not_another_language(vocabulary, text):
    """English with errors, names of the shop, and one or two words are never taken for another language."""
    assert not is_doubtful(text, known=vocabulary.share_known(text)) or other_language(text) is None


@pytest.mark.parametrize(("known", "doubtful"), [(0.6, True), (0.61, False)])
def test_a_text_of_mostly_known_words_is_english(known, doubtful):
    """Above three fifths of known words a text counts as English, whatever language it resembles."""
    assert is_doubtful("Wie lange kann ich ein Buch zurückgeben?", known=known) is doubtful


@pytest.mark.parametrize("name", EUROPEAN)
def test_places_in_europe_are_known(name):
    """Countries, capitals and regions of Europe are in Europe, inside and outside the Union."""
    assert place(f"do you ship to {name}") == (name.removeprefix("the "), True)


@pytest.mark.parametrize("name", FURTHER)
def test_places_outside_europe_are_known(name):
    """Countries, cities and regions of other continents are outside Europe."""
    found, is_european = place(f"do you ship to {name}")
    assert (found in (name, name.removeprefix("the ")), is_european) == (True, False)


@pytest.mark.parametrize("text", ["outside europe", "not in europe", "to non-european countries", "beyond the eu"])
def test_outside_europe_is_a_place_of_its_own(text):
    """Words for all that is not Europe are outside Europe, although they name it."""
    assert place(f"do you ship {text}") == ("outside europe", False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("can you tell us more", None),
        ("deliver it to us", ("us", False)),
        ("a roast turkey", None),
        ("i am from turkey", ("turkey", True)),
        ("chad wrote it", None),
        ("within chad", ("chad", False)),
        ("what is your return window", None),
        ("perusing the shelf", None),
    ],
)
def test_names_that_are_also_words_need_a_preposition(text, named):
    """A name that is a common word is a place only behind "to", "in", "from" and the like."""
    assert place(text) == named


@pytest.mark.parametrize(
    "text", ["do you ship to the u.s.?", "to the u.s. and canada", "in the u.s", "from the u.s.a."]
)
def test_an_abbreviated_country_is_known(text):
    """The United States are found by their initials with stops, whatever stands after the last stop."""
    found, is_european = place(text)
    assert (found.rstrip("."), is_european) in {("u.s", False), ("u.s.a", False)}


def test_the_first_of_several_places_counts():
    """Of several places the first is meant."""
    assert place("from norway to brazil") == ("norway", True)
    assert place("from brazil to norway") == ("brazil", False)
