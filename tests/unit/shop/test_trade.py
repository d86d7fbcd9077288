"""A shop's own words, as its owner states them and its file keeps them."""

import pytest

from retail_assistant.shop import schema, trade
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.trade import Trade


@pytest.fixture
def conn(tmp_path):
    """Return a new shop file."""
    made = schema.connect(tmp_path / "shop.db")
    schema.create(made)
    yield made
    made.close()


def test_a_file_keeps_the_words(conn):
    """What was saved is read; a file that states nothing sells products."""
    assert trade.read(conn) == Trade()
    spoken = Trade("pan", "pans", "kitchen shop", "$")
    trade.save(conn, spoken)
    assert trade.read(conn) == spoken


@pytest.mark.parametrize(
    ("stated", "made"),
    [
        ({"item": "", "items": "", "shop": "", "currency": "€"}, Trade()),
        ({"item": "plant", "shop": "garden shop", "currency": "$"}, Trade("plant", "plants", "garden shop", "$")),
        ({"item": "knife", "items": "knives", "folder": "there"}, Trade("knife", "knives")),
        ({"name": "Blade & Son"}, Trade(name="Blade & Son")),
    ],
)
def test_what_an_owner_leaves_out_has_its_default(stated, made):
    """A plural that is not stated has an s, and what is empty keeps its default."""
    assert trade.checked(stated) == made


@pytest.mark.parametrize("word", ["{{price:A1}}", "a\nb", "x" * 61])
def test_words_that_replies_could_misread_are_refused(word):
    """Braces, control characters and long words are refused, and the message names the option."""
    with pytest.raises(ShopError, match="--item: at most 60") as caught:
        trade.checked({"item": word})
    assert caught.value.field == "item"


def test_a_word_has_its_article():
    """The article fits the sound of the first letter."""
    assert [Trade(item).an_item for item in ("book", "item")] == ["a book", "an item"]
