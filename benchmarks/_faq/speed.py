"""What a lookup with its decision takes on one thread, the embedding not counted."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import percentile

from _faq.data import Questions, Vectors
from parbake.values.logistic import Logistic
from parbake_semantic.bank.compiled import Bank, Matcher
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.policies.calibrate import Bound, Calibration
from parbake_semantic.policies.policy import CalibratedPolicy, Match, Policy
from parbake_semantic.text.veto import veto

ASKED = 2_000
SIZES = ((2_000, 77), (10_000, 500))
Row = tuple[str, int, float, float]


def measure(data: Questions) -> list[Row]:
    """Name, aliases, p50 and p99 in ms."""
    rows: list[Row] = []
    policy = CalibratedPolicy(Calibration("", Bound(), Logistic((1.0,) * 6, 0.0), 3.0, 0.5, 1))
    for size, answers in SIZES:
        texts, vectors = enlarged(data, size + ASKED)
        # The weights are not what a fit would give (26 s at 9,000), which a lookup does not notice.
        matcher = _matcher(texts[:size], vectors[:size], answers)
        asked = list(zip(texts[size:], vectors[size:], strict=True))
        rows.append(_row("bank, lookup and decision", size, lambda t, v, m=matcher: decide(m, policy, t, v), asked))
        known = list(zip(texts[:ASKED], vectors[:ASKED], strict=True))
        rows.append(_row("bank, exact repeat", size, lambda t, _, m=matcher: m.exact(t), known))
        cache = Neighbours(vectors.shape[1], None)
        for i in range(size):
            cache.add(vectors[i], str(i % answers), texts[i])
        rows.append(_row("cache, lookup", size, lambda _, v, c=cache: c.match(v), asked))
    return rows


def has_graph() -> bool:
    """Whether what large caches search with is installed."""
    return importlib.util.find_spec("usearch") is not None


def large(data: Questions, size: int) -> list[Row]:
    """A cache of ``size`` questions, which takes minutes to fill: its lookup, and the addition of the last ones."""
    cache, answers, adding = Neighbours(data.vectors.shape[1], None), max(2, size // 20), []
    for start in range(0, size, ASKED):
        texts, vectors = enlarged(data, min(ASKED, size - start), seed=start + 1)
        adding = []
        for i in range(len(texts)):
            before = time.perf_counter()
            cache.add(vectors[i], str((start + i) % answers), texts[i])
            adding.append(1e3 * (time.perf_counter() - before))
        if start % (50 * ASKED) == 0:
            print(f"\rstored {len(cache):,} of {size:,}", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    asked = list(zip(*enlarged(data, ASKED), strict=True))
    found = _row("cache, lookup", size, lambda _, v: cache.match(v), asked)
    return [found, ("cache, addition", size, percentile(adding, 50), percentile(adding, 99))]


def decide(matcher: Matcher, policy: Policy, text: str, vector: Any) -> str | None:
    """A reason code, or ``None``: exact text, match, vetoes, chance."""
    match = matcher.match(text, vector)
    assert match
    return policy.refusal(match) or veto(text, match.alias)


def enlarged(data: Questions, count: int, seed: int = 0) -> tuple[list[str], Vectors]:
    """As many questions as wanted; beyond the data's own they are its vectors with some noise."""
    rng = np.random.default_rng(seed)
    at = rng.permutation(max(count, len(data.texts)))[:count] % len(data.texts)
    vectors = data.vectors[at] + rng.normal(0.0, 0.02, (count, data.vectors.shape[1])).astype(np.float32)
    return [f"{data.texts[i]} {n}" for n, i in enumerate(at)], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _matcher(texts: list[str], vectors: Vectors, answers: int) -> Matcher:
    owner = np.sort(np.arange(len(texts)) % answers)
    weights = np.random.default_rng(1).normal(0.0, 0.1, (len(texts), answers)).astype(np.float32)
    names, shares = tuple(map(str, range(answers))), (1.0 / answers,) * answers
    owners = tuple(owner.tolist())
    return Matcher(Bank("", names, tuple(texts), owners, vectors.tobytes(), weights.tobytes(), shares))


def _row(what: str, size: int, call: Callable[[str, Any], Match | str | None], asked: list[tuple[str, Any]]) -> Row:
    taken = []
    for text, vector in asked:
        before = time.perf_counter()
        call(text, vector)
        taken.append(1e3 * (time.perf_counter() - before))
    return what, size, percentile(taken, 50), percentile(taken, 99)
