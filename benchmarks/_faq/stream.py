"""A semantic cache that begins empty and is asked every question once; labels stand for a perfect judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from _faq.data import NO_LABEL, Questions
from parbake.semantic.adaptive import AdaptivePolicy
from parbake.semantic.calibrate import Bound
from parbake.semantic.head import MAX_ALIASES
from parbake.semantic.neighbours import Neighbours
from parbake.semantic.per_entry import PerEntryPolicy
from parbake.semantic.policy import Policy, fixed

ERRORS = (0.01, 0.02, 0.05)


@dataclass(frozen=True)
class Run:
    """Per cent of all requests that were served from the cache, and that were served a wrong answer."""

    hits: float
    wrong: float
    stored: int


POLICIES: dict[str, Callable[[int], Policy]] = {
    **{f"fixed({c})": lambda _, c=c: fixed(c) for c in (0.8, 0.85, 0.9, 0.92, 0.97)},
    **{f"per entry, {100 * d:.0f} %": lambda seed, d=d: PerEntryPolicy(d, seed=seed) for d in ERRORS},
    **{
        f"calibrated, {100 * e:.0f} % of requests": lambda seed, e=e: AdaptivePolicy(Bound(e, per="request"), seed=seed)
        for e in ERRORS
    },
}


def run(data: Questions, seed: int, name: str) -> Run:
    """Ask all questions in an order of their own. What has no label has an answer that no other question has."""
    policy = POLICIES[name](seed)
    cache = Neighbours(MAX_ALIASES if policy.ranking == "head" else None)
    order = np.random.default_rng(seed).permutation(len(data.texts))
    hits = wrong = 0
    for number in order:
        vector, label = data.vectors[number], int(data.labels[number])
        answer = label if label != NO_LABEL else len(data.answers) + int(number)
        match = cache.match(vector, policy.ranking)
        right = match is not None and match.answer == str(answer)
        if match is not None and policy.refusal(match) is None:
            hits += 1
            wrong += not right
            continue
        if match is not None:
            policy.observe(match, right=right)
            if right and not policy.adds_aliases:
                continue
        cache.add(vector, answer, str(number))
    return Run(100.0 * hits / len(order), 100.0 * wrong / len(order), len(cache))
