"""The streams of the benchmarks ``faq`` and ``compare``, for a peer's cache.

What is asked comes in a file: vectors, labels, orders, the changes of each order, and whether thresholds are tried.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from _replay import Cache, Replay, race
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Peer:
    """A cache to compare with.

    Attributes:
        name: What it is called.
        version: The installed one.
        used: How it is set up in the comparison.
        told: Which of its calls says that a source has changed.
        opened: Makes an empty cache for unit vectors (questions, dimensions), with a similarity from which answers are
            served, or with the one that it is used with.
        tried: Other similarities to try.
    """

    name: str
    version: str
    used: str
    told: str
    opened: Callable[[Vectors, float | None], AbstractContextManager[Cache]]
    tried: Sequence[float] = ()


def main(peer: Peer) -> None:
    """Replay every order of the file that is named on the command line, and print one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("file")
    options.add_argument("--all", action="store_true", help="also with changes, with a race, and at other thresholds")
    given = options.parse_args()
    with np.load(given.file) as data:
        vectors, labels, orders, changes = (data[k] for k in ("vectors", "answers", "orders", "changes"))
    tables = labels.tolist(), orders.tolist(), changes.tolist()
    made: dict[str, Any] = {"name": peer.name, "version": peer.version, "used": peer.used, "told": peer.told}
    made["runs"] = _runs(peer, vectors, None, tables, changing=False)
    if given.all:
        made["changing"] = _runs(peer, vectors, None, tables, changing=True)
        made["tried"] = {t: _runs(peer, vectors, t, tables, changing=False) for t in peer.tried}
        with peer.opened(vectors, None) as cache:
            made["race"] = race(cache, tables[0])
    sys.stdout.write(json.dumps(made) + "\n")


def _runs(
    peer: Peer,
    vectors: Vectors,
    threshold: float | None,
    tables: tuple[list[int], list[list[int]], list[list[int]]],
    *,
    changing: bool,
) -> list[dict[str, float]]:
    labels, orders, changes = tables
    runs = []
    for order, changed in zip(orders, changes, strict=True):
        with peer.opened(vectors, threshold) as cache:
            runs.append(Replay(cache, labels).play(order, changed if changing else ()))
    return runs
