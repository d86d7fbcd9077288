"""Which titles a message names: whole, or by enough of their rarer words."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from retail_assistant.understand.names.volumes import DULL, volumes_at, volumes_before
from retail_assistant.understand.plain_words import bare_words

_ARTICLES = frozenset({"the", "a", "an"})
_VOLUME_OF_TITLE = re.compile(r"(?:,|(?<![,\s]))\s*\b(?:vol|volume)\.?\s*\d+\s*$", re.IGNORECASE)
_DETAILS = re.compile(r",|\(| - | with | in ")
"""What follows a product's name in its title: "Spider Plant, 12 cm Pot"."""
_BEFORE_TITLE = frozenset(
    "the title wrote write about of called titled read reading sell stock have buy does is for by add".split()
)
LEAST_PART = 0.6
"""The share of a title's rareness that a part of it must have."""


class Named(msgspec.Struct, frozen=True):
    """A title that a text names, with the volume and where it stands (word positions); ``more`` are further volumes."""

    name: str
    volume: int | None
    start: int
    end: int
    whole: bool = True
    more: tuple[int, ...] = ()

    @property
    def volumes(self) -> tuple[int, ...]:
        """All volumes that are named."""
        return () if self.volume is None else (self.volume, *self.more)


class Titles:
    """Finds titles in texts."""

    def __init__(self, names: Iterable[str]) -> None:
        """Index the titles of series and single books."""
        self._whole: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._holders: dict[str, set[int]] = defaultdict(set)
        self._parts: list[tuple[frozenset[str], frozenset[str], str]] = []
        self._articles: dict[str, str] = {}
        for name in names:
            spelled = bare_words(_VOLUME_OF_TITLE.sub("", name))
            said = tuple(_without_article(spelled))
            if not said:
                continue
            self._whole[said[0]].append((said, name))
            self._articles[name] = spelled[0] if len(spelled) > len(said) else ""
            for word in set(said):
                self._holders[word].add(len(self._parts))
            first = frozenset(_without_article(bare_words(_DETAILS.split(name, maxsplit=1)[0])))
            self._parts.append((frozenset(said), first or frozenset(said), name))
        for found in self._whole.values():
            found.sort(key=lambda pair: -len(pair[0]))
        count = len(self._parts) + 1
        self._rarity = {word: math.log(count / len(at)) for word, at in self._holders.items()}

    def named(self, text: str) -> list[Named]:
        """The titles that a text names, in its order."""
        said = bare_words(text)
        found = self._all_whole(said)
        return found or self._all_parts(said)

    def _all_whole(self, said: Sequence[str]) -> list[Named]:
        found: list[Named] = []
        at = 0
        while at < len(said):
            match = self._longest(said, at)
            if match is None or (len(match[0]) == 1 and not _is_marked(said, at)):
                at += 1
                continue
            volumes, end = volumes_at(said, at + len(match[0]))
            found.append(_named(match[1], volumes or volumes_before(said, at), at, end))
            at = end
        return found

    def _longest(self, said: Sequence[str], at: int) -> tuple[tuple[str, ...], str] | None:
        """The longest title that stands at a position; of two that differ in the article the one that is said."""
        fitting = [pair for pair in self._whole.get(said[at], ()) if _stands(pair[0], said, at)]
        before = said[at - 1] if at and said[at - 1] in _ARTICLES else ""
        return max(fitting, key=lambda pair: (len(pair[0]), self._articles[pair[1]] == before), default=None)

    def _all_parts(self, said: Sequence[str]) -> list[Named]:
        """The best title of which enough words stand close together, if one is better than all others."""
        near: dict[int, float] = defaultdict(float)
        for word in set(said) - DULL:
            for number_ in self._holders.get(word, ()):
                near[number_] += self._rarity[word]
        scored: list[tuple[float, int]] = []
        for number_, weight in near.items():
            title, first, _ = self._parts[number_]
            matched = [i for i, word in enumerate(said) if word in title and word not in DULL]
            total = sum(self._rarity[word] for word in first)
            is_close = matched[-1] - matched[0] <= len(title) + 1
            in_first = {said[i] for i in matched if said[i] in first}
            if len(in_first) > 1 and is_close and weight / total >= LEAST_PART:
                scored.append((weight / total, number_))
        scored.sort(reverse=True)
        if not scored or (len(scored) > 1 and scored[0][0] - scored[1][0] < 0.05):  # noqa: PLR2004  # a tie
            return []
        title, _, name = self._parts[scored[0][1]]
        places = [i for i, word in enumerate(said) if word in title and word not in DULL]
        volumes, end = volumes_at(said, places[-1] + 1)
        return [_named(name, volumes or volumes_before(said, places[0]), places[0], end, whole=False)]


def _named(name: str, volumes: Sequence[int], start: int, end: int, *, whole: bool = True) -> Named:
    return Named(name, volumes[0] if volumes else None, start, end, whole, tuple(volumes[1:]))


def _stands(title: Sequence[str], said: Sequence[str], at: int) -> bool:
    return tuple(said[at : at + len(title)]) == tuple(title)


def _is_marked(said: Sequence[str], at: int) -> bool:
    """Whether a title of one word is surely meant: an article or a volume stands beside it, or nothing else is said."""
    return len(said) == 1 or bool(volumes_at(said, at + 1)[0]) or (at > 0 and said[at - 1] in _BEFORE_TITLE)


def _without_article(said: list[str]) -> list[str]:
    return said[1:] if len(said) > 1 and said[0] in _ARTICLES else said
