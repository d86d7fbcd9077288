"""Wishes on a list of products, and how a later message changes them."""

import msgspec
import pytest

from retail_assistant.understand.wishes import NO_WISHES, Wishes


def some(*names):
    """Return a set of names."""
    return frozenset(names)


BEFORE = Wishes(genres=some("thriller"), formats=some("paperback"), most_cents=1000, themes=some("dragons"))


@pytest.mark.parametrize(
    ("later", "changed"),
    [
        (Wishes(), {}),
        (Wishes(genres=some("romance")), {"genres": some("romance")}),
        (Wishes(most_cents=500), {"most_cents": 500}),
        (Wishes(least_cents=300), {"least_cents": 300}),
        (Wishes(no_formats=some("paperback")), {"formats": some(), "no_formats": some("paperback")}),
        (Wishes(no_genres=some("horror")), {"no_genres": some("horror")}),
        (Wishes(themes=some("cats")), {"themes": some("cats")}),
        (Wishes(no_themes=some("dragons")), {"themes": some(), "no_themes": some("dragons")}),
        (Wishes(sort="price"), {"sort": "price"}),
        (Wishes(single=True, count=2), {"single": True, "count": 2}),
        (Wishes(volume=3), {"volume": 3}),
    ],
)
def test_a_later_message_changes_only_what_it_states(later, changed):
    """What is stated replaces what it contradicts, themes are added, and all other wishes are carried over."""
    assert BEFORE.then(later) == msgspec.structs.replace(BEFORE, **changed)


def test_what_was_refused_can_be_wanted_again():
    """A genre that is wanted after it was refused is not refused any more, and another refusal stays."""
    refused = Wishes(no_genres=some("horror", "comedy"))
    assert refused.then(Wishes(genres=some("horror"))) == Wishes(genres=some("horror"), no_genres=some("comedy"))


@pytest.mark.parametrize("later", [Wishes(authors=some("Zelda Kato")), Wishes(series=some("Foxglove"))])
def test_another_author_or_series_is_another_search(later):
    """With another author or series an earlier volume and earlier themes are dropped, and prices are kept."""
    before = msgspec.structs.replace(BEFORE, volume=3)
    found = before.then(later)
    assert (found.volume, found.themes, found.most_cents) == (None, some(), 1000)
    assert (found.authors, found.series) == (later.authors, later.series)


def test_a_volume_that_comes_with_a_series_is_kept():
    """A volume that the later message states itself is not dropped."""
    assert BEFORE.then(Wishes(series=some("Foxglove"), volume=2)).volume == 2


@pytest.mark.parametrize(
    ("wishes", "fits"),
    [
        (Wishes(), True),
        (Wishes(genres=some("thriller", "romance")), True),
        (Wishes(genres=some("romance")), False),
        (Wishes(no_genres=some("thriller")), False),
        (Wishes(no_genres=some("romance")), True),
        (Wishes(formats=some("digital")), False),
        (Wishes(no_formats=some("paperback")), False),
        (Wishes(most_cents=999), False),
        (Wishes(most_cents=1000), True),
        (Wishes(least_cents=1000), True),
        (Wishes(least_cents=1001), False),
        (Wishes(least_cents=1000, most_cents=1000), True),
    ],
)
def test_a_product_fits_or_breaks_a_wish(wishes, fits):
    """A thriller in paperback at 10 euros keeps or breaks each wish; both ends of a price range are included."""
    assert wishes.allow("thriller", "paperback", 1000) is fits


@pytest.mark.parametrize(
    ("wishes", "are_stated"),
    [(NO_WISHES, False), (Wishes(sort="price", count=2), False), (Wishes(sort="price", single=True), True)],
)
def test_an_order_and_a_number_alone_are_not_wishes(wishes, are_stated):
    """Only what products must have is a stated wish; how they are sorted and how many are shown is not."""
    assert wishes.are_stated is are_stated
