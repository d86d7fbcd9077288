"""Finds the products that a question is about: by title, by the page, or by what it points at in the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from retail_assistant.understand.ask import Subject
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.names.titles import Named
from retail_assistant.understand.names.volumes import LAST, several_in, volume_in
from retail_assistant.understand.plain_words import number, ordinal, words
from retail_assistant.understand.question import Question
from retail_assistant.understand.wishes import Wishes

SHORT = 7
"""A message of fewer words goes on from what was said before."""
Prices = Callable[[str], int]
"""Returns the present price of a product in cents by its asin."""
Titles = Callable[[str], str]
"""Returns the title of a product by its asin."""
_POINTS = re.compile(
    r"\b(?:it|its|this|that|these|those|them|they|the manga|the story"
    r"|the (?:whole|entire|complete|full) (?:series|thing|set)"
    r"|(?:same|the) (?:book|one|title|volume|author|series|genre|edition))\b"
)
_GOES_ON = re.compile(r"^(?:and|what about|how about)\b")
_OF_SERIES = re.compile(
    r"\bvol(?:ume)?s? \d|\b(?:which|what) (?:ones|volumes|else)\b|\bthe (?:rest|remaining|missing|others|next one)\b"
)
"""Words that go on about the series that was spoken of."""
_THE_PLACE = re.compile(
    r"(?<!at )\bthe (first|top|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th|middle)\b(?! (?:vol|volume|part)\b)"
    r"(?: (?:one|book|title|manga|option|of (?:them|these|those)))?\b"
    r"|\b(?:number|no\.?|option|#) ?(\d|one|two|three|four|five)\b|\b(first|second|third|last) one\b"
)
_THE_ONE = re.compile(r"\b(?:the|that) (?:(\w{3,}) (?:ones?|book)\b|(\d{1,4})(?= (?:or|and)\b|\W*$))")
_THE_NTH = re.compile(r"\bthe (\w+(?:th|st|nd|rd))\b(?! of\b)(?: one| volume)?")
_FIRST_SEVERAL = re.compile(r"\bthe first (two|three|2|3)\b(?! volumes| books| parts| vols)")
_VOLUME_ALONE = re.compile(
    r"^(?:and |what about |how about |also )?(?:the )?(?:vol(?:ume)? |number |no |# ?)?(\d{1,2})(?:st|nd|rd"
    r"|th)?(?: one)?\W*$"
)
_OWNED = re.compile(
    r"(?<!don't )(?<!do )\bi(?:'ve)?(?: already| only)? (?:have|got|own|read|bought)"
    r" (?:\w+ ){0,2}?(?:(?:vol(?:ume)?|part|book|number)s? (?:\d|one|two|three|four|five)|x\b)"
)
_CHEAPER = re.compile(r"\bthe (?:cheap(?:er|est)|less expensive|least expensive)(?: (?:one|of))?\b")
_DEARER = re.compile(r"\bthe (?:dear(?:er|est)|more expensive|most expensive|pricier)(?: (?:one|of))?\b")
_SEVERAL = re.compile(r"\b(?:they|both|them|these|those)\b")
_OTHER_ONE = re.compile(r"\bthe other (?:one|book|title)\b")
_THIS = re.compile(r"\bthis(?: one| book)?\b")
OF_THOSE = re.compile(r"\b(?:of|from|among) (?:those|these|them|the ones)\b")
_COMPARES = re.compile(r"\b(?:than|or|vs|versus|compare|better|cheaper|difference)\b")


def find_subjects(asked: Question, *, cents: Prices, titles: Titles = str) -> tuple[Subject, ...]:
    """Find the products that a question is about.

    A question with a word that nothing in the shop has must point at a product to be about one. It is not about the
    volumes that the shopper says to have, if they are several.

    Args:
        asked: The question.
        cents: The present prices.
        titles: The titles of products.

    Returns:
        The products, each narrowed by the volume and the format that the question states.
    """
    question, wishes, said, page = asked.text, asked.wishes, asked.said, asked.page
    form = only(wishes.formats)
    has_several = len(asked.had) > 1
    stated = (None,) if has_several else several_in(question) or (wishes.volume,)
    if asked.named:
        named = asked.named
        if has_several:
            named = tuple(msgspec.structs.replace(n, volume=None, more=()) for n in named)
        return _by_title(question, named, wishes, page, stated)
    if chosen := _of_shown(question, said, form, cents) or _by_word(question, said, form, titles):
        return chosen
    volumes = stated if stated != (None,) else (_volume_alone(question, said),)
    points = bool(_POINTS.search(question)) or (bool(_OF_SERIES.search(question)) and not wishes.genres)
    is_new = page != said.page or _THIS.search(question) is not None
    if page and ((points and is_new) or not said.focus or said.focus == page):  # else the conversation has moved on
        return tuple(Subject("", "page", page, volume=v, format=form) for v in volumes)
    goes_on = len(words(question)) < SHORT or _GOES_ON.match(question) is not None
    is_other = volumes != (None,) and not (wishes.genres or wishes.authors)
    if points or is_other or (goes_on and not asked.is_foreign and not wishes.authors):
        if said.focus:
            return tuple(Subject("", "focus", said.focus, volume=v, format=form) for v in volumes)
        if page:
            return tuple(Subject("", "page", page, volume=v, format=form) for v in volumes)
    if (volumes != (None,) or points) and len(said.wishes.series) == 1:  # the list was of one series
        return tuple(Subject(next(iter(said.wishes.series)), "focus", volume=v, format=form) for v in volumes)
    return ()


def _of_shown(question: str, said: Dialogue, form: str | None, cents: Prices) -> tuple[Subject, ...]:
    """The products of the last reply that a question picks: by a choice that was offered, by their place, or all."""
    if said.choices and form:
        return (Subject("", "shown", said.choices[0], format=form),)
    if said.kind == "compare" and _SEVERAL.search(question):
        return tuple(Subject("", "shown", asin) for asin in said.shown)
    placed = _by_place(question, said, cents) if said.shown else ()
    return tuple(Subject("", "shown", asin, format=form) for asin in placed)


def _by_word(question: str, said: Dialogue, form: str | None, titles: Titles) -> tuple[Subject, ...]:
    """The products of the last list whose titles alone have a word with which a question picks one: "the vault one"."""
    picked = [found[1] or found[2] for found in _THE_ONE.finditer(question)] if len(said.shown) > 1 else []
    having = [[asin for asin in said.shown if word in words(titles(asin))] for word in picked]
    return tuple(Subject("", "shown", asins[0], format=form) for asins in having if len(asins) == 1)


def owned(question: str, named: Sequence[Named]) -> tuple[int, ...]:
    """The volumes that the shopper says to have: "I have volumes 1 to 4, which ones am I missing?"."""
    found = _OWNED.search(question)
    if not found:
        return ()
    if named and named[0].volumes:
        return named[0].volumes
    volume = volume_in(question)
    return several_in(question) or (() if volume is None else (volume,))


def only(names: Iterable[str]) -> str | None:
    """Return the name if there is exactly one."""
    some = list(names)
    return some[0] if len(some) == 1 else None


def _by_title(
    question: str, named: Sequence[Named], wishes: Wishes, page: str, stated: Sequence[int | None]
) -> tuple[Subject, ...]:
    """The titles that a question names; with "this" and a comparison also the product on the page."""
    form = only(wishes.formats)
    found = tuple(
        Subject(n.name, "message", "", volume, form, n.whole) for n in named for volume in (n.volumes or stated)
    )
    if page and len(found) == 1 and _THIS.search(question) and _COMPARES.search(question):
        return (Subject("", "page", page), *found)
    return found


def _by_place(question: str, said: Dialogue, cents: Prices) -> tuple[str, ...]:
    """The products of the last list whose places a question names: "the second one", "the cheaper one"."""
    shown = said.shown
    if len(shown) == 2 and _OTHER_ONE.search(question):  # noqa: PLR2004  # the other of two
        return (shown[0] if said.focus == shown[1] else shown[1],)
    if several := _FIRST_SEVERAL.search(question):
        return shown[: number(several[1]) or 1]
    if len(shown) > 1:
        at = dict.fromkeys(_place(found, len(shown)) for found in _THE_PLACE.finditer(question))
        if at:
            return tuple(shown[place - 1] for place in at if place <= len(shown))
        if _CHEAPER.search(question) and said.wishes.sort != "-price":
            return (min(shown, key=cents),)
        if _DEARER.search(question):
            return (max(shown, key=cents),)
    return ()


def _place(found: re.Match[str], shown: int) -> int:
    """The place from 1 that a phrase names in a list of ``shown`` products."""
    word = next(group for group in found.groups() if group)
    return {"last": shown, "middle": shown // 2 + 1}.get(word) or ordinal(word) or number(word) or 1


def _volume_alone(question: str, said: Dialogue) -> int | None:
    """The volume of a message that names only one: "and 3?", or "is the third one available?" after one product."""
    if found := _VOLUME_ALONE.match(question.strip()):
        return int(found[1])
    if len(said.shown) == 1 and (place := _THE_PLACE.search(question)):
        word = next(group for group in place.groups() if group)
        return LAST if word == "last" else ordinal(word) or number(word)
    if len(said.shown) <= 1 and said.focus and (place := _THE_NTH.search(question)):
        return ordinal(place[1])
    return None
