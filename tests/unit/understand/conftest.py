"""A small shop's vocabulary and the parser over it; titles share words, differ in their article, or hold a genre."""

import pytest

from retail_assistant.shop.policies import Policy
from retail_assistant.shop.queries import Product
from retail_assistant.understand.dialogue import NEW
from retail_assistant.understand.names.lexicon import compile_lexicon
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.parse import Parser

STORY = "A lighthouse keeper guards a secret, and dragons wait below."
LINES = [
    ("The Captain's Lantern", "Mika Varga", "fantasy", 3, ("paperback", "digital")),
    ("An Apron for Nils", "Petra Sato", "cooking", 4, ("paperback", "hardcover")),
    ("An Apron for Viktor", "Petra Sato", "cooking", 2, ("digital",)),
    ("Escape of Silver Gate", "Quinn Amano", "thriller", 12, ("paperback",)),
    ("The Double of Paper Mill", "Zelda Kato", "thriller", 5, ("paperback",)),
    ("The Harbour of Glass", "Ines Holt", "romance", 2, ("paperback",)),
    ("A Harbour of Glass", "Omar Reyes", "horror", 1, ("hardcover",)),
    ("Foxglove", "Ines Holt", "mystery", 3, ("paperback",)),
    ("A Romance in Winter", "Leo Sato", "comedy", 1, ("paperback",)),
    ("The Waltz of Ivory Pier", "Jonas Takeda", "science fiction", 1, ("hardcover",)),
    ("Nine Quiet Mornings", "Ada Quill", "slice of life", 2, ("paperback",)),
]
"""Title, author, genre, how many volumes, formats."""
CENTS = {"P001": 900, "P002": 1200, "P003": 700}
RETURNS = Policy("returns", "Returns", "## Return window\nYou can return a book within {days} days.", {"days": 30}, 0.0)


def products():
    """Yield the products of all lines; a book that is alone in its line has no number in its title."""
    number = 0
    for name, author, genre, volumes, forms in LINES:
        for form in forms:
            for volume in range(1, volumes + 1):
                number += 1
                title = name if volumes == 1 else f"{name}, Vol. {volume}"
                yield Product(f"P{number:03}", title, name, volume, author, genre, form, STORY, True, 0.0)


@pytest.fixture(scope="session")
def lexicon():
    """Return the words of the small shop."""
    return compile_lexicon(products(), [RETURNS])


@pytest.fixture(scope="session")
def vocabulary(lexicon):
    """Return the vocabulary with its speller."""
    return Vocabulary(lexicon)


@pytest.fixture(scope="session")
def titles(vocabulary):
    """Return what finds the shop's titles."""
    return vocabulary.titles


@pytest.fixture(scope="session")
def parser(vocabulary):
    """Return a parser to whom three products have a price."""
    return Parser(vocabulary, CENTS.__getitem__)


@pytest.fixture(scope="session")
def read(parser):
    """Return a function that reads a message of one question."""

    def one(message, said=NEW, page=""):
        (ask,) = parser.read(message, said, page)
        return ask

    return one


@pytest.fixture(scope="session")
def read_all(parser):
    """Return a function that reads a message and returns its last question."""
    return lambda message: parser.read(message)[-1]
