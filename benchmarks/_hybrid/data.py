"""Interactions with their times: from MovieLens, from the generated shop, or from any CSV file.

Only a shopper's first interaction with an item counts, as what is owned is not recommended again. Items get positions
by a shuffle: consecutive ids often belong together, and an order of ids that breaks ties would give that away.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

SEED = 7
FEWEST_EVENTS, FEWEST_USERS, FEWEST_ITEMS = 2_000, 50, 100
Row = tuple[str, str, float, float]
"""user, item, epoch seconds, and the rating (0 when there is none)."""


class Unusable(Exception):
    """The data cannot be measured; the message says why."""


@dataclass(frozen=True)
class Data:
    """Interactions ordered by (user, time), ties in time shuffled.

    ``user`` and ``item`` are positions, ``ts`` epoch seconds, ``stars`` ratings (0: none); all (events,). ``bounds``
    (users + 1,) says where each user begins. ``tags`` is (items, tags), rows of length 1 or 0.
    """

    name: str
    user: Ints
    item: Ints
    ts: Floats
    stars: Floats
    bounds: Ints
    tags: Rows
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.tags)

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self.bounds) - 1

    def past(self, user: int, length: int) -> Ints:
        """Return a user's first ``length`` items, oldest first."""
        start = self.bounds[user]
        return self.item[start : min(start + length, self.bounds[user + 1])]

    def times(self, user: int) -> Floats:
        """When a user's interactions took place, oldest first."""
        return self.ts[self.bounds[user] : self.bounds[user + 1]]


def make_data(
    name: str, rows: Sequence[Row], *, tags: dict[str, list[str]], left_out: dict[str, int], seed: int = SEED
) -> Data:
    """Order rows by user and time.

    Raises:
        Unusable: there are too few of them to say anything.
    """
    rng = np.random.default_rng(seed)
    users, user = np.unique(np.array([row[0] for row in rows], dtype=np.str_), return_inverse=True)
    items, item = np.unique(np.array([row[1] for row in rows], dtype=np.str_), return_inverse=True)
    shuffled = rng.permutation(len(items))
    item = shuffled[item]
    numbers = np.array([row[2:] for row in rows], dtype=np.float64).reshape(-1, 2)
    order = np.lexsort((rng.random(len(rows)), numbers[:, 0], user))
    first = order[np.sort(np.unique(user[order] * max(1, len(items)) + item[order], return_index=True)[1])]
    left_out = {**left_out, "repeated": len(rows) - len(first)}
    _check_size(name, len(first), len(users), len(items))
    return Data(
        name, user[first], item[first], numbers[first, 0], numbers[first, 1],
        np.searchsorted(user[first], np.arange(len(users) + 1)), _tag_rows(items.tolist(), shuffled, tags), left_out,
    )  # fmt: skip


def _check_size(name: str, events: int, users: int, items: int) -> None:
    needed = ((events, FEWEST_EVENTS, "interactions"), (users, FEWEST_USERS, "users"), (items, FEWEST_ITEMS, "items"))
    for found, fewest, what in needed:
        if found < fewest:
            raise Unusable(f"{name} holds {found:,} {what}; below {fewest:,} the result would be chance")


def _tag_rows(items: Sequence[str], place: Ints, tags: dict[str, list[str]]) -> Rows:
    names = sorted({tag for found in tags.values() for tag in found})
    at = {name: n for n, name in enumerate(names)}
    rows = np.zeros((len(items), max(1, len(names))), dtype=np.float32)
    for n, item in enumerate(items):
        rows[place[n], [at[tag] for tag in tags.get(item, ())]] = 1.0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)


def movielens(folder: Path) -> Data:
    """Read MovieLens' ``ratings.csv`` and the genres in ``movies.csv``.

    Raises:
        Unusable: the folder does not hold them.
    """
    if not (folder / "ratings.csv").is_file():
        raise Unusable(
            f"no MovieLens at {folder}: name its folder with --movielens, the folder above it with PARBAKE_DATA,"
            " or measure other data with --shop or --ratings FILE"
        )
    rows, bad = read_rows(folder / "ratings.csv", columns=("userId", "movieId", "timestamp", "rating"))
    with (folder / "movies.csv").open(encoding="utf-8", newline="") as file:
        genres = {row["movieId"]: row["genres"].split("|") for row in csv.DictReader(file)}
    genres = {film: [g for g in found if not g.startswith("(")] for film, found in genres.items()}
    return make_data("MovieLens small", rows, tags=genres, left_out={"bad rows": bad})


def ratings(path: Path) -> Data:
    """Read a CSV file of user, item, timestamp and perhaps rating; a header is optional and may order them otherwise.

    Raises:
        Unusable: the file cannot be read, or holds too little.
    """
    try:
        rows, bad = read_rows(path, columns=("user", "item", "timestamp", "rating"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read {path}: {error}") from error
    return make_data(path.name, rows, tags={}, left_out={"bad rows": bad})


def read_rows(path: Path, *, columns: Sequence[str]) -> tuple[list[Row], int]:
    """Return the rows that are complete and have numbers where numbers belong, and how many do not."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        first = next(lines, [])
        named = [name.strip() for name in first]
        has_header = set(columns[:3]) <= set(named)
        places = [named.index(name) if name in named else -1 for name in columns] if has_header else [0, 1, 2, 3]
        found = [_row(line, places) for line in _chain(first, lines, skip_first=has_header) if line]
    rows = [row for row in found if row]
    return rows, len(found) - len(rows)


def _chain(first: list[str], rest: Iterable[list[str]], *, skip_first: bool) -> Iterator[list[str]]:
    if not skip_first:
        yield first
    yield from rest


def _row(line: list[str], places: Sequence[int]) -> Row | None:
    try:
        user, item = (line[n].strip() for n in places[:2])
        ts = float(line[places[2]])
        stars = float(line[places[3]] or 0) if 0 <= places[3] < len(line) else 0.0
    except (ValueError, IndexError):
        return None
    return (user, item, ts, stars) if user and item and np.isfinite(ts) and np.isfinite(stars) else None
