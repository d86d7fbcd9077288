"""What a shopper asks of a list in words: genres and formats wanted or not, and a price to stay under."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SAYINGS = {
    "science fiction": ("sci-fi", "scifi", "sci fi"),
    "horror": ("scary", "horrors"),
    "comedy": ("funny", "comedies", "comic"),
    "romance": ("romantic", "romances"),
    "mystery": ("mysteries",),
    "sports": ("sport",),
    "historical": ("history",),
    "paperback": ("paperbacks", "softcover", "soft cover"),
    "hardcover": ("hardcovers", "hardback", "hard cover"),
    "digital": ("ebook", "ebooks", "e-book", "e-books", "kindle"),
}
_NEGATORS = frozenset(
    {
        "no", "not", "without", "except", "avoid", "avoiding", "nothing", "never", "dont", "don't", "isn't", "hate",
        "dislike", "skip", "exclude", "excluding",
    }
)  # fmt: skip
_TURNS = frozenset({"but", "rather", "instead", "prefer", "only", ".", ";", "!", "?", ","})
_JOINS = frozenset({"or", "and", "nor"})
_REACH = 4
_PRICE = re.compile(
    r"(?:between\s+[$€£]?\s*\d{1,5}\s*(?:and|to)"
    r"|under|below|less than|cheaper than|at most|up to|no more than|max(?:imum)?)\s+"
    r"(?:[$€£]\s*(?P<before>\d{1,5}(?:\.\d{1,2})?)"
    r"|(?P<after>\d{1,5}(?:\.\d{1,2})?)\s*(?:[$€£]|(?:dollars|bucks|usd|euros?|eur)\b))"
)
_OTHER_THAN = re.compile(r"\b(?:other than|rather than|instead of|apart from|tired of|enough of)\b")


@dataclass(frozen=True)
class Vocabulary:
    """The genres and formats of a shop, and how each is spelled."""

    genres: frozenset[str]
    names: dict[str, str]
    tokens: re.Pattern[str]


@dataclass(frozen=True)
class Wishes:
    """What the words ask for; an empty set asks nothing, ``most_cents`` is the highest price still wanted."""

    genres: frozenset[str] = frozenset()
    no_genres: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    no_formats: frozenset[str] = frozenset()
    most_cents: int | None = None

    def allow(self, genre: str, format_: str, cents: int) -> bool:
        """Whether a product may be shown."""
        return (
            genre not in self.no_genres
            and format_ not in self.no_formats
            and (not self.genres or genre in self.genres)
            and (not self.formats or format_ in self.formats)
            and (self.most_cents is None or cents <= self.most_cents)
        )


NO_WISHES = Wishes()


def make_vocabulary(genres: Iterable[str], formats: Iterable[str]) -> Vocabulary:
    """Compile what to look for; common other names of a genre or format count as it."""
    known = frozenset(genres)
    names: dict[str, str] = {}
    for name in (*sorted(known), *formats):
        if name:
            names.update(dict.fromkeys((name.lower(), *_SAYINGS.get(name.lower(), ())), name))
    spelled = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return Vocabulary(known, names, re.compile(rf"\b(?:{spelled})\b|[\w'-]+|[.,;!?]" if names else r"[\w'-]+"))


def read_wishes(words: str, vocabulary: Vocabulary) -> Wishes:
    """Return what the words of a conversation ask for.

    A genre or format is unwanted when a negation ("no", "without", "other than") stands at most four words before it
    in the same clause; later words win over earlier ones.
    """
    text = words.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if not text.strip():
        return NO_WISHES
    price = _PRICE.search(text)
    wanted = _judge(vocabulary, _OTHER_THAN.sub("except", _PRICE.sub(".", text)))
    yes = {name for name, is_wanted in wanted.items() if is_wanted}
    no = set(wanted) - yes
    return Wishes(
        frozenset(yes & vocabulary.genres),
        frozenset(no & vocabulary.genres),
        frozenset(yes - vocabulary.genres),
        frozenset(no - vocabulary.genres),
        round(float(price["before"] or price["after"]) * 100) if price else None,
    )


def _judge(vocabulary: Vocabulary, text: str) -> dict[str, bool]:
    """Whether each genre and format that is named is wanted."""
    wanted: dict[str, bool] = {}
    tokens = vocabulary.tokens.findall(text)
    reach = 0
    for word, following in zip(tokens, [*tokens[1:], ""], strict=True):
        name = vocabulary.names.get(word)
        if name is not None:
            wanted[name] = reach == 0
            reach = _REACH if reach else 0
        elif word in _NEGATORS:
            reach = _REACH
        elif word == "," and following in _JOINS:
            continue
        elif word in _TURNS:
            reach = 0
        elif word not in _JOINS:
            reach = max(0, reach - 1)
    return wanted
