"""Titles that a text names: whole or in part, with their volume."""

import pytest

from retail_assistant.understand.names.titles import Titles
from retail_assistant.understand.names.volumes import LAST, several_in, volume_in

LANTERN, NILS, GATE = "The Captain's Lantern", "An Apron for Nils", "Escape of Silver Gate"


def found(titles, text):
    """Return the names and volumes that a text names."""
    return [(named.name, named.volume) for named in titles.named(text)]


@pytest.mark.parametrize(
    "text",
    [
        "who wrote The Captain's Lantern?",
        "who wrote the captain\u2019s lantern",
        "Captains Lantern, who wrote it?",
        "WHO WROTE CAPTAIN'S LANTERN",
        'do you have "The Captain\u2018s Lantern"',
    ],
)
def test_a_whole_title_is_found_with_and_without_article_and_apostrophe(titles, text):
    """A title is named in any case, with or without its article, its apostrophe or quotation marks."""
    (named,) = titles.named(text)
    assert (named.name, named.volume, named.whole) == (LANTERN, None, True)


def test_several_titles_come_in_the_order_of_the_text(titles):
    """Each of several titles is found, with its own volume, in the order in which they are said."""
    assert found(titles, "Escape of Silver Gate 3 or An Apron for Nils?") == [(GATE, 3), (NILS, None)]
    assert found(titles, "An Apron for Nils or Escape of Silver Gate 3?") == [(NILS, None), (GATE, 3)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("how much is The Harbour of Glass?", "The Harbour of Glass"),
        ("how much is A Harbour of Glass?", "A Harbour of Glass"),
    ],
)
def test_the_article_decides_between_titles_that_differ_in_nothing_else(titles, text, name):
    """Of two titles that differ only in their article the one whose article is said is named."""
    assert found(titles, text) == [(name, None)]


def test_the_longest_title_wins():
    """Of two titles of which one begins the other, the longer is named if all of it is said."""
    titles = Titles(["Silver Gate", "Silver Gate Rising"])
    assert found(titles, "is Silver Gate Rising good?") == [("Silver Gate Rising", None)]
    assert found(titles, "is Silver Gate good?") == [("Silver Gate", None)]


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("Foxglove", True),
        ("Foxglove?", True),
        ("the Foxglove", True),
        ("the title Foxglove", True),
        ("is Foxglove 2 in stock", True),
        ("is there a foxglove plant in the picture", False),
    ],
)
def test_a_title_of_one_word_needs_a_mark(titles, text, is_named):
    """One word is a title if it stands alone, behind an article or before a volume, and else just a word."""
    assert found(titles, text) == ([("Foxglove", 2 if "2" in text else None)] if is_named else [])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("quiet mornings", "Nine Quiet Mornings"),
        ("how much is apron viktor", "An Apron for Viktor"),
        ("paper mill double", "The Double of Paper Mill"),
    ],
)
def test_enough_rare_words_name_a_title_in_part(titles, text, name):
    """Two or more words that make up most of a title's rareness name it, in any order, and it is not whole."""
    (named,) = titles.named(text)
    assert (named.name, named.whole) == (name, False)


@pytest.mark.parametrize(
    "text",
    [
        "mornings",
        "apron",
        "double paper",
        "quiet it was in the long hours of all those many mornings",
        "nils apron viktor",
        "what is your return window",
    ],
)
def test_too_few_words_or_words_far_apart_name_nothing(titles, text):
    """One word, too small a part, words far apart, and equal parts of two titles do not name a title."""
    assert titles.named(text) == []


def test_a_whole_title_leaves_no_room_for_parts(titles):
    """When a whole title is named, the words of others are not taken for parts of titles."""
    assert found(titles, "An Apron for Nils on quiet mornings") == [(NILS, None)]


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("An Apron for Nils 2", 2),
        ("An Apron for Nils, vol. 2", 2),
        ("An Apron for Nils volume two", 2),
        ("An Apron for Nils #2", 2),
        ("An Apron for Nils part 2", 2),
        ("An Apron for Nils book two", 2),
        ("An Apron for Nils 99", 99),
        ("An Apron for Nils 100", None),
        ("An Apron for Nils costs 2 euros", None),
        ("An Apron for Nils", None),
    ],
)
def test_a_volume_behind_a_title_is_its_volume(titles, text, volume):
    """A number of one or two digits, or a volume word with its number, right behind the title is the volume."""
    assert found(titles, text) == [(NILS, volume)]


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("volume 3 of An Apron for Nils", 3),
        ("vol. three of An Apron for Nils", 3),
        ("number 3 of the An Apron for Nils series", 3),
        ("number 3 of An Apron for Nils", 3),
        ("the third book of An Apron for Nils", 3),
        ("the 3rd volume of An Apron for Nils", 3),
        ("the first one of An Apron for Nils", 1),
        ("three of An Apron for Nils", None),
        ("the third time I read An Apron for Nils", None),
    ],
)
def test_a_volume_before_a_title_is_its_volume(titles, text, volume):
    """A volume word with its number, or an ordinal with such a word, before the title is the volume."""
    assert found(titles, text) == [(NILS, volume)]


def test_the_volume_behind_a_title_wins_over_one_before_it(titles):
    """If volumes stand on both sides of a title, the one behind it counts."""
    assert found(titles, "not volume 1 of An Apron for Nils but An Apron for Nils 2") == [(NILS, 1), (NILS, 2)]
    assert found(titles, "volume 1 of An Apron for Nils 2") == [(NILS, 2)]


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("the last volume", LAST),
        ("which is the newest volume", LAST),
        ("the final book in the series", LAST),
        ("volume 3", 3),
        ("vol. three", 3),
        ("the third volume", 3),
        ("the 3rd volume", 3),
        ("#3", 3),
        ("3", None),
        ("how many volumes 3", None),
        ("the last time", None),
    ],
)
def test_a_text_without_a_title_can_name_a_volume(text, volume):
    """A volume word with a number or an ordinal names a volume, and "last volume" the last one."""
    assert volume_in(text) == volume


def test_plurals_and_hyphens_do_not_make_another_title(titles):
    """A title is found with a plural for a singular, and with a hyphen for a space."""
    assert found(titles, "how much is escape of silver gates") == [(GATE, None)]
    assert found(titles, "how much is escape of silver-gate") == [(GATE, None)]


@pytest.mark.parametrize(
    ("text", "volume"), [("first volumes of thrillers", 1), ("the first three volumes", None), ("volumes 1 to 3", None)]
)
def test_first_volumes_are_volume_one(text, volume):
    """Several series' first volumes are asked for as volume 1; a number of volumes is not a volume."""
    assert volume_in(text) == volume


@pytest.mark.parametrize(
    ("text", "volumes"),
    [
        ("volumes 1 and 3 of An Apron for Nils", (1, 3)),
        ("volumes 1, 3 and 5 of An Apron for Nils", (1, 3, 5)),
        ("volume 1 and volume 3 of An Apron for Nils", (1, 3)),
        ("volumes 1 to 4 of An Apron for Nils", (1, 2, 3, 4)),
        ("volumes one through three of An Apron for Nils", (1, 2, 3)),
        ("the first and the third volume of An Apron for Nils", (1, 3)),
        ("the first and third volume of An Apron for Nils", (1, 3)),
        ("An Apron for Nils 2, 3 and 5", (2, 3, 5)),
        ("An Apron for Nils volumes 2 and 4", (2, 4)),
        ("An Apron for Nils 2 & 4", (2, 4)),
        ("An Apron for Nils 1 to 3", (1, 2, 3)),
        ("is An Apron for Nils 1 or 2 cheaper?", (1, 2)),
        ("An Apron for Nils 2 to my cart", (2,)),
        ("An Apron for Nils 2 and 3 copies of another", (2,)),
        ("An Apron for Nils 2, 10 euros", (2,)),
        ("An Apron for Nils, Vol. 2. 40 % off", (2,)),
    ],
)
def test_several_volumes_of_one_title_are_named(titles, text, volumes):
    """Volumes that are listed before or behind a title are all named, and what counts something is none of them."""
    (named,) = titles.named(text)
    assert named.volumes == volumes


@pytest.mark.parametrize(
    ("text", "volumes"),
    [("volumes 5 and 6", (5, 6)), ("the first and second volume", (1, 2)), ("volumes 2 to 4", (2, 3, 4)),
     ("volume 3", ()), ("how many volumes 3 or 4 days", ()), ("5 and 6", ())],
)  # fmt: skip
def test_a_text_without_a_title_can_name_several_volumes(text, volumes):
    """Several numbers behind a word for volumes are volumes; one alone is not several."""
    assert several_in(text) == volumes
