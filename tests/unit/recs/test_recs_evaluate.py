"""Evaluation metrics, and the quality of the models on a medium-sized shop."""

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from retail_assistant.recs.context import COLUMNS, CONTEXT
from retail_assistant.recs.log import make_log
from retail_assistant.recs.training import fitting, gating
from retail_assistant.recs.training.evaluate_context import evaluate_context
from retail_assistant.recs.training.examples import make_examples
from retail_assistant.recs.training.ndcg import ndcg, paired_interval
from retail_assistant.recs.training.week import Week
from retail_assistant.world import generate

from .conftest import NOW, read_log

BENCHMARKS = str(Path(__file__).parents[3] / "benchmarks")


@pytest.fixture(scope="module")
def middle(tmp_path_factory):
    """Return the log of a shop with 2,000 shoppers."""
    path = tmp_path_factory.mktemp("quality") / "shop.db"
    generate(path, seed=7, now=NOW, products=500, shoppers=2_000, messages=20_000)
    return read_log(path)


@pytest.fixture(scope="module")
def quality(middle):
    """Return the quality measured on the held-out week."""
    sys.path.insert(0, BENCHMARKS)
    try:
        from _recs_quality import evaluate
    finally:
        sys.path.remove(BENCHMARKS)
    return evaluate(middle)


@pytest.fixture(scope="module")
def model(middle):
    """Return the reranker of this shop."""
    return fitting.train(Week(middle))


def test_ndcg_by_hand():
    """A hit is worth 1 at the first place, less at the second and nothing beyond the tenth."""
    ranked = np.arange(20)
    assert ndcg(ranked, np.array([0])) == 1.0
    assert ndcg(ranked, np.array([1])) == pytest.approx(1 / np.log2(3))
    assert ndcg(ranked, np.array([1, 1, 0])) == pytest.approx(1.0)
    assert ndcg(ranked, np.array([10])) == 0.0
    assert ndcg(np.empty(0, dtype=np.int64), np.array([1])) == 0.0


def test_intervals_are_paired():
    """A small gain of every shopper is significant, and a permutation is not."""
    theirs = np.random.default_rng(1).random(200)
    gain = paired_interval(theirs + 0.01, theirs)
    assert gain.low == pytest.approx(0.01)
    noise = paired_interval(np.random.default_rng(2).permutation(theirs), theirs)
    assert noise.low < 0 < noise.high


def test_factors_beat_trending(quality):
    """On the held-out week the factors' order is better than trending, by an interval above 0."""
    assert len(quality.factors) > 300
    assert quality.factors_gain.low > 0


def test_the_reranker_beats_the_base_order(quality):
    """On the held-out week both scorers order candidates better than their base order."""
    assert quality.reranker_gain.low > 0
    assert paired_interval(quality.linear, quality.factors).low > 0


def test_the_request_improves_the_order(middle):
    """At requests with a page or words the reranker orders better with them than one that never saw any."""
    found = evaluate_context(middle)
    assert set(found) == {"page", "words", "page and words"}
    assert found["page"].gain(found["page"].both).low > 0
    asked = [found["words"], found["page and words"]]
    ours, theirs = (np.concatenate([getattr(one, way) for one in asked]) for way in ("both", "without"))
    assert len(ours) > 50
    assert ours.mean() > theirs.mean()


def test_a_reranker_that_helps_may_be_promoted(middle, model):
    """On the held-out shoppers both scorers gain, and page and words help; the model is usable."""
    gains = gating.reranker_gain(model, Week(middle))
    assert set(gains) == {"trees", "linear", "context"}
    assert min(gain.mean for gain in gains.values()) > 0
    assert gating.reranker_usable(model, Week(middle)) is None


@pytest.mark.parametrize(
    ("scorer", "reason"), [("trees", "the trees order worse"), ("linear", "the linear scorer orders worse")]
)
def test_a_reranker_that_harms_is_refused(middle, model, scorer, reason):
    """A scorer that reverses the lists is refused, with its name and loss."""
    backwards = [1.0 if name == "rank" else 0.0 for name in COLUMNS]
    changes = {"booster": "", "weights": backwards} if scorer == "trees" else {"weights": backwards}
    objection = gating.reranker_usable(msgspec.structs.replace(model, **changes), Week(middle))
    assert objection.startswith(reason)
    assert "NDCG -0." in objection


def test_a_reranker_that_page_and_words_mislead_is_refused(middle, model):
    """A scorer that puts what is near the page last is refused, though it orders well without a page."""
    helpful = {"rank": -0.01, "series_viewed_lately": 0.5, "popularity": 0.5}
    weights = [helpful.get(name, -9.0 if name in CONTEXT else 0.0) for name in COLUMNS]
    reason = gating.reranker_usable(msgspec.structs.replace(model, booster="", weights=weights), Week(middle))
    assert reason.startswith("the trees order worse with page and words")


def test_the_judged_shoppers_are_not_trained_on(middle):
    """What the held-out shoppers do, one in ten, does not change the training examples."""
    week, fewer = Week(middle), Week(middle)
    left_out = week.is_held_out
    assert 0.07 < left_out.mean() < 0.13
    after = week.after
    kept = tuple(m for m in after.messages if not left_out[m.who])
    fewer.after = replace(after._take(~left_out[after.who]), messages=kept)
    found, without = make_examples(week), make_examples(fewer)
    assert np.array_equal(found.rows, without.rows)
    assert np.array_equal(found.labels, without.labels)


def test_without_labels_nothing_speaks_against_a_reranker(middle, model):
    """Without events in the last week there is no measure, and the reranker is accepted."""
    empty = make_log(middle.catalog, ["u"], [])
    assert gating.reranker_gain(model, Week(empty)) == {}
    assert gating.reranker_usable(model, Week(empty)) is None
