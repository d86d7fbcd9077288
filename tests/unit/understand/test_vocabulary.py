"""Names of genres, formats and authors in a text, which of them are wanted, and how far a negation reaches."""

import pytest

from retail_assistant.understand.names.lexicon import Lexicon
from retail_assistant.understand.names.vocabulary import AUTHOR, FORMAT, GENRE, Vocabulary


def judged(vocabulary, text):
    """Return the names that a text wants, and those that it does not want."""
    wanted = vocabulary.named(text).wanted
    return {name for (_, name), is_wanted in wanted.items() if is_wanted}, {
        name for (_, name), is_wanted in wanted.items() if not is_wanted
    }


@pytest.mark.parametrize(
    ("text", "kind", "names"),
    [
        ("a thriller", GENRE, {"thriller"}),
        ("thrillers or mysteries", GENRE, {"thriller", "mystery"}),
        ("sci-fi", GENRE, {"science fiction"}),
        ("something scary", GENRE, {"horror"}),
        ("a love story", GENRE, {"romance"}),
        ("a whodunit", GENRE, {"mystery"}),
        ("hardback", FORMAT, {"hardcover"}),
        ("an e-book", FORMAT, {"digital"}),
        ("on paper", FORMAT, {"paperback", "hardcover"}),
        ("anything by mika varga", AUTHOR, {"Mika Varga"}),
        ("anything by varga", AUTHOR, {"Mika Varga"}),
        ("anything by sato", AUTHOR, set()),
        ("varga", AUTHOR, set()),
        ("a book", GENRE, set()),
    ],
)
def test_names_are_known_by_what_people_call_them(vocabulary, text, kind, names):
    """Sayings, plurals and the last name of one author only give the shop's names; a last name needs a "by"."""
    assert vocabulary.named(text).of(kind, wanted=True) == names
    assert vocabulary.named(text).of(kind, wanted=False) == set()


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [
        ("no horror", {"horror"}),
        ("not too scary", {"horror"}),
        ("anything but horror", {"horror"}),
        ("i don't want horror", {"horror"}),
        ("tired of thrillers", {"thriller"}),
        ("other than fantasy", {"fantasy"}),
        ("not hardcover", {"hardcover"}),
        ("no ebooks please", {"digital"}),
        ("not in print", {"paperback", "hardcover"}),
        ("not by petra sato", {"Petra Sato"}),
        ("except mika varga", {"Mika Varga"}),
        ("nothing by kato", {"Zelda Kato"}),
        ("neither horror nor romance", {"horror", "romance"}),
        ("no horror, romance or comedy", {"horror", "romance", "comedy"}),
        ("without horror and thrillers", {"horror", "thriller"}),
    ],
)
def test_a_negation_refuses_genres_formats_and_authors(vocabulary, text, unwanted):
    """A negation refuses the name behind it, and all names that are joined to that one."""
    assert judged(vocabulary, text) == (set(), unwanted)


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("fantasy but no horror", {"fantasy"}, {"horror"}),
        ("no horror, but fantasy", {"fantasy"}, {"horror"}),
        ("no horror. romance please", {"romance"}, {"horror"}),
        ("no paperback, only digital", {"digital"}, {"paperback"}),
        ("horror instead of romance", {"horror"}, {"romance"}),
        ("fantasy rather than horror", {"fantasy"}, {"horror"}),
        ("i do not like horror, give me romance", {"romance"}, {"horror"}),
        ("no, show me horror", {"horror"}, set()),
        ("no, fantasy please", {"fantasy"}, set()),
        ("not only fantasy", {"fantasy"}, set()),
        ("a not too expensive thriller", {"thriller"}, set()),
    ],
)
def test_a_negation_ends_where_the_sentence_turns(vocabulary, text, wanted, unwanted):
    """Stops and words such as "but" and "only" end a negation, and one that means something else refuses nothing."""
    assert judged(vocabulary, text) == (wanted, unwanted)


@pytest.mark.parametrize(("between", "is_wanted"), [(0, False), (1, False), (3, False), (4, True), (6, True)])
def test_a_negation_reaches_four_words(vocabulary, between, is_wanted):
    """A name is refused up to the fourth word behind a negation, and wanted from the fifth on."""
    text = " ".join(["no", *["really"] * between, "horror"])
    assert vocabulary.named(text).wanted == {(GENRE, "horror"): is_wanted}


def test_a_later_word_wins_over_an_earlier_one(vocabulary):
    """A name that is refused first and wanted later is wanted, and the other way round."""
    assert judged(vocabulary, "no horror. well, horror then") == ({"horror"}, set())
    assert judged(vocabulary, "horror. no, not horror") == (set(), {"horror"})


def test_a_format_with_a_slash_is_one_format():
    """A slash in a shop's own format does not make two formats of it, beside words that mean several formats."""
    shop = Vocabulary(Lexicon(formats=("paperback", "hardcover", "CD/MP3")), speller=None)
    assert judged(shop, "no cd/mp3") == (set(), {"CD/MP3"})
    assert judged(shop, "on cd/mp3, not in print") == ({"CD/MP3"}, {"paperback", "hardcover"})
    assert shop.formats("A CD/MP3 or a printed book?") == {"CD/MP3", "paperback", "hardcover"}


def test_names_are_taken_out_of_a_text(vocabulary):
    """A text without its names keeps all other words."""
    rest = vocabulary.without_names("thrillers by mika varga in paperback about lighthouses")
    assert rest.split() == ["by", "in", "about", "lighthouses"]


def test_words_of_the_catalog_and_the_policies_are_known(vocabulary):
    """A word of a description or a policy is known in singular and plural, other words are not."""
    assert [vocabulary.knows(word) for word in ("dragon", "dragons", "lighthouse", "return", "zeppelin")] == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_an_empty_shop_has_a_vocabulary_that_names_nothing():
    """A vocabulary without words names nothing, takes nothing out, and without a speller corrects nothing."""
    empty = Vocabulary(Lexicon(), speller=None)
    assert empty.named("a thriller by mika varga").wanted == {}
    assert empty.without_names("a thriller") == "a thriller"
    assert empty.correct("thrillr") == "thrillr"
    assert empty.titles.named("An Apron for Nils") == []
    assert empty.share_known("wie lange") == 1.0
