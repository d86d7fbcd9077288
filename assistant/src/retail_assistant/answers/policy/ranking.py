"""Which section of the policies answers a question best.

A section's score is a weighted sum of measures: the cosines of its text and of its nearest sentence to the question,
the cosine of the nearest wording of the query log that was tagged with it, the rare words that both have, and the
concepts that both name. The weights were chosen on questions about the generated shop's policies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import parbake_semantic
from retail_assistant.answers.policy.sections import Ranked, Signs, section_name
from retail_assistant.faq.faq_words import UNANSWERED, content_words
from retail_assistant.knowledge.retrieval import Hit
from retail_assistant.understand.said.concepts import SELDOM_STATED, UNOPENED, concepts

WHOLE, PART, ALIAS, SAID, KNOWN, NAMED, TITLED, STATED, EXTRA = 0.14, 0.18, 0.22, 0.05, 0.06, 0.04, 0.15, 0.11, 0.0075
OTHERWISE = 0.3
"""How much less a section counts that is about opened books, if the book is not opened."""
STORY = 32
"""A text of more words tells a story, in which such a word need not be what is asked."""
KEPT = 12
"""How many of the best sections are returned."""
_PLACES = (
    ("return_abroad", "", 0.1),
    ("abroad", "", 0.15),
    ("in_europe", "beyond_europe", 0.06),
    ("beyond_europe", "in_europe", 0.06),
)
"""Parts of the world, the one that a section is about instead, and how much less such a section counts."""
_LEAST_RARITY = 0.1
_NO_WORDS: frozenset[str] = frozenset()


class _Section(NamedTuple):
    """What is matched of a section besides its vectors: words of the text and of the title, concepts of both."""

    said: frozenset[str]
    named: frozenset[str]
    titled: frozenset[str]
    stated: frozenset[str]


class _Shelf:
    """All sections made ready: what each word and each concept of a question adds to the score of each section."""

    def __init__(self, hits: Sequence[Hit], wordings: dict[str, frozenset[str]]) -> None:
        self.names = [section_name(hit.block) for hit in hits]
        sections = [_section(hit.policy, hit.block.title, hit.block.plain) for hit in hits]
        known = [s.said | wordings.get(name, _NO_WORDS) for s, name in zip(sections, self.names, strict=True)]
        self.unknown = math.log(len(hits) + 1)
        self.rare, self.rare_concepts = _rarity(known), _rarity([s.stated for s in sections])
        both = list(zip(sections, known, strict=True))
        self.words = {
            word: rare
            * np.array([SAID * (word in s.said) + KNOWN * (word in k) + NAMED * (word in s.named) for s, k in both])
            for word, rare in self.rare.items()
        }
        self.concepts = {
            name: rare * np.array([TITLED * (name in s.titled) + STATED * (name in s.stated) for s in sections])
            for name, rare in self.rare_concepts.items()
        }
        self.stated = {
            name: rare * np.array([float(name in s.stated) for s in sections])
            for name, rare in self.rare_concepts.items()
        }
        self.titled = {
            name: rare * np.array([float(name in s.titled) for s in sections])
            for name, rare in self.rare_concepts.items()
        }
        self.extra = sum(self.titled.values(), np.zeros(len(hits)))

    def score(self, words: set[str], named: frozenset[str]) -> Any:
        """What the words and concepts of a question add to each section's score."""
        nothing = np.zeros(len(self.names))
        is_unopened, named = UNOPENED in named, named - {UNOPENED}
        total = sum(self.rare.get(word, self.unknown) for word in words) or 1.0
        total_named = sum(max(self.rare_concepts.get(name, self.unknown), _LEAST_RARITY) for name in named) or 1.0
        by_words = sum((self.words[word] for word in words if word in self.words), nothing)
        by_concepts = sum((self.concepts[name] for name in named if name in self.concepts), nothing)
        for place, other, less in _PLACES:
            if place in named and place in self.stated:
                misses = (self.stated[place] == 0) & (self.stated.get(other, nothing) > 0 if other else True)
                by_concepts = by_concepts - total_named * less * misses
        if is_unopened and "opened" in self.titled:
            by_concepts = by_concepts - total_named * OTHERWISE * (self.titled["opened"] > 0)
        extra = self.extra - sum((self.titled[name] for name in named if name in self.titled), nothing)
        return by_words / total + by_concepts / total_named - EXTRA * extra

    def shared(self, named: frozenset[str], at: int) -> float:
        """How much of what is asked a section states."""
        return sum(float(self.stated[name][at]) for name in named if name in self.stated) / 4


class Desk:
    """Holds the sections and the logged wordings ready for ranking, and builds the sections again when they change."""

    def __init__(self, bank: parbake_semantic.BankSnapshot | None) -> None:
        """Read the wordings of a bank."""
        self._vectors: Any = None
        self._starts: Any = None
        self._owners: dict[str, int] = {}
        self._words: dict[str, frozenset[str]] = {}
        self._last: tuple[list[tuple[str, str]], _Shelf] | None = None
        if bank is not None and bank.bank.aliases:
            self._read(bank.bank)

    def _read(self, compiled: parbake_semantic.Bank) -> None:
        """Put the wordings of each section beside each other, so that the nearest of all are found in one pass."""
        rows: dict[str, list[int]] = {}
        for row, owner in enumerate(compiled.owner_of):
            rows.setdefault(compiled.answers[owner].lstrip(UNANSWERED), []).append(row)
        vectors = np.frombuffer(compiled.vectors, np.float32).reshape(len(compiled.aliases), -1)
        self._vectors = vectors[[row for some in rows.values() for row in some]]
        self._starts = np.cumsum([0, *(len(some) for some in rows.values())])[:-1]
        self._owners = {name: n for n, name in enumerate(rows)}
        self._words = {
            name: frozenset(content_words(" ".join(compiled.aliases[row] for row in some)))
            for name, some in rows.items()
        }

    def rank(
        self,
        text: str,
        vector: Any,
        hits: Sequence[Hit],
        *,
        but: str = "",
        near: float = 2.0,
    ) -> list[Ranked]:
        """The :data:`KEPT` best sections, the best first.

        Args:
            text: The question.
            vector: Its embedding.
            hits: The sections as they hold now.
            but: A section that is left out.
            near: Wordings with a greater cosine are left out.
        """
        if not hits:
            return []
        shelf, named = self._shelf(hits), concepts(text)
        wordings = self._nearest(vector, shelf.names, near)
        vectors = np.array([WHOLE * hit.whole + PART * hit.part for hit in hits])
        scores = vectors + ALIAS * wordings + shelf.score(content_words(text), named)
        if but in shelf.names:
            scores[shelf.names.index(but)] = -np.inf
        is_story = len(text.split()) > STORY
        unheard = 0.0 if is_story else float(len((named & SELDOM_STATED) - shelf.stated.keys()))
        ranked = []
        for at in np.argsort(-scores, kind="stable")[:KEPT].tolist():
            hit = hits[at]
            signs = Signs(max(hit.whole, hit.part), float(wordings[at]), shelf.shared(named, at), unheard)
            ranked.append(Ranked(hit.block, float(scores[at]), signs))
        return ranked

    def _shelf(self, hits: Sequence[Hit]) -> _Shelf:
        """The shelf of some sections; the last one is kept, because policies rarely change."""
        key = [(hit.block.id, f"{hit.policy}: {hit.block.plain}") for hit in hits]
        if self._last is None or self._last[0] != key:
            self._last = (key, _Shelf(hits, self._words))
        return self._last[1]

    def _nearest(self, vector: Any, names: Sequence[str], near: float) -> Any:
        """The cosine of each section's nearest wording, 0 for a section without any."""
        if self._vectors is None:
            return np.zeros(len(names))
        cosines = self._vectors @ vector
        cosines[cosines > near] = 0.0
        best = np.append(np.maximum.reduceat(cosines, self._starts), 0.0)
        return np.maximum(0.0, best[[self._owners.get(name, -1) for name in names]].astype(float))


def _rarity(sets: Sequence[frozenset[str]]) -> dict[str, float]:
    """How rare each word is among some sets: the logarithm of the share of sets that have it, negated."""
    count = Counter(word for words in sets for word in words)
    return {word: math.log((len(sets) + 1) / (number + 0.5)) for word, number in count.items()}


@lru_cache(4_096)  # a policy's text is public, and rarely changes
def _section(policy: str, title: str, text: str) -> _Section:
    return _Section(
        frozenset(content_words(f"{policy} {title} {text}")),
        frozenset(content_words(f"{policy} {title}")),
        concepts(f"{policy} {title}".lower()),
        concepts(f"{policy}: {title}. {text}".lower()),
    )
