"""The generated catalog: series, their volumes in one or two formats, prices and stock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.draws import DAY, Flags, Floats, Ints
from retail_assistant.world.texts.texts_read import genres, themes, titles

_LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25)
_LENGTH_WEIGHTS = (0.22, 0.09, 0.13, 0.09, 0.09, 0.07, 0.06, 0.06, 0.05, 0.05, 0.03, 0.03, 0.02, 0.01)
_BASE_CENTS = {"paperback": 999, "hardcover": 2190, "digital": 599}
_FORMAT_SHARES = {"paperback": 0.72, "hardcover": 0.10, "digital": 0.18}
_SECOND_FORMAT_SHARE = 0.3
_RUNNING_LENGTH = 3


@dataclass(frozen=True)
class Series:
    """One series; ``genre`` and ``themes`` are positions in those of the texts, ``length`` counts its volumes."""

    title: str
    author: str
    hero: str
    place: str
    genre: int
    themes: tuple[int, ...]
    length: int


@dataclass(frozen=True)
class Line:
    """One series in one format; its products are consecutive, volume 1 at position ``first`` of the catalog."""

    series: int
    format: str
    first: int
    length: int


@dataclass(frozen=True)
class Item:
    """One product as generated; ``work`` is shared by the formats of the same volume."""

    asin: str
    line: int
    volume: int
    work: int
    title: str
    description: str


@dataclass(frozen=True)
class Catalog:
    """Everything on sale; arrays run parallel to ``items``. Money in cents, times in epoch seconds."""

    series: tuple[Series, ...]
    lines: tuple[Line, ...]
    items: tuple[Item, ...]
    created_at: Floats
    old_cents: Ints
    cents: Ints
    changed_at: Floats
    quantity: Ints
    listed: Flags

    @property
    def genres(self) -> tuple[str, ...]:
        """The names of the genres that occur, in the order of the texts."""
        return tuple(genres()[i] for i in sorted({series.genre for series in self.series}))

    def line_array(self, name: str) -> Ints:
        """Return an integer field of all lines."""
        return np.array([getattr(line, name) for line in self.lines], dtype=np.int64)

    def item_array(self, name: str) -> Ints:
        """Return an integer field of all items."""
        return np.array([getattr(item, name) for item in self.items], dtype=np.int64)

    def rows(self) -> Iterator[tuple[str, str, str, int, str, str, str, str, int, float]]:
        """Yield the rows of the products table."""
        for i, item in enumerate(self.items):
            line = self.lines[item.line]
            series = self.series[line.series]
            yield (
                item.asin,
                item.title,
                series.title,
                item.volume,
                series.author,
                genres()[series.genre],
                line.format,
                item.description,
                int(self.listed[i]),
                float(self.created_at[i]),
            )


def make_catalog(seed: int, *, products: int, now: float, days: int) -> Catalog:
    """Generate a catalog of exactly ``products`` products; releases of the last ``days`` days are among them."""
    rng = draws.stream(seed, "catalog")
    series, lines = _make_lines(rng, products)
    items = tuple(_make_items(rng, series, lines))
    created_at = _release_times(rng, lines, now, days)
    old_cents, cents, changed_at = _make_prices(rng, lines, created_at, now)
    return Catalog(
        tuple(series),
        tuple(lines),
        items,
        created_at,
        old_cents,
        cents,
        changed_at,
        _make_stock(rng, lines),
        ~draws.chances(rng, len(items), 0.01),
    )


def _make_lines(rng: np.random.Generator, products: int) -> tuple[list[Series], list[Line]]:
    series: list[Series] = []
    lines: list[Line] = []
    used: set[str] = set()
    authors: dict[int, list[str]] = {}
    left = products
    while left > 0:
        one = _make_series(rng, used, authors, left)
        series.append(one)
        for format_, length in _formats(rng, one.length, left):
            lines.append(Line(len(series) - 1, format_, products - left, length))
            left -= length
    return series, lines


def _formats(rng: np.random.Generator, length: int, left: int) -> list[tuple[str, int]]:
    names = list(_FORMAT_SHARES)
    order = rng.choice(len(names), size=2, replace=False, p=list(_FORMAT_SHARES.values()))
    found = [(names[int(order[0])], length)]
    second = min(left - length, int(rng.integers(1, length + 1)))
    if draws.chance(rng, _SECOND_FORMAT_SHARE) and second > 0:
        found.append((names[int(order[1])], second))
    return found


def _make_series(rng: np.random.Generator, used: set[str], authors: dict[int, list[str]], left: int) -> Series:
    genre = int(rng.integers(len(genres())))
    home = [i for i, theme in enumerate(themes()) if genres()[genre] in theme.genres]
    chosen = {int(i) for i in rng.choice(home, size=min(len(home), int(rng.integers(2, 4))), replace=False)}
    if draws.chance(rng, 0.4):
        chosen.add(int(rng.integers(len(themes()))))
    length = _LENGTHS[int(rng.choice(len(_LENGTHS), p=_LENGTH_WEIGHTS))]
    hero = draws.pick(rng, titles().first_names)
    place = draws.pick(rng, titles().places)
    title = _unused_title(rng, genre, hero, place, used)
    author = _author(rng, authors.setdefault(genre, []))
    return Series(title, author, hero, place, genre, tuple(sorted(chosen)), min(length, left))


def _unused_title(rng: np.random.Generator, genre: int, hero: str, place: str, used: set[str]) -> str:
    nouns = titles().nouns[genres()[genre]]
    while True:
        adjective, adjective2 = rng.choice(titles().adjectives, size=2, replace=False)
        noun, noun2 = rng.choice(nouns, size=2, replace=False)
        title = draws.pick(rng, titles().title_patterns).format(
            adjective=adjective, adjective2=adjective2, noun=noun, noun2=noun2, first=hero, place=place
        )
        title = re.sub(r"^A (?=[AEIO])", "An ", title)
        if title not in used:
            used.add(title)
            return title


def _author(rng: np.random.Generator, known: list[str]) -> str:
    if known and draws.chance(rng, 0.55):
        return draws.pick(rng, known)
    known.append(f"{draws.pick(rng, titles().first_names)} {draws.pick(rng, titles().last_names)}")
    return known[-1]


def _make_items(rng: np.random.Generator, series: list[Series], lines: list[Line]) -> Iterator[Item]:
    works: dict[tuple[int, int], int] = {}
    texts: dict[int, str] = {}
    position = 0
    for number, line in enumerate(lines):
        one = series[line.series]
        for volume in range(1, line.length + 1):
            work = works.setdefault((line.series, volume), len(works))
            if work not in texts:
                texts[work] = _describe(rng, one, volume)
            position += 1
            title = one.title if one.length == 1 else f"{one.title}, Vol. {volume}"
            yield Item(f"B{position:06d}", number, volume, work, title, texts[work])


def _describe(rng: np.random.Generator, series: Series, volume: int) -> str:
    genre = genres()[series.genre]
    words = {"first": series.hero, "place": series.place, "genre": genre, "volume": volume}
    main, second = (themes()[int(i)] for i in rng.choice(series.themes, size=2, replace=False))
    sentences = [
        draws.pick(rng, titles().openers[genre]).format(**words),
        draws.pick(rng, titles().theme_sentences).format(theme=main.name, clause=main.clause, **words),
    ]
    if draws.chance(rng, 0.6):
        pattern = draws.pick(rng, titles().second_sentences)
        sentences.append(pattern.format(theme=second.name, clause=second.clause, **words))
    if series.length == 1:
        sentences.append(draws.pick(rng, titles().single_sentences))
    elif volume == series.length:
        sentences.append(draws.pick(rng, titles().last_sentences))
    elif volume > 1:
        sentences[0] = draws.pick(rng, titles().volume_sentences).format(**words)
    return " ".join(sentences)


def _release_times(rng: np.random.Generator, lines: list[Line], now: float, days: int) -> Floats:
    times: list[float] = []
    for line in lines:
        running = line.length >= _RUNNING_LENGTH and draws.chance(rng, 0.3)
        last = now - rng.uniform(1, days) * DAY if running else now - rng.uniform(days + 10, 1500) * DAY
        gap = rng.uniform(25, 70) * DAY
        times.extend(last - gap * (line.length - volume) for volume in range(1, line.length + 1))
    return np.floor(np.array(times, dtype=np.float64)).astype(np.float64)


def _make_prices(
    rng: np.random.Generator, lines: list[Line], created_at: Floats, now: float
) -> tuple[Ints, Ints, Floats]:
    base = np.concatenate(
        [np.full(line.length, _BASE_CENTS[line.format] + 100 * int(rng.integers(-2, 4))) for line in lines]
    ).astype(np.int64)
    moved = draws.chances(rng, len(base), 0.25)
    factor = np.where(moved, rng.choice([0.75, 0.85, 0.9, 1.1, 1.15], size=len(base)), 1.0)
    cents = np.floor(base * factor / 10).astype(np.int64) * 10 + 9
    since = np.maximum(created_at, now - rng.uniform(0.1, 30, size=len(base)) * DAY)
    return base, np.where(moved, cents, base), np.where(moved, np.floor(since), created_at)


def _make_stock(rng: np.random.Generator, lines: list[Line]) -> Ints:
    digital = np.concatenate([np.full(line.length, line.format == "digital") for line in lines])
    copies = rng.negative_binomial(2, 0.08, size=len(digital)).astype(np.int64)
    copies[draws.chances(rng, len(copies), 0.04)] = 0
    return np.where(digital, 10_000, copies)
