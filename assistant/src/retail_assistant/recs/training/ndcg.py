"""How good an order is, and whether one is better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.log import Floats, Ints

DEPTH = 10
RESAMPLES = 2_000
SEED = 7
_DISCOUNT: Floats = 1.0 / np.log2(np.arange(2, DEPTH + 2))


@dataclass(frozen=True)
class Interval:
    """A mean paired difference with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def ndcg(ranked: Ints, wanted: Ints, *, depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain, each wanted item worth the same."""
    hits = np.isin(ranked[:depth], wanted)
    best = _DISCOUNT[: min(depth, len(np.unique(wanted)))].sum()
    return float(_DISCOUNT[: len(hits)][hits].sum() / best) if best else 0.0


def paired_interval(ours: Floats, theirs: Floats) -> Interval:
    """The mean of the per-shopper differences, with the percentile bootstrap's 95 % interval."""
    difference = ours - theirs
    rng = np.random.default_rng(SEED)
    means = [rng.choice(difference, len(difference)).mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(difference.mean()), float(low), float(high))
