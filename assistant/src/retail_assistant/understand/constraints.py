"""Finds the wishes that a text states: genres, formats, authors, prices, themes, how many, and in which order."""

from __future__ import annotations

import re

from retail_assistant.understand.leftover import content
from retail_assistant.understand.names.vocabulary import AUTHOR, FORMAT, GENRE, Vocabulary
from retail_assistant.understand.names.volumes import volume_in
from retail_assistant.understand.plain_words import number
from retail_assistant.understand.typed_prices import price_range
from retail_assistant.understand.wishes import Sort, Wishes, words_of

_COUNT = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|ten|\d{1,2})\s+(?:\w+\s+){0,3}?"
    r"(?:books?|titles?|manga|mangas|novels?|options?|suggestions?|recommendations?|ideas|series|ones"
    r"|thrillers?|paperbacks?"
    r"|hardcovers?|ebooks?|stories|recs|picks|romances|mysteries|comedies)\b"
    r"|\b(?:top|just|only|exactly|not more than|at most|(?:pick|show|give|find|recommend|suggest)(?: me)?) (one|two"
    r"|three|four|five|\d{1,2})\b(?! volumes?| vols?)"
)
_SINGLE = re.compile(
    r"\b(?:stand-?alone|stand alone|one-?shots?|single[- ]volumes?|one[- ]volume|in one volume"
    r"|complete in (?:one|a single)|not part of a series|(?:a|one|just a|just one) single (?:book|volume|novel)"
    r"|not (?:a |the )?(?:whole |long |entire )?series|no series|self-contained)\b"
)
_NOT_VOLUME = re.compile(r"\bnot (?:vol|volume|number|part) ?\d+\b")
_STARTS = re.compile(
    r"\b(?:first volumes|start(?:s|ing)? (?:of )?(?:a|the) series|begins? a series"
    r"|(?:at|from) the (?:beginning|start))\b"
)
"""Wants volumes with which a series begins."""
_SORTS: tuple[tuple[Sort, re.Pattern[str]], ...] = (
    ("-price", re.compile(r"\b(?:most expensive|priciest|dearest|highest[- ]priced?|high(?:est)? to low(?:est)?)\b")),
    ("price", re.compile(r"\b(?:cheapest|lowest[- ]priced?|least expensive|from (?:cheap|low)|low(?:est)? to high"
                         r"|by price|cheap)\b")),
    ("-rating", re.compile(r"\b(?:best|highest|top)[- ](?:rated|reviewed)\b|\bbest reviews\b|\bhighest rating\b")),
    ("-new", re.compile(r"\b(?:newest|(?<!at the )(?<!by the )latest|new releases?|recent(?:ly)?|new arrivals"
                        r"|(?:anything|something|what'?s|what is) new|new (?:this|in the last) (?:week|month))\b")),
)  # fmt: skip
_THEMED = re.compile(
    r"\b(?:about|with|featuring|involving|set in|in which"
    r"|(?:he|she|they|who|son|daughter|mum|mom|dad|sister|brother|friend|wife|husband|niece|nephew|kid) (?:really )?"
    r"(?:loves?|likes?|enjoys?|(?:is|are) (?:into|crazy about)))\s+"
    r"([^.?!,;]+?(?:(?:,(?: [\w-]+){1,3}){0,9},? or [^.?!,;]+?)?)"
    r"(?=(?<!\s)\s+(?:but|for|under|below)\b|[.?!,;]|$)"
)
_BEFORE_BOOK = re.compile(
    r"\b([^\W\d_]+ or [^\W\d_]+ |(?:[^\W\d_]+(?:-[^\W\d_]+)?\s+){1,2})"
    r"(?:stories|story|tales?|books?|manga|novels?|series|comics?)\b"
)
_AND, _OR = re.compile(r" and | & |;"), re.compile(r",| or ")
_WITHOUT = re.compile(
    r"\b(?:no|not|without|except|avoid|nothing (?:about|with)|don't want|isn't about)\s+(?:any |too |about "
    r"|with )?([^\W\d_]{3,}(?: [^\W\d_]{3,})?)"
)


def find_wishes(text: str, vocabulary: Vocabulary) -> tuple[Wishes, str]:
    """Find the wishes that a text states, except its themes.

    Args:
        text: A question in lower case, without the titles that it names.
        vocabulary: The names that the shop knows.

    Returns:
        The wishes, and the text without its price and without the names of genres, formats and authors.
    """
    (least, most), rest = price_range(text)
    found, rest = vocabulary.named(rest), _NOT_VOLUME.sub(" ", rest)
    wishes = Wishes(
        genres=found.of(GENRE, wanted=True),
        no_genres=found.of(GENRE, wanted=False),
        formats=found.of(FORMAT, wanted=True),
        no_formats=found.of(FORMAT, wanted=False),
        authors=found.of(AUTHOR, wanted=True),
        no_authors=found.of(AUTHOR, wanted=False),
        volume=1 if _STARTS.search(rest) else volume_in(rest),
        single=bool(_SINGLE.search(rest)),
        most_cents=most,
        least_cents=least,
        sort=_sort(rest),
        count=_count(rest),
    )
    return wishes, vocabulary.without_names(rest)


def find_themes(rest: str) -> tuple[frozenset[str], frozenset[str]]:
    """Find what a book should be about, and what not: the words after "about" and the like, or before "stories"."""
    unwanted = frozenset(filter(None, (" ".join(content(phrase)) for phrase in _WITHOUT.findall(rest))))
    said = [found[1] for pattern in (_THEMED, _BEFORE_BOOK) for found in pattern.finditer(rest)]
    return frozenset().union(*map(themes_in, said)) - words_of(unwanted), unwanted


def themes_in(text: str) -> frozenset[str]:
    """The themes that a text lists: each content word, and what "or" joins as one ("dragons or pirates")."""
    themes: set[str] = set()
    for part in _AND.split(text):
        if " or " not in part:
            themes.update(word for word in content(part) if number(word) is None)
            continue
        choices = [words for choice in _OR.split(part) if (words := " ".join(content(choice)))]
        themes |= {" or ".join(dict.fromkeys(choices))} if len(choices) > 1 else {*content(part)}
    return frozenset(themes)


def _count(text: str) -> int | None:
    """How many products a text asks for."""
    found = _COUNT.search(text)
    return next((number(group) for group in found.groups() if group), None) if found else None


def _sort(text: str) -> Sort:
    """The order that a text asks for."""
    for order, pattern in _SORTS:
        if pattern.search(text):
            return order
    return ""
