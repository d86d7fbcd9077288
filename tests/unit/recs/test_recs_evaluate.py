"""Evaluation metrics, and the quality of the models on a medium-sized shop."""

import time

import msgspec
import numpy as np
import pytest

from retail_assistant.recs import evaluate, rerank
from retail_assistant.recs.features import FEATURES
from retail_assistant.recs.log import make_log
from retail_assistant.world import generate

from .conftest import NOW, read_log


@pytest.fixture(scope="module")
def middle(tmp_path_factory):
    """Return the log of a shop with 2,000 shoppers."""
    path = tmp_path_factory.mktemp("quality") / "shop.db"
    generate(path, seed=7, now=NOW, products=500, shoppers=2_000, messages=0)
    return read_log(path)


@pytest.fixture(scope="module")
def quality(middle):
    """Return the quality measured on the held-out week."""
    return evaluate.evaluate(middle)


@pytest.fixture(scope="module")
def model(middle):
    """Return the reranker of this shop."""
    return rerank.train(middle)


def test_ndcg_by_hand():
    """A hit is worth 1 at the first place, less at the second and nothing beyond the tenth."""
    ranked = np.arange(20)
    assert evaluate.ndcg(ranked, np.array([0])) == 1.0
    assert evaluate.ndcg(ranked, np.array([1])) == pytest.approx(1 / np.log2(3))
    assert evaluate.ndcg(ranked, np.array([1, 1, 0])) == pytest.approx(1.0)
    assert evaluate.ndcg(ranked, np.array([10])) == 0.0
    assert evaluate.ndcg(np.empty(0, dtype=np.int64), np.array([1])) == 0.0


def test_intervals_are_paired():
    """A small gain of every shopper is significant, and a permutation is not."""
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
    """On the held-out week both scorers order candidates better than their base order."""
    assert quality.reranker_gain.low > 0
    assert evaluate.paired_interval(quality.linear, quality.factors).low > 0


def test_a_reranker_that_helps_may_be_promoted(middle, model):
    """Both scorers gain on the held-out shoppers within seconds, and the model is usable."""
    started = time.process_time()
    gains = evaluate.reranker_gain(model, middle)
    assert time.process_time() - started < 20
    assert min(gains["trees"].mean, gains["linear"].mean) > 0
    assert evaluate.reranker_usable(model, middle) is None


@pytest.mark.parametrize("scorer", ["trees", "linear"])
def test_a_reranker_that_harms_is_refused(middle, model, scorer):
    """A scorer that reverses the lists is refused, with its name and loss."""
    backwards = [1.0 if name == "rank" else 0.0 for name in FEATURES]
    changes = {"booster": "", "weights": backwards} if scorer == "trees" else {"weights": backwards}
    reason = evaluate.reranker_usable(msgspec.structs.replace(model, **changes), middle)
    assert reason.startswith(f"the {scorer} scorer orders worse")
    assert "NDCG@10 -0." in reason


def test_the_judged_shoppers_are_not_trained_on(middle):
    """Purchases of the held-out shoppers, one in ten, do not change the training examples."""
    cut = middle.end - rerank.LABEL_DAYS * 86_400
    before, after = middle.between(0.0, cut), middle.between(cut, np.inf)
    left_out = rerank.held_out(before, np.arange(len(middle.shoppers)))
    assert 0.07 < left_out.mean() < 0.13
    found = rerank.make_examples(before, after)
    without = rerank.make_examples(before, after._take(~left_out[after.who]))
    assert np.array_equal(found.rows, without.rows)
    assert np.array_equal(found.labels, without.labels)


def test_without_labels_nothing_speaks_against_a_reranker(middle, model):
    """Without purchases in the last week there is no measure, and the reranker is accepted."""
    empty = make_log(middle.catalog, ["u"], [])
    assert evaluate.reranker_gain(model, empty) == {}
    assert evaluate.reranker_usable(model, empty) is None
