"""Do the page and the words of a request improve the order of recommendations?

NDCG@5 of what shoppers chose soon after being on a page or asking for something, in the last days of a log, with paired
95 % bootstrap intervals over shoppers. All ways order the same products. ``without`` is a reranker that was trained
without page and words.

Two logs: the generated shop's, and MovieLens. In the latter each film leads to the next one that the person rated, and
before half of the films the person asks for its genre (the first one listed). Only these wishes are judged there.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from _log import read_log
from _report import Goal, report, show
from threadpoolctl import threadpool_limits

from retail_assistant.recs.log import Catalog, Log, make_log
from retail_assistant.recs.text_vectors import learn
from retail_assistant.recs.training.evaluate_context import ContextQuality, Kind, evaluate_context
from retail_assistant.recs.training.week import find_occasions
from retail_assistant.settings import from_environment
from retail_assistant.world import generate

SHARED = Path(os.environ.get("PARBAKE_DATA", Path(__file__).parents[2] / "shared" / "data"))
NOW = 1_790_000_000.0
SEED = 7
LIKED = 4.0
APART_S, ASKED_BEFORE_S = 3_500.0, 200.0
"""How far apart a person's films are put, so that one follows within the hour; and how long before one is asked for."""
ASKED_SHARE = 0.5
JUDGED_DAYS = 1_000.0


def shop_log(products: int, shoppers: int, messages: int) -> Log:
    """Generate a shop and read its log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.db")
        generate(path, now=NOW, products=products, shoppers=shoppers, messages=messages)
        return read_log(path)


def movie_log(folder: Path) -> Log:
    """Read MovieLens as a log; each person's films keep their order, and follow each other at equal distances."""
    rng = np.random.default_rng(SEED)
    with (folder / "movies.csv").open(encoding="utf-8") as file:
        films = {row["movieId"]: (row["title"], row["genres"].lower().split("|")) for row in csv.DictReader(file)}
    asins = tuple(sorted(films))
    genres = [films[asin][1] for asin in asins]
    count = len(asins)
    catalog = Catalog(
        asins=asins,
        series=("",) * count,
        volumes=(0,) * count,
        authors=("",) * count,
        genres=tuple(some[0] for some in genres),
        formats=("",) * count,
        created_at=(0.0,) * count,
        listed=(True,) * count,
        cents=(0,) * count,
        texts=tuple(f"{films[asin][0]} {' '.join(some)}" for asin, some in zip(asins, genres, strict=True)),
    )
    rated: dict[str, list[tuple[float, str, float]]] = {}
    with (folder / "ratings.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rated.setdefault(row["userId"], []).append((float(row["timestamp"]), row["movieId"], float(row["rating"])))
    events, messages = [], []
    for user, films_of in rated.items():
        first = min(films_of)[0]
        for n, (_, film, stars) in enumerate(sorted(films_of)):
            ts = first + n * APART_S
            events.append((user, film, ts, int(stars >= LIKED)))
            if rng.random() < ASKED_SHARE:
                messages.append((user, ts - ASKED_BEFORE_S, f"a {films[film][1][0]} film"))
    return make_log(catalog, sorted(rated), events, messages)


WAYS: dict[Kind, tuple[str, ...]] = {
    "page": ("without", "both"),
    "words": ("without", "both"),
    "page and words": ("without", "page", "words", "both"),
}
"""What can be told apart at each kind of request."""


def rows_of(name: str, found: Mapping[Kind, ContextQuality]) -> list[list[object]]:
    """The table's rows of a log."""
    rows: list[list[object]] = []
    for kind, quality in sorted(found.items()):
        for way in WAYS[kind][1:]:
            gain = quality.gain(getattr(quality, way))
            seen = kind if way == "both" else way
            means = (f"{quality.without.mean():.4f}", f"{getattr(quality, way).mean():.4f}")
            interval = f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
            rows.append([name, kind, len(quality.both), seen, *means, interval])
    return rows


def goals(name: str, found: Mapping[Kind, ContextQuality]) -> list[Goal]:
    """The gain at each kind of request is above 0."""
    stated = []
    for kind, quality in sorted(found.items()):
        gain = quality.gain(quality.both)
        what = f"{name}, requests with {kind}: NDCG@5 gain {gain.mean:+.3f}, 95 % from"
        stated.append(Goal(what, gain.low, "", "> 0", gain.low > 0))
    return stated


def compare_texts(log: Log) -> None:
    """Print how far up the product that was chosen stands, by the text space and by sentence vectors."""
    asked = [o for o in find_occasions(log) if o.page is None]
    texts, chosen = [o.words for o in asked], np.array([o.wanted[-1] for o in asked])
    space, embedder = learn(log.catalog.texts), from_environment().embedder(threads=2)
    none = np.zeros(space.dims, dtype=np.float32)
    ways = {
        "text space": lambda: (np.array([found if (found := space.of(t)) is not None else none for t in texts]),
                               space.items[:-1]),
        "sentence vectors": lambda: (embedder.embed(texts), embedder.embed(log.catalog.texts)),
    }  # fmt: skip
    rows = []
    for name, vectors in ways.items():
        began = time.perf_counter()
        messages, products = vectors()
        took = time.perf_counter() - began
        scores = np.asarray(messages) @ np.asarray(products).T
        ranks = (scores > scores[np.arange(len(asked)), chosen][:, None]).sum(axis=1)
        rows.append([name, *(f"{(ranks < most).mean():.3f}" for most in (10, 50, 200)), f"{took:.2f}"])
    show(("nearness by", "among 10", "among 50", "among 200", "seconds"), rows)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--shoppers", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--movielens", type=Path, default=SHARED / "movielens_small", help="folder of ratings.csv")
    parser.add_argument(
        "--texts", action="store_true", help="compare two ways to tell what is near a message, and stop"
    )
    chosen = parser.parse_args()
    if chosen.texts:
        compare_texts(shop_log(chosen.products, chosen.shoppers, chosen.messages))
        return
    with threadpool_limits(1, "blas"):
        logs = {"shop": evaluate_context(shop_log(chosen.products, chosen.shoppers, chosen.messages))}
        if chosen.movielens.is_dir():
            films = evaluate_context(movie_log(chosen.movielens), days=JUDGED_DAYS)
            logs["MovieLens"] = {"words": films["words"]}
    columns = ("log", "request has", "shoppers", "reranker sees", "without", "with", "gain (95 %)")
    report(
        "moment",
        columns,
        [row for name, found in logs.items() for row in rows_of(name, found)],
        figures={
            f"{name} {kind} {way}".replace(" ", "_").lower(): float(getattr(quality, way).mean())
            for name, found in logs.items()
            for kind, quality in found.items()
            for way in WAYS[kind]
        },
        goals=[goal for name, found in logs.items() for goal in goals(name, found)],
    )


if __name__ == "__main__":
    main()
