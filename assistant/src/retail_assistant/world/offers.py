"""Promotions around the present: some have ended, some are running (one ends soon), some lie ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.draws import DAY

_PAST, _CURRENT, _FUTURE = 13, 15, 12
_NAMES = ("{genre} week", "{genre} days", "Spotlight on {genre}", "{genre} favourites", "{genre} weekend")
_STORE_NAMES = ("Storewide sale", "Reading season", "Late night sale", "Full shelves sale")
_FOR = {"all": "", "new": " for newcomers", "regular": " for regulars", "vip": " for VIPs"}
_SEGMENT_SHARES = (0.55, 0.15, 0.15, 0.15)
ENDING_SOON_S = 900.0

PromotionRow = tuple[str, str, str, str, int, float, float]


def make_promotions(seed: int, genres: Sequence[str], *, now: float) -> Iterator[PromotionRow]:
    """Yield 40 promotions on ``genres``, as rows of their table; one running now ends 15 minutes after ``now``."""
    rng = draws.stream(seed, "promotions")
    kinds = ["past"] * _PAST + ["current"] * _CURRENT + ["future"] * _FUTURE
    for number, kind in enumerate(kinds, start=1):
        starts_at, ends_at = _span(rng, kind, now)
        if number == _PAST + 1:
            ends_at = now + ENDING_SOON_S
        category = "*" if draws.chance(rng, 0.12) else draws.pick(rng, genres)
        segment = list(_FOR)[int(rng.choice(4, p=_SEGMENT_SHARES))]
        percent = int(rng.choice([10, 15, 20, 25, 30, 40]))
        yield f"p{number:03d}", _title(rng, category, segment, percent), category, segment, percent, starts_at, ends_at


def _span(rng: np.random.Generator, kind: str, now: float) -> tuple[float, float]:
    length = rng.uniform(3, 14) * DAY
    if kind == "past":
        ends_at = now - rng.uniform(0.5, 60) * DAY
        return float(np.floor(ends_at - length)), float(np.floor(ends_at))
    if kind == "current":
        starts_at = now - rng.uniform(0.05, 0.8) * length
        return float(np.floor(starts_at)), float(np.floor(starts_at + length))
    starts_at = now + rng.uniform(0.1, 30) * DAY
    return float(np.floor(starts_at)), float(np.floor(starts_at + length))


def _title(rng: np.random.Generator, category: str, segment: str, percent: int) -> str:
    name = draws.pick(rng, _STORE_NAMES) if category == "*" else draws.pick(rng, _NAMES).format(genre=category)
    return f"{name[:1].upper()}{name[1:]}: {percent} % off{_FOR[segment]}"
