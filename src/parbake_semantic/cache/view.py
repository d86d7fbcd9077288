"""What a process knows of a cache: the questions with their vectors, and what each answer is worth keeping.

What is kept when the cache is full follows Greedy-Dual-Size with frequency (Cherkasova, Improving WWW proxies
performance with Greedy-Dual-Size-Frequency caching policy, HP Laboratories, 1998): an entry is worth its hits times
what a hit saves over its size, plus the worth of the entry that was dropped last, so that former favourites age.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from parbake_semantic.cache.entries import Stored
from parbake_semantic.cache.entry import Entry
from parbake_semantic.cache.exact_wordings import ExactWordings
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.text.arrays import Vectors
from parbake_semantic.text.audience import Scope

_SAMPLED = 16
_LEAST_COST_S = 0.001


class _Row:
    """An entry in the view: where its vector is, if it has one there, and what it is worth."""

    __slots__ = ("cost_s", "group", "hits", "key", "place", "row", "scope", "size", "worth")

    def __init__(self, key: bytes, scope: Scope, place: int) -> None:
        self.key, self.scope, self.place = key, scope, place
        self.group = ""
        self.row: int | None = None
        self.size, self.cost_s, self.hits, self.worth = 0, 0.0, 1, 0.0


class View:
    """The entries that a process knows. Not thread-safe."""

    def __init__(
        self,
        neighbours: Callable[[], Neighbours],
        *,
        most: int,
        most_bytes: float,
        most_exact: int | None = None,
        seed: int = 0,
    ) -> None:
        """Know no entry yet.

        Args:
            neighbours: Makes the search for the questions of one scope.
            most: The greatest number of entries.
            most_bytes: The greatest sum of their sizes in the store.
            most_exact: The greatest number of entries of an answer that are not found by a vector; ``None`` for no
                limit but those of all entries.
            seed: Seed of the choice among which the entry that is worth least is dropped.
        """
        self._neighbours, self._most, self._most_bytes = neighbours, most, most_bytes
        self._scopes: dict[Scope, Neighbours] = {}
        self._rows: dict[bytes, _Row] = {}
        self._places: list[_Row] = []
        self._exact = ExactWordings(most_exact)
        self._aged = 0.0
        self._random = random.Random(seed)  # noqa: S311  # chooses what is dropped; not security-relevant
        self.size = 0
        """The bytes of all entries in the store."""

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._rows)

    @property
    def counts(self) -> dict[Scope, int]:
        """Number of entries per scope."""
        return dict(Counter(row.scope for row in list(self._rows.values())))

    def match(self, scope: Scope, vector: Vectors, ranking: Ranking) -> Match | None:
        """The best match in a scope for a unit vector; ``None`` if the scope is empty."""
        found = self._scopes.get(scope)
        return None if found is None else found.match(vector, ranking)

    def has_room(self, scope: Scope, group: str, key: bytes) -> bool:
        """Whether an entry may be found by its vector: an answer has a limited number of such questions."""
        found, known = self._scopes.get(scope), self._rows.get(key)
        has_place = known is not None and known.row is not None and known.group == group
        return found is None or has_place or found.has_room(group)

    def add(self, one: Stored) -> None:
        """Add an entry, or replace the one with its key.

        Without a vector, or beyond the number of questions of its answer, it is found by its text only.
        """
        known = self._rows.get(one.key)
        if known is None:
            known = self._rows[one.key] = _Row(one.key, one.entry.scope, len(self._places))
            self._places.append(known)
        self._place(known, one.entry)
        self.size += one.size - known.size
        known.size, known.cost_s = one.size, one.cost_s
        self._weigh(known)

    def _place(self, known: _Row, entry: Entry) -> None:
        """Assign an entry to its answer, and its vector to the search if there is room."""
        has_room = bool(entry.vector) and self.has_room(known.scope, entry.group, known.key)
        if known.row is not None and has_room:
            self._scopes[known.scope].give(known.row, entry.group)
            known.group = entry.group
            return
        self._displace(known)
        known.group = entry.group
        if not has_room:
            self._exact.use((known.scope, known.group), known.key)
            return
        if known.scope not in self._scopes:
            self._scopes[known.scope] = self._neighbours()
        known.row = self._scopes[known.scope].add(entry.unpacked(), entry.group, entry.question)

    def _displace(self, known: _Row) -> None:
        """Take an entry out of the search, or out of what is found by its text only."""
        self._exact.remove((known.scope, known.group), known.key)
        if known.row is None:
            return
        neighbours = self._scopes[known.scope]
        neighbours.remove(known.row)
        known.row = None
        if not len(neighbours):
            del self._scopes[known.scope]

    def hit(self, key: bytes) -> None:
        """Count a hit of an entry; one that is not known is passed over."""
        known = self._rows.get(key)
        if known is not None:
            known.hits += 1
            self._weigh(known)
            if known.row is None:
                self._exact.use((known.scope, known.group), key)

    def drop(self, key: bytes) -> None:
        """Remove an entry; one that is not known is passed over."""
        known = self._rows.pop(key, None)
        if known is None:
            return
        last = self._places.pop()
        if last is not known:
            self._places[known.place], last.place = last, known.place
        self.size -= known.size
        self._displace(known)

    def shrink(self) -> list[bytes]:
        """Remove entries until the limits hold; returns their keys.

        An answer loses the questions that were used least recently, and the cache those that are worth least.
        """
        dropped = self._exact.surplus()
        for key in dropped:
            self.drop(key)
        while len(self._rows) > self._most or (self.size > self._most_bytes and self._rows):
            sample = (self._random.choice(self._places) for _ in range(_SAMPLED))
            least = min(sample, key=_worth)
            self._aged = max(self._aged, least.worth)
            self.drop(least.key)
            dropped.append(least.key)
        return dropped

    def _weigh(self, row: _Row) -> None:
        row.worth = self._aged + row.hits * max(row.cost_s, _LEAST_COST_S) / max(row.size, 1)


def _worth(row: _Row) -> Any:
    return row.worth
