"""Reads the texts of the generated shop from the TOML files of this folder, each file once.

A seed draws from lists by position: whoever changes the order of a list changes what every seed generates.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from retail_assistant.shop.data_file import read
from retail_assistant.shop.policies import Fact

_FOLDER = Path(__file__).parent


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recurring question: its subject, its plain form, and patterns of its wordings."""

    id: str
    policy: str
    section: str
    canonical: str
    patterns: tuple[str, ...]


class _Questions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    questions: tuple[Question, ...]


class PolicyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One policy as written, before it is stored."""

    id: str
    title: str
    facts: dict[str, Fact]
    body: str


class _Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policies: tuple[PolicyText, ...]


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people say with one intent, and its share of the messages that are not recurring questions."""

    share: float
    patterns: tuple[str, ...]


class Theme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A theme: a name, a clause that continues "a story of ...", and its usual genres."""

    name: str
    clause: str
    genres: tuple[str, ...]


class _Themes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    genres: tuple[str, ...]
    themes: tuple[Theme, ...]


class Titles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Word lists for the names of series and people, and sentences of descriptions; some of both are by genre."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    places: tuple[str, ...]
    adjectives: tuple[str, ...]
    title_patterns: tuple[str, ...]
    theme_sentences: tuple[str, ...]
    second_sentences: tuple[str, ...]
    volume_sentences: tuple[str, ...]
    last_sentences: tuple[str, ...]
    single_sentences: tuple[str, ...]
    nouns: dict[str, tuple[str, ...]]
    openers: dict[str, tuple[str, ...]]


class ReviewTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences of reviews: praise and blame by aspect, the first and the last sentence by the number of stars."""

    praise: dict[str, tuple[str, ...]]
    blame: dict[str, tuple[str, ...]]
    opening: dict[int, tuple[str, ...]]
    closing: dict[int, tuple[str, ...]]


@cache
def questions() -> tuple[Question, ...]:
    """The recurring questions, for evaluation only: the assistant has to find them in the log."""
    parts = ("questions_orders.toml", "questions_delivery.toml", "questions_account.toml")
    return tuple(question for part in parts for question in read(_FOLDER / part, _Questions).questions)


@cache
def policies() -> tuple[PolicyText, ...]:
    """The policies of the shop."""
    return read(_FOLDER / "policies.toml", _Policies).policies


@cache
def chatter() -> dict[str, Intent]:
    """What people say that is not a recurring question, by intent."""
    return read(_FOLDER / "chatter.toml", dict[str, Intent])


def genres() -> tuple[str, ...]:
    """The genres of series."""
    return _themes().genres


def themes() -> tuple[Theme, ...]:
    """The themes of series."""
    return _themes().themes


@cache
def _themes() -> _Themes:
    return read(_FOLDER / "themes.toml", _Themes)


@cache
def titles() -> Titles:
    """What series titles, names and descriptions are composed of."""
    return read(_FOLDER / "titles.toml", Titles)


@cache
def reviews() -> ReviewTexts:
    """What reviews are put together from."""
    return read(_FOLDER / "reviews.toml", ReviewTexts)
