"""The fifty best of all items for everybody: users per CPU-second, ours beside numpy, implicit and faiss.

One thread everywhere, exact results, 64 dimensions. Plain numpy is a matrix product and ``argpartition``; the matrix
product alone is what no exact search without pruning can beat. Libraries run in an environment of their own, one
process per round, and the rounds of all sides alternate. Ours is compared with the plain reference, too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from statistics import median

import _peers
import numpy as np
from _factors import DIMS, KINDS, TOP, Matrix, made
from _report import Goal, report
from threadpoolctl import threadpool_limits

from retail_assistant.recs.topk import DECIMALS, Index

BLOCK, FEW, CHECKED, OWNED = 512, 1_024, 200, 20
Rates = dict[str, list[float]]
OURS, OURS_OWNED, PLAIN, PRODUCT = "ours", "ours, 20 owned each", "numpy argpartition", "matrix product alone"


def per_cpu_second(search: Callable[[], object], users: int) -> float:
    """Users per second of this process's CPU."""
    before = time.process_time()
    search()
    return users / (time.process_time() - before)


def plain(vectors: Matrix, factors: Matrix) -> None:
    """The usual way: all scores, the best set apart, then sorted."""
    for start in range(0, len(vectors), BLOCK):
        scores = vectors[start : start + BLOCK] @ factors.T
        best = np.argpartition(scores, -TOP, axis=1)[:, -TOP:]
        np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)


def product(vectors: Matrix, factors: Matrix) -> None:
    """All scores, none of them looked at, in blocks that stay in the cache."""
    out = np.empty((BLOCK, BLOCK), dtype=np.float32)
    for start in range(0, len(vectors) - BLOCK + 1, BLOCK):
        for at in range(0, len(factors) - BLOCK + 1, BLOCK):
            np.matmul(vectors[start : start + BLOCK], factors[at : at + BLOCK].T, out=out)


def wrong(index: Index, vectors: Matrix, factors: Matrix, owned: Sequence[np.ndarray]) -> int:
    """How many of some users' lists differ from the plain reference, in an item, a score or the order."""
    hidden = np.zeros(len(factors), dtype=np.bool_)
    found = index.top(vectors, owned, hidden=hidden, count=TOP)
    differ = 0
    for n in range(0, len(vectors), max(1, len(vectors) // CHECKED)):
        scores = np.round(factors.astype(np.float64) @ vectors[n].astype(np.float64), DECIMALS)
        scores[owned[n]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:TOP]
        differ += not (np.array_equal(found[n][0], best) and np.array_equal(found[n][1], scores[best]))
    return differ


def measure(kind: str, users: int, items: int, rounds: int) -> tuple[Rates, int]:
    """The rates of every side, round by round, and how many lists of ours were wrong."""
    vectors, factors = made(kind, users, items)
    few, hidden = vectors[:FEW], np.zeros(items, dtype=np.bool_)
    rng, index = np.random.default_rng(1), Index(factors)
    none: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * users
    owned = [rng.integers(0, items, OWNED) for _ in range(users)]
    sides: dict[str, tuple[Callable[[], object], int]] = {
        OURS: (lambda: index.top(vectors, none, hidden=hidden, count=TOP), users),
        OURS_OWNED: (lambda: index.top(vectors, owned, hidden=hidden, count=TOP), users),
        PLAIN: (lambda: plain(few, factors), len(few)),
        PRODUCT: (lambda: product(few, factors), len(few)),
    }
    rates: Rates = {}
    for _ in range(rounds):
        for name, (search, count) in sides.items():
            rates.setdefault(name, []).append(per_cpu_second(search, count))
        peers = _peers.run("topk.py", kind, "--users", str(users), "--items", str(items))
        for name, rate in peers["rates"].items():
            rates.setdefault(name, []).append(rate)
    return rates, wrong(index, vectors, factors, owned)


def goals(kind: str, rates: dict[str, float], differ: int) -> list[Goal]:
    """The stated goals for one kind of factors."""
    least = {"gaussian": 2.0, "als-like": 3.0}[kind]
    ratio, plain_ratio = rates[OURS] / rates["implicit"], rates[OURS] / rates[PLAIN]
    return [
        Goal(f"{kind}: ours / implicit", ratio, "times", ">= 1.3", ratio >= 1.3),
        Goal(f"{kind}: ours / implicit, beyond that", ratio, "times", f">= {least:.0f}", ratio >= least),
        Goal(f"{kind}: ours / numpy argpartition", plain_ratio, "times", ">= 5", plain_ratio >= 5),
        Goal(f"{kind}: lists that differ from the reference", differ, f"of {CHECKED}", "= 0", differ == 0),
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the peers, which are started later
    rows, figures, stated = [], {}, []
    with threadpool_limits(1):
        for kind in KINDS:
            found, differ = measure(kind, chosen.users, chosen.items, chosen.rounds)
            rates = {name: median(values) for name, values in found.items()}
            stated += goals(kind, rates, differ)
            rows += [(kind, name, rate, rate / rates["implicit"]) for name, rate in rates.items()]
            figures |= {f"{kind}, {name}": rate for name, rate in rates.items()}
    print(f"{chosen.users:,} users, {chosen.items:,} items, {DIMS} dimensions, top {TOP}")
    columns = ("factors", "side", "users per CPU-second", "of implicit")
    report("topk", columns, rows, figures=figures, goals=stated)


if __name__ == "__main__":
    main()
