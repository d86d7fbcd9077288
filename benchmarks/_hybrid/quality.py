"""The scores of a run, cut into all, cold and warm requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import judge
from .data import Floats
from .judge import Interval
from .methods import FULL, LINEAR, Way
from .rolling import WARM, Outcome


@dataclass(frozen=True)
class Slice:
    """Some of a run's requests."""

    name: str
    outcome: Outcome
    chosen: NDArray[np.bool_]

    @property
    def requests(self) -> int:
        """How many there are."""
        return int(self.chosen.sum())

    @cached_property
    def users(self) -> int:
        """How many users they come from."""
        return len(np.unique(self.outcome.users[self.chosen]))

    @cached_property
    def drawn(self) -> Floats:
        """The resamples that every interval of this slice uses."""
        return judge.draw(self.users)

    def per_user(self, scores: Floats) -> Floats:
        """Return each user's mean."""
        return judge.by_user(scores[self.chosen], self.outcome.users[self.chosen])

    def ndcg(self, way: Way) -> Interval:
        """The mean NDCG@5."""
        return judge.mean(self.per_user(self.outcome.ndcg[way]), self.drawn)

    def hit(self, way: Way) -> float:
        """The mean hit rate@5."""
        return float(self.per_user(self.outcome.hit[way]).mean())

    def ratio(self, ours: Way, theirs: Way | None = None) -> Interval:
        """NDCG@5 over another's, by default over full real-time with the same scorer and number of candidates."""
        theirs = theirs or Way(FULL, ours.scorer or LINEAR, ours.count)
        return judge.ratio(self.per_user(self.outcome.ndcg[ours]), self.per_user(self.outcome.ndcg[theirs]), self.drawn)

    def gain(self, ours: Way, theirs: Way) -> Interval:
        """NDCG@5 minus another's."""
        return judge.difference(
            self.per_user(self.outcome.ndcg[ours]), self.per_user(self.outcome.ndcg[theirs]), self.drawn
        )


def slices(outcome: Outcome) -> dict[str, Slice]:
    """All requests, and those of users with fewer and with at least 30 interactions; an empty one is left out."""
    warm = outcome.lengths >= WARM
    parts = {"all": np.ones(len(warm), dtype=np.bool_), "cold": ~warm, "warm": warm}
    return {name: Slice(name, outcome, chosen) for name, chosen in parts.items() if chosen.any()}
