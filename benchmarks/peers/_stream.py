"""The stream of the FAQ benchmark, for a peer's cache: asked each question once, told the answer when it has none."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from _report import percentile
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cache:
    """A peer's cache: ``get`` the answer that is served for a question's number, if any; ``put`` its fresh answer."""

    get: Callable[[int], str | None]
    put: Callable[[int, str], None]


Opened = Callable[[NDArray[np.float32]], AbstractContextManager[Cache]]
"""Makes an empty cache for unit vectors (questions, dimensions), which the number of a question leads to."""


def main(name: str, version: str, used: str, opened: Opened) -> None:
    """Replay every order of the file that is named on the command line, and print one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("file")
    with np.load(options.parse_args().file) as data:
        vectors, answers, orders = data["vectors"], data["answers"], data["orders"]
    runs = []
    for order in orders:
        with opened(vectors) as cache:
            runs.append(replay(cache, order.tolist(), [str(a) for a in answers]))
    sys.stdout.write(json.dumps({"name": name, "version": version, "used": used, "runs": runs}) + "\n")


def replay(cache: Cache, order: list[int], answers: list[str]) -> dict[str, float]:
    """Per cent of all questions that were served, and served a wrong answer; ms per ``get``, the median."""
    hits = wrong = 0
    taken = []
    for number in order:
        before = time.perf_counter()
        found = cache.get(number)
        taken.append(1e3 * (time.perf_counter() - before))
        if found is None:
            cache.put(number, answers[number])
            continue
        hits += 1
        wrong += found != answers[number]
    share = 100.0 / len(order)
    return {"hits": share * hits, "wrong": share * wrong, "stored": len(order) - hits, "p50_ms": percentile(taken, 50)}
