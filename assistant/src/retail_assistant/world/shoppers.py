"""Shoppers' latent tastes, and how strongly each of them is drawn to each line of the catalog."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retail_assistant.world import draws
from retail_assistant.world.catalog import Catalog
from retail_assistant.world.draws import DAY, Floats, Ints
from retail_assistant.world.texts.texts_read import genres, themes

Weights = NDArray[np.float32]

_HIDDEN = 6
_GENRE_FLOOR = 0.02
_FORMATS = ("paperback", "hardcover", "digital")
SEGMENT_NAMES = ("new", "regular", "vip")
_SEGMENT_STARTS = (2, 7)


@dataclass(frozen=True)
class Market:
    """The data that all shoppers share: features (lines, features) and log appeal (weeks, lines) of every line.

    ``keenness`` (lines) is how strongly a line makes readers go on, ``aspects`` (lines, 6) the quality of its parts.
    """

    features: Weights
    appeal: Weights
    keenness: Floats
    aspects: Floats
    theme_axes: Weights


@dataclass(frozen=True)
class Group:
    """Some shoppers: ``taste`` and ``drift`` per week (shoppers, features), how many series each starts, and more."""

    first: int
    taste: Weights
    drift: Weights
    starts: Ints
    sessions: Ints
    keenness: Floats
    segments: Ints
    created_at: Floats

    def __len__(self) -> int:
        """The number of shoppers."""
        return len(self.starts)


def make_market(seed: int, catalog: Catalog, *, now: float, days: int) -> Market:
    """Derive the catalog's side of the choice model: popularity with a long tail, short fashions, release weeks."""
    rng = draws.stream(seed, "market")
    lines = len(catalog.lines)
    popularity = np.log(draws.zipf_weights(lines, 0.75))[rng.permutation(lines)]
    weeks = days // 7 + 1
    appeal = popularity[None, :] + _fashions(rng, weeks, lines) + _release_boost(catalog, weeks, now, days)
    return Market(
        _features(catalog),
        appeal.astype(np.float32),
        rng.normal(0.0, 0.08, size=lines),
        rng.normal(0.35, 1.0, size=(lines, 6)),
        rng.normal(size=(len(themes()), _HIDDEN)).astype(np.float32) / np.float32(np.sqrt(_HIDDEN)),
    )


def _features(catalog: Catalog) -> Weights:
    rows = np.zeros((len(catalog.lines), len(genres()) + len(themes()) + len(_FORMATS)), dtype=np.float32)
    for i, line in enumerate(catalog.lines):
        series = catalog.series[line.series]
        rows[i, series.genre] = 1.0
        for theme in series.themes:
            rows[i, len(genres()) + theme] = 1.5 / len(series.themes)
        rows[i, len(genres()) + len(themes()) + _FORMATS.index(line.format)] = 1.0
    return rows


def _fashions(rng: np.random.Generator, weeks: int, lines: int) -> Floats:
    centre = rng.uniform(0, weeks, size=lines)
    width = rng.uniform(0.7, 2.0, size=lines)
    height = np.where(draws.chances(rng, lines, 0.25), rng.uniform(0.8, 2.2, size=lines), 0.0)
    week = np.arange(weeks)[:, None]
    return np.asarray(height * np.exp(-(((week - centre) / width) ** 2)), dtype=np.float64)


def _release_boost(catalog: Catalog, weeks: int, now: float, days: int) -> Floats:
    boost = np.zeros((weeks, len(catalog.lines)))
    week = np.floor((catalog.created_at - (now - days * DAY)) / (7 * DAY)).astype(np.int64)
    for item, w in zip(catalog.items, week, strict=True):
        if 0 <= w < weeks:
            boost[w : w + 2, item.line] += 0.8
    return boost


def make_group(seed: int, part: int, market: Market, *, first: int, size: int, now: float, days: int) -> Group:
    """Generate ``size`` shoppers, numbered from ``first``; ``part`` selects their random stream."""
    rng = draws.stream(seed, "shoppers", part)
    genre = np.log(rng.dirichlet(np.full(len(genres()), 0.22), size=size) + _GENRE_FLOOR)
    theme = rng.normal(size=(size, _HIDDEN)).astype(np.float32) @ market.theme_axes.T * np.float32(1.3)
    format_ = rng.normal(0.0, 1.1, size=(size, len(_FORMATS)))
    taste = np.concatenate([genre, theme, format_], axis=1).astype(np.float32)
    starts = _heavy_tail(rng, size, mean=3.9 * days / 90, spread=0.85)
    sessions = _heavy_tail(rng, size, mean=3.5 * days / 90, spread=0.9) + (starts == 0)
    segments = np.digitize(starts, _SEGMENT_STARTS)
    age = np.where(segments == 0, rng.uniform(0, 1.2 * days, size=size), rng.uniform(days, 1200, size=size))
    return Group(
        first,
        taste,
        (rng.normal(0.0, 0.03, size=taste.shape)).astype(np.float32),
        starts,
        sessions,
        rng.normal(0.0, 0.1, size=size),
        segments.astype(np.int64),
        np.floor(now - np.maximum(age, days) * DAY),
    )


def _heavy_tail(rng: np.random.Generator, size: int, *, mean: float, spread: float) -> Ints:
    rate = rng.lognormal(np.log(mean) - spread**2 / 2, spread, size=size)
    return np.minimum(rng.poisson(rate), 40).astype(np.int64)


def choose_lines(rng: np.random.Generator, group: Group, market: Market, who: Ints, week: Ints) -> tuple[Ints, Floats]:
    """Return the line that each of ``who`` picks in ``week``, and how well it fits (standardised log affinity)."""
    chosen = np.empty(len(who), dtype=np.int64)
    fit = np.empty(len(who), dtype=np.float64)
    for start in range(0, len(who), 4096):
        part = slice(start, start + 4096)
        taste = group.taste[who[part]] + group.drift[who[part]] * week[part, None].astype(np.float32)
        affinity = taste @ market.features.T
        logits = affinity + market.appeal[week[part]]
        logits -= logits.max(axis=1, keepdims=True)
        chosen[part] = draws.choose_rows(rng, np.exp(logits))
        own = affinity[np.arange(len(affinity)), chosen[part]]
        fit[part] = (own - affinity.mean(axis=1)) / (affinity.std(axis=1) + 1e-6)
    return chosen, fit
