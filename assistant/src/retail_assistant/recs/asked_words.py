"""What a shopper asks of a list in words: genres and formats wanted or not, and a price to stay under."""

from __future__ import annotations

import re
from collections.abc import Iterable

from retail_assistant.understand.names.lexicon import Lexicon
from retail_assistant.understand.names.vocabulary import FORMAT, GENRE, Vocabulary
from retail_assistant.understand.plain_words import plain
from retail_assistant.understand.wishes import NO_WISHES, Wishes

__all__ = ["NO_WISHES", "Vocabulary", "Wishes", "make_vocabulary", "read_wishes"]

_PRICE = re.compile(
    r"(?:between\s+(?:[$€£]\s*)?\d{1,5}\s*(?:and|to)"
    r"|under|below|less than|cheaper than|at most|up to|no more than|max(?:imum)?)\s+"
    r"(?:[$€£]\s*(?P<before>\d{1,5}(?:\.\d{1,2})?)"
    r"|(?P<after>\d{1,5}(?:\.\d{1,2})?)\s*(?:[$€£]|(?:dollars|bucks|usd|euros?|eur)\b))"
)
"""A highest price. It needs a currency, because these words may be about ages and volumes, and it is included."""
_NEXT_WISH = re.compile(r",(?!\s*(?:or|and|nor)\b)")
"""A comma that starts another wish. In a chat "no horror, romance" refuses both; here texts are lists of wishes."""


def make_vocabulary(genres: Iterable[str], formats: Iterable[str]) -> Vocabulary:
    """Compile what to look for; common other names of a genre or format count as it."""
    known = Lexicon(genres=tuple(sorted({*genres} - {""})), formats=tuple(sorted({*formats} - {""})))
    return Vocabulary(known, speller=None)


def read_wishes(words: str, vocabulary: Vocabulary) -> Wishes:
    """Return what the words of a conversation ask for.

    A genre or format is unwanted when a negation ("no", "without", "other than") stands at most four words before it
    in the same clause; later words win over earlier ones.
    """
    text = plain(words)
    if not text.strip():
        return NO_WISHES
    price = _PRICE.search(text)
    named = vocabulary.named(_NEXT_WISH.sub(".", _PRICE.sub(".", text)))
    return Wishes(
        genres=named.of(GENRE, wanted=True),
        no_genres=named.of(GENRE, wanted=False),
        formats=named.of(FORMAT, wanted=True),
        no_formats=named.of(FORMAT, wanted=False),
        most_cents=round(float(price["before"] or price["after"]) * 100) if price else None,
    )
