"""Questions asked of a semantic cache one after the other while the sources of its answers change.

For parbake's cache and for those of peers alike, in whatever environment: the standard library only. An answer is the
label of its question and the version of that label's source, as in "12 0".
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from _report import percentile

ROUNDS = 20
LOOKED = 20
Compute = Callable[[], str]


@dataclass(frozen=True)
class Cache:
    """A semantic cache, as its users call it.

    Attributes:
        ask: The answer to a question by its number, computed if there is none, and whether it was a hit.
        serves: Whether a question would be answered without computing; asks nothing that is counted or stored.
        tell: Say that a label's source has changed, and what is told of it now; ``None`` where no call does so.
    """

    ask: Callable[[int, Compute], tuple[str, bool]]
    serves: Callable[[int], bool]
    tell: Callable[[int, str], None] | None = None


def halves(
    get: Callable[[int], str | None],
    put: Callable[[int, str], None],
    tell: Callable[[int, str], None] | None = None,
) -> Cache:
    """A cache that is looked into, and told the answer when it has none."""

    def ask(number: int, compute: Compute) -> tuple[str, bool]:
        found = get(number)
        if found is not None:
            return found, True
        made = compute()
        put(number, made)
        return made, False

    return Cache(ask, lambda number: get(number) is not None, tell)


class Replay:
    """An order of questions, asked of an empty cache."""

    def __init__(self, cache: Cache, labels: Sequence[int]) -> None:
        self._cache = cache
        self._labels = labels
        self._versions: Counter[int] = Counter()
        self._stored: list[int] = []
        self._taken: list[float] = []
        self._random = random.Random(0)
        self.hits = self.wrong = self.outdated = self.looked = self.alive = 0

    def _answer(self, number: int) -> str:
        label = self._labels[number]
        return f"{label} {self._versions[label]}"

    def play(self, order: Sequence[int], changes: Sequence[int] = ()) -> dict[str, float]:
        """Ask every question, and change the sources of the labels ``changes`` in between; returns what was counted."""
        pause = len(order) // (len(changes) + 1) if changes else 0
        left = list(changes)
        for place, number in enumerate(order, 1):
            self._ask(number)
            if left and place % pause == 0:
                self._change(left.pop(0))
        share = 100.0 / len(order)
        return {
            "hits": share * self.hits,
            "wrong": share * self.wrong,
            "stored": len(order) - self.hits,
            "outdated": self.outdated,
            "looked": self.looked,
            "alive": self.alive,
            "p50_ms": percentile(self._taken, 50),
        }

    def _ask(self, number: int) -> None:
        before = time.perf_counter()
        found, is_hit = self._cache.ask(number, lambda: self._answer(number))
        self._taken.append(1e3 * (time.perf_counter() - before))
        if not is_hit:
            self._stored.append(number)
            return
        label, version = map(int, found.split())
        self.hits += 1
        self.wrong += label != self._labels[number]
        self.outdated += version < self._versions[label]

    def _change(self, label: int) -> None:
        """Change a source, tell the cache, and look for stored answers of other labels: are they still served?"""
        others = [number for number in self._stored if self._labels[number] != label]
        chosen = self._random.sample(others, min(LOOKED, len(others)))
        held = [number for number in chosen if self._cache.serves(number)] if self._cache.tell else []
        self._versions[label] += 1
        if self._cache.tell:
            self._cache.tell(label, f"{label} {self._versions[label]}")
        self.looked += len(held)
        self.alive += sum(self._cache.serves(number) for number in held)


def race(cache: Cache, labels: Sequence[int], rounds: int = ROUNDS) -> tuple[int, int] | None:
    """Change a source while an answer from it is being computed, and ask again.

    Returns:
        In how many rounds the old answer is served, and of how many; ``None`` where no call tells of a change.
    """
    tell = cache.tell
    if tell is None:
        return None
    old = played = 0
    for number in {label: number for number, label in enumerate(labels)}.values():
        label = labels[number]
        raced: list[bool] = []

        def compute(label: int = label, raced: list[bool] = raced) -> str:
            raced.append(True)
            tell(label, f"{label} 1")
            return f"{label} 0"

        cache.ask(number, compute)
        if not raced:  # the answer of another label was near enough
            continue
        played += 1
        told_anew = cache.ask(number, partial("{} 1".format, label))[0]
        old += told_anew == f"{label} 0"
        if played == rounds:
            break
    return old, played
