"""The per-entry policy with which ``make bench NAME=faq`` compares."""

import sys
from pathlib import Path

import numpy as np
import pytest

import parbake as pb
from parbake_semantic import Match

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def policy():
    """Return the policy's class, imported as the benchmarks import it."""
    sys.path.insert(0, BENCHMARKS)
    try:
        from _faq.per_entry import PerEntryPolicy

        return PerEntryPolicy
    finally:
        sys.path.remove(BENCHMARKS)


def test_the_per_entry_rule_needs_observations_of_its_own(policy):
    """An entry is served after four observations of its own; observations of other entries do not count."""
    policy = policy(0.05)
    near, other = Match("a", 1, 1, 0.97, "entry"), Match("a", 1, 1, 0.97, "other")
    for _ in range(4):
        assert policy.refusal(near) == "few_observations"
        policy.observe(near, right=True)
    for cosine in (0.3, 0.4, 0.5):
        policy.observe(Match("a", 1, 1, cosine, "entry"), right=False)
    assert policy.exploring(Match("a", 1, 1, 0.99, "entry")) < policy.exploring(Match("a", 1, 1, 0.5, "entry"))
    assert None in {policy.refusal(near) for _ in range(200)}
    assert policy.refusal(other) == "few_observations"


def test_an_entry_that_was_never_wrong_is_explored_less_and_less(policy):
    """The chance of exploring an entry that is always right falls with each observation."""
    policy, near = policy(0.02), Match("a", 1, 1, 0.9, "entry")
    found = []
    for _ in range(40):
        policy.observe(near, right=True)
        found.append(policy.exploring(near))
    assert found == sorted(found, reverse=True)
    assert found[4] < 0.9
    assert found[-1] < 0.5


def test_the_per_entry_rule_keeps_its_bound_whatever_the_entries_are_like(policy):
    """Over entries of any slope and middle, wrong answers stay within ``delta`` and at least 20 % are served."""
    rng = np.random.default_rng(0)
    policy, served, wrong, requests = policy(0.05), 0, 0, 20_000
    slope, middle = rng.uniform(10, 50, 100), rng.uniform(0.5, 1.0, 100)
    for _ in range(requests):
        entry, cosine = int(rng.integers(100)), float(rng.uniform(0.4, 1.0))
        match = Match("a", 1, 1, cosine, str(entry))
        right = bool(rng.random() < 1 / (1 + np.exp(-slope[entry] * (cosine - middle[entry]))))
        if policy.refusal(match) is None:
            served, wrong = served + 1, wrong + (not right)
        else:
            policy.observe(match, right=right)
    assert wrong <= 0.05 * requests
    assert served >= 0.2 * requests


@pytest.mark.parametrize("delta", [0.0, 1.0])
def test_a_share_that_means_nothing_is_refused(policy, delta):
    """A ``delta`` of 0 or 1 is refused with a typed error."""
    with pytest.raises(pb.BadInput):
        policy(delta)
