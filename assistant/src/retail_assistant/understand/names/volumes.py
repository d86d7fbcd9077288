"""The volumes that a text names: "volume 3", "the third volume", "volumes 1, 3 and 5", "volumes 1 to 4"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from retail_assistant.understand.plain_words import bare_words, number, ordinal, words

VOLUME_WORDS = frozenset({"vol", "volume", "volumes", "book", "part", "no", "number", "tome", "nr", "vols"})
DULL = frozenset({"of", "and", "for", "in", "to", "with", "on", "at", "by", "from", "the", "a", "an"})
LAST = -1
"""Stands for the last volume of a series."""
MOST = 100
"""A series has fewer volumes."""
_LAST = re.compile(r"\b(?:last|final|newest|latest) (?:volume|vol|book in the series|part)\b")
_FIRST = re.compile(r"\bfirst (two|three|four|five|six|seven|eight|nine|ten|\d{1,2}) (?:volumes|vols|books|parts)\b")
_TO = frozenset({"to", "through", "thru", "until", "till"})
_JOINS = frozenset({"and", "or"}) | _TO
_IN_A_LIST = VOLUME_WORDS | _JOINS | {"the"}
_LISTED = 30
"""The most words of a list of volumes before a title."""
_COUNTED = frozenset(
    "copie copy time euro eur dollar buck pound percent star day week month year hour more other page item piece off"
    " x people person".split()
)
"""Words that a number counts: "3 copies" does not name volume 3."""


def volume_in(text: str) -> int | None:
    """The volume that a text names: "volume 3", "vol. three", "the third volume", "first volumes", "#3"."""
    if _LAST.search(text):
        return LAST
    said = words(text.replace("#", " volume "))
    for at, word in enumerate(said):
        if word in VOLUME_WORDS and word not in ("no", "part"):
            is_one = word != "volumes" or said[at + 2 : at + 3] == ["and"]  # of "volumes 5 and 6" the first
            if is_one and at + 1 < len(said) and (found := number(said[at + 1])) is not None:
                return found
            if at and (found := ordinal(said[at - 1])) is not None:
                return found
    return None


def several_in(text: str) -> tuple[int, ...]:
    """The volumes that a text names if it names several: "volumes 5 and 6", "the first and third volume"."""
    if first := _FIRST.search(text):
        return tuple(range(1, min(MOST, number(first[1]) or 1) + 1))
    said = bare_words(text.replace("#", " volume "))
    for at, word in enumerate(said):
        if word in VOLUME_WORDS and word not in ("no", "part"):
            found = volumes_at(said, at)[0] or volumes_before(said, at + 1)
            if len(found) > 1:
                return found
    return ()


def volumes_at(said: Sequence[str], at: int) -> tuple[tuple[int, ...], int]:
    """The volumes that stand at a position, and where they end."""
    has_word = at < len(said) and said[at] in VOLUME_WORDS
    found, end = _listed(said, at + has_word, number if has_word else _figure)
    return (found, end) if found else ((), at)


def volumes_before(said: Sequence[str], at: int) -> tuple[int, ...]:
    """The volumes that stand before a title: "volume 3 of", "volumes 1 to 4 of", "the third book of"."""
    end = at
    while end and said[end - 1] in DULL | {"series"}:
        end -= 1
    start, farthest = end, max(0, end - _LISTED)
    while start > farthest and _may_list(said[start - 1]):
        start -= 1
    run = [word for word in said[start:end] if word != "the"]
    for first, word in enumerate(run):
        if word in VOLUME_WORDS:
            found, last = volumes_at(run, first)
            if found and last == len(run):
                return found
    is_one = bool(run) and run[-1] == "one" and end < at  # "the second one of", not "the second one, <title>"
    if not run or not (is_one or run[-1] in VOLUME_WORDS):
        return ()
    first = len(run) - 1
    while first and (run[first - 1] in _JOINS or ordinal(run[first - 1])):
        first -= 1
    return _listed(run[:-1], first, ordinal)[0]


def _may_list(word: str) -> bool:
    """Whether a word may stand in a list of volumes."""
    return word in _IN_A_LIST or number(word) is not None


def _listed(said: Sequence[str], at: int, read: Callable[[str], int | None]) -> tuple[tuple[int, ...], int]:
    """The numbers that stand at a position, one or several, and where they end."""
    first = read(said[at]) if at < len(said) else None
    if first is None:
        return (), at
    found, at = [first], at + 1
    while at < len(said):
        join = said[at] if said[at] in _JOINS else ""
        step = at + bool(join)
        step += step < len(said) and said[step] in VOLUME_WORDS
        following = read(said[step]) if step < len(said) else None
        if following is None or not _goes_on(found[-1], following, join, said[step + 1 : step + 2]):
            break
        found += range(found[-1] + 1, following + 1) if join in _TO else [following]
        at = step + 1
    return tuple(dict.fromkeys(found)), at


def _goes_on(last: int, following: int, join: str, after: Sequence[str]) -> bool:
    """Whether a number behind a volume is another volume, and counts nothing."""
    is_after = last < following < MOST
    return (is_after or join in ("and", "or")) and not (after and after[0] in _COUNTED)


def _figure(word: str) -> int | None:
    """The number of a volume whose word is left out: a figure of one or two digits."""
    return int(word) if word.isdecimal() and int(word) < MOST and len(word) < len(str(MOST)) else None
