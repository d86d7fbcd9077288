"""Trending products: counts of events, halved with every few days of age."""

from __future__ import annotations

from collections.abc import Iterable

from retail_assistant.recs.als import TOP, Candidate
from retail_assistant.recs.taste_view import Daily

ALL = "all"
WINDOW_DAYS = 28
HALF_LIFE_DAYS = 4.0
VIEW_SHARE = 0.1


def trending_candidates(purchases: Iterable[Daily], views: Iterable[Daily], *, top: int = TOP) -> list[Candidate]:
    """Return the best decayed counts, a view worth a tenth of a purchase; equal ones are ordered by asin.

    The order does not depend on the time of the call, because exponential decay scales all counts alike.
    """
    scores: dict[str, float] = {}
    for weight, rows in ((1.0, purchases), (VIEW_SHARE, views)):
        for row in rows:
            decayed = weight * row.count * 2.0 ** (-row.age / HALF_LIFE_DAYS)
            scores[row.asin] = scores.get(row.asin, 0.0) + decayed
    ranked = sorted(((round(score, 5), asin) for asin, score in scores.items()), key=lambda pair: (-pair[0], pair[1]))
    return [Candidate(asin, score) for score, asin in ranked[:top]]
