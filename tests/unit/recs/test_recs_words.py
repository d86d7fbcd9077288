"""Reading genres, formats and prices from a message."""

import pytest

from retail_assistant.recs.asked_words import NO_WISHES, make_vocabulary, read_wishes

WORDS = make_vocabulary(
    ["horror", "comedy", "science fiction", "slice of life", "romance"], ["paperback", "hardcover", "digital"]
)

READ = [
    ("no horror please", {}, {"horror"}),
    ("Anything but not too scary", {}, {"horror"}),
    ("no horror, romance please", {"romance"}, {"horror"}),
    ("without horror or romance", {}, {"horror", "romance"}),
    ("no horror, or romance", {}, {"horror", "romance"}),
    ("not horror but comedy", {"comedy"}, {"horror"}),
    ("anything other than horror", {}, {"horror"}),
    ("I don\N{RIGHT SINGLE QUOTATION MARK}t like horror", {}, {"horror"}),
    ("I want horror. No, comedy!", {"horror", "comedy"}, {}),
    ("horror? no horror", {}, {"horror"}),
    ("Some SCI-FI to read", {"science fiction"}, {}),
    ("slice of life in paperback", {"slice of life", "paperback"}, {}),
    ("as an e-book, no hardbacks, no hardback", {"digital"}, {"hardcover"}),
    ("no idea what to read in the evening, maybe a comedy", {"comedy"}, {}),
    ("neither horror nor romance", {}, {"horror", "romance"}),
    ("anything but horror", {}, {"horror"}),
    ("a not too expensive comedy", {"comedy"}, {}),
    ("comedies or love stories on paper", {"comedy", "romance", "paperback", "hardcover"}, {}),
    ("what do you recommend?", {}, {}),
    ("horrorshow", {}, {}),
]


@pytest.mark.parametrize(("text", "wanted", "unwanted"), READ)
def test_genres_and_formats(text, wanted, unwanted):
    """Genres and formats by any common name are wanted, or unwanted if negated in the same clause."""
    wishes = read_wishes(text, WORDS)
    assert wishes.genres | wishes.formats == set(wanted)
    assert wishes.no_genres | wishes.no_formats == set(unwanted)


@pytest.mark.parametrize("negator", ["no", "without", "other than"])
@pytest.mark.parametrize("between", range(7))
def test_a_negation_reaches_four_words(negator, between):
    """A genre is unwanted up to the fourth word after the negation, and wanted from the fifth on."""
    wishes = read_wishes(" ".join([negator, *["so"] * between, "horror"]), WORDS)
    assert (wishes.genres, wishes.no_genres) == ((set(), {"horror"}) if between < 4 else ({"horror"}, set()))


@pytest.mark.parametrize("between", range(7))
def test_a_negation_reaches_on_from_each_name_that_it_meets(between):
    """Each unwanted genre restarts the count of words; joining words do not count."""
    wishes = read_wishes(" ".join(["not so so horror or and", *["so"] * between, "romance"]), WORDS)
    assert "horror" in wishes.no_genres
    assert ("romance" in wishes.no_genres) == (between < 4)
    assert ("romance" in wishes.genres) == (between >= 4)


@pytest.mark.parametrize("turn", [*", . ; ! ?".split(), "but", "rather", "instead", "prefer", "only"])
def test_a_negation_ends_with_its_clause(turn):
    """Punctuation and contrasting words end a negation."""
    wishes = read_wishes(f"no horror {turn} romance", WORDS)
    assert (wishes.genres, wishes.no_genres) == ({"romance"}, {"horror"})


PRICES = [
    ("under $10", 1000),
    ("below 9.99 euros", 999),
    ("less than 8€", 800),
    ("at most €12.50 please", 1250),
    ("under 18", None),
    ("up to volume 5", None),
    ("$10", None),
]


@pytest.mark.parametrize(("text", "cents"), PRICES)
def test_prices(text, cents):
    """A maximum price is read only with a currency, so that ages and volumes are ignored."""
    assert read_wishes(text, WORDS).most_cents == cents


@pytest.mark.parametrize("text", ["", "   ", "hello there"])
def test_no_wishes(text):
    """Words without a wish give ``NO_WISHES``."""
    assert read_wishes(text, WORDS) == NO_WISHES


def test_what_is_allowed():
    """A product is allowed if its genre, format and price all fit the wishes."""
    wishes = read_wishes("comedy in paperback under $10", WORDS)
    assert wishes.allow("comedy", "paperback", 1000)
    assert not wishes.allow("comedy", "paperback", 1001)
    assert not wishes.allow("comedy", "digital", 1000)
    assert not wishes.allow("horror", "paperback", 1000)


def test_a_shop_without_genres_reads_words():
    """With an empty vocabulary no wish is read."""
    assert read_wishes("no horror", make_vocabulary([""], [])) == NO_WISHES
