"""Measuring, and what it shows on a shop of middle size."""

import numpy as np
import pytest

from retail_assistant.recs import evaluate
from retail_assistant.shop.world import generate

from .conftest import NOW, read_log


@pytest.fixture(scope="module")
def quality(tmp_path_factory):
    """Return the quality on the held-out week of a shop with 2,000 shoppers."""
    path = tmp_path_factory.mktemp("quality") / "shop.db"
    generate(path, seed=7, now=NOW, products=500, shoppers=2_000, messages=0)
    return evaluate.evaluate(read_log(path))


def test_ndcg_by_hand():
    """A hit at the first place is worth all, at the second less, beyond the tenth nothing."""
    ranked = np.arange(20)
    assert evaluate.ndcg(ranked, np.array([0])) == 1.0
    assert evaluate.ndcg(ranked, np.array([1])) == pytest.approx(1 / np.log2(3))
    assert evaluate.ndcg(ranked, np.array([1, 1, 0])) == pytest.approx(1.0)
    assert evaluate.ndcg(ranked, np.array([10])) == 0.0
    assert evaluate.ndcg(np.empty(0, dtype=np.int64), np.array([1])) == 0.0


def test_intervals_are_paired():
    """A small gain that every shopper has is told from none, however much shoppers differ; no gain is not."""
    theirs = np.random.default_rng(1).random(200)
    gain = evaluate.paired_interval(theirs + 0.01, theirs)
    assert gain.low == pytest.approx(0.01)
    noise = evaluate.paired_interval(np.random.default_rng(2).permutation(theirs), theirs)
    assert noise.low < 0 < noise.high


def test_factors_beat_trending(quality):
    """On the held-out week the factors' order is better than trending, by an interval above 0."""
    assert len(quality.factors) > 300
    assert quality.factors_gain.low > 0


def test_the_reranker_beats_the_base_order(quality):
    """On the held-out week the reranked candidates are better than their own order, with either scorer."""
    assert quality.reranker_gain.low > 0
    assert evaluate.paired_interval(quality.linear, quality.factors).low > 0
