"""A semantic cache that begins empty and is asked every question once; labels stand for a perfect judge."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _peers
import numpy as np

from _faq.data import NO_LABEL, Places, Questions
from _faq.per_entry import PerEntryPolicy
from parbake_semantic.cache.local_ridge import Neighbours
from parbake_semantic.policies.adaptive import AdaptivePolicy
from parbake_semantic.policies.calibrate import Bound
from parbake_semantic.policies.policy import Policy, fixed
from parbake_semantic.policies.ridge import MAX_ALIASES

ERRORS = (0.01, 0.02, 0.05)


PEERS = ("redisvl", "litellm", "langchain", "coalent")
CHANGES = 50


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


def answers(data: Questions) -> Places:
    """Of each question, as a number; what has no label has an answer that no other question has."""
    own = len(data.answers) + np.arange(len(data.labels))
    return np.where(data.labels == NO_LABEL, own, data.labels)


def order(data: Questions, seed: int) -> Places:
    """In which the questions are asked."""
    return np.random.default_rng(seed).permutation(len(data.texts))


def changes(data: Questions, seed: int) -> Places:
    """The labels whose sources change in an order, one after the other."""
    return np.random.default_rng([seed, CHANGES]).integers(len(data.answers), size=CHANGES)


def asked_of(peer: str, data: Questions, seeds: int, *options: str) -> dict[str, Any]:
    """What a peer says that did the same questions in the same orders, with the same vectors."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stream.npz"
        orders = np.stack([order(data, seed) for seed in range(seeds)])
        told = np.stack([changes(data, seed) for seed in range(seeds)])
        np.savez(file, vectors=data.vectors, answers=answers(data), orders=orders, changes=told)
        return _peers.run(f"stream_{peer}.py", str(file), *options, timeout_s=3_600.0)


def peers(data: Questions, seeds: int) -> dict[str, list[Run]]:
    """The runs of each peer, by its name and version."""
    found = {}
    for peer in PEERS:
        made = asked_of(peer, data, seeds)
        runs = [Run(r["hits"], r["wrong"], int(r["stored"])) for r in made["runs"]]
        found[f"{made['name']} {made['version']}, {made['used']}"] = runs
    return found


def run(data: Questions, seed: int, name: str) -> Run:
    """Ask all questions in an order of their own."""
    policy = POLICIES[name](seed)
    cache = Neighbours(data.vectors.shape[1], MAX_ALIASES if policy.ranking == "head" else None)
    known = answers(data)
    hits = wrong = 0
    for number in order(data, seed):
        vector, answer = data.vectors[number], int(known[number])
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
        cache.add(vector, str(answer), str(number))
    return Run(100.0 * hits / len(known), 100.0 * wrong / len(known), len(cache))
