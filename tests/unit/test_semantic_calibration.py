"""The head, its closed-form held-out scores and the parts of calibration, checked by brute force and libraries."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression

import parbake as pb
import parbake_semantic
from parbake.values.logistic import Logistic, sigmoid
from parbake_semantic.policies.calibrate import Bound, Trials, calibrate, cross_fitted, trials
from parbake_semantic.policies.features import FEATURES, features, gather
from parbake_semantic.policies.quadratic import PENALTY, Quadratic
from parbake_semantic.policies.ridge import RIDGE, fit, kernel
from parbake_semantic.policies.risk import lowest_threshold, upper_limits
from parbake_semantic.text.arrays import unit_rows


def clusters(answers, aliases, *, spread=0.3, dimensions=24, seed=0):
    """Return unit vectors of aliases around a random direction for each answer, and the answers."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(answers, dimensions))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    owner = np.repeat(np.arange(answers), aliases)
    found = centers[owner] + spread * rng.normal(size=(len(owner), dimensions)) / np.sqrt(dimensions)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), owner


def refitted(head, kept, asked):
    """Return the scores of a head that is fitted to some rows, with the shares of all."""
    seen = head.vectors[kept]
    targets = np.eye(head.answers)[head.owner[kept]] - head.shares
    alpha = np.linalg.solve(kernel(seen, seen) + RIDGE * np.eye(len(seen)), targets)
    return kernel(head.vectors[asked], seen) @ alpha + head.shares


@settings(max_examples=20)
@given(st.integers(2, 5), st.integers(1, 5), st.integers(0, 1000))
def test_an_alias_left_out_is_scored_as_by_a_refit_without_it(answers, aliases, seed):
    """The closed form equals a refit without each alias."""
    head = fit(*clusters(answers, aliases, seed=seed), answers)
    found = head.alias_left_out()
    for row in range(len(head.owner)):
        kept = np.arange(len(head.owner)) != row
        assert found[row] == pytest.approx(refitted(head, kept, [row])[0], abs=1e-9)


@settings(max_examples=20)
@given(st.integers(2, 5), st.integers(1, 5), st.integers(0, 1000))
def test_an_answer_left_out_is_scored_as_by_a_refit_without_its_aliases(answers, aliases, seed):
    """The block formula equals a refit without all aliases of an answer, whose own score is masked."""
    head = fit(*clusters(answers, aliases, seed=seed), answers)
    found = head.answer_left_out()
    for answer, rows in head.groups():
        expected = refitted(head, head.owner != answer, rows)
        expected[:, answer] = -np.inf
        assert found[rows] == pytest.approx(expected, abs=1e-9)


def test_features_of_a_bank_are_those_of_its_lookup():
    """Calibration computes the same features of a question as the lookup."""
    vectors, owner = clusters(12, 6)
    queries, _ = clusters(12, 6, seed=5)
    head = fit(vectors, owner, 12)
    winner, columns = features(gather(queries.astype(float) @ vectors.T.astype(float), owner, 12, head.scores(queries)))
    matcher = parbake_semantic.Matcher(
        parbake_semantic.compile_bank("hash", [(str(o), f"wording {i}") for i, o in enumerate(owner)], vectors)
    )
    for row, query in enumerate(queries):
        match = matcher.match("unknown", query)
        assert match.answer == str(winner[row])
        assert match.features == pytest.approx(columns[row], abs=1e-4)
    assert columns.shape == (len(queries), len(FEATURES))


def test_trials_hide_what_they_leave_out():
    """No trial matches itself, and a trial without its own answer is always wrong."""
    head = fit(*clusters(5, 4), 5)
    found = trials(head)
    assert (found.columns[:, FEATURES.index("cosine")] < 1.0 - 1e-6).all()
    assert found.wrong[found.outside].all()
    assert len(found.wrong) == 2 * len(head.owner)


def test_no_feature_tells_which_trial_left_out_its_own_alias():
    """With equally many aliases for each answer, the alias count is the same in both kinds of trials."""
    found = trials(fit(*clusters(5, 4), 5))
    assert set(found.columns[:, FEATURES.index("log_aliases")]) == {np.log(4.0)}


def test_logistic_regression_is_sklearns():
    """On standardized columns the odds equal those of scikit-learn, with weights and penalty."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(400, 4)) * [1, 5, 0.1, 2] + 3
    outcomes = rng.random(400) < sigmoid(columns[:, 0] - 3)
    weights = rng.random(400)
    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    theirs = LogisticRegression(tol=1e-10, max_iter=1000).fit(standard, outcomes, sample_weight=weights)
    ours = Logistic.fit(columns, outcomes, weights, ridge=PENALTY)
    assert ours.log_odds(columns) == pytest.approx(theirs.decision_function(standard), abs=1e-6)


@pytest.mark.parametrize("fitted", [partial(Logistic.fit, ridge=PENALTY), Quadratic.fit], ids=["linear", "quadratic"])
def test_separable_and_constant_outcomes_have_finite_odds(fitted):
    """Perfect separation and constant outcomes give finite odds."""
    columns = np.linspace(-1, 1, 40)[:, None] * np.ones((1, 2))
    for outcomes in (columns[:, 0] > 0, np.ones(40, bool), np.zeros(40, bool)):
        assert np.isfinite(fitted(columns, outcomes, np.ones(40)).log_odds(columns)).all()


def test_a_quadratic_model_does_not_extrapolate():
    """Beyond the range of its data the model returns its value at the border."""
    rng = np.random.default_rng(0)
    columns = rng.uniform(0, 1, size=(200, 2))
    model = Quadratic.fit(columns, columns[:, 0] > rng.random(200))
    assert model.log_odds(np.array([[9.0, -9.0]])) == model.log_odds(np.array([[model.high[0], model.low[1]]]))


@pytest.mark.parametrize("fixed", [True, False])
def test_the_upper_limit_is_the_stated_formula(fixed):
    """Row by row, the limit equals the gamma quantile of the cluster sums, computed directly."""
    rng = np.random.default_rng(3)
    wrong, weights, answers = rng.random(60) < 0.2, rng.choice([0.2, 0.8], 60), rng.integers(0, 7, 60)
    found = upper_limits(wrong, weights, answers, fixed=fixed)
    for n in range(1, 61):
        errors = (weights * wrong)[:n]
        sums = [errors[answers[:n] == a].sum() for a in range(7)]
        y = errors.sum() + 0.8
        v = 7 * np.var(sums, ddof=1) if fixed else np.square(sums).sum()
        v = max(v, (errors * weights[:n]).sum()) + 0.8**2
        assert found[n - 1] == pytest.approx(stats.gamma.ppf(0.95, y * y / v, scale=v / y) / weights[:n].sum())


@pytest.mark.parametrize(
    ("fixed", "limits"),
    [
        (True, [2.6222506674637986, 0.6261675211956286, 0.2417965196572213, 0.16638297743756586, 0.15909030508934877]),
        (False, [2.6222506674638413, 0.626167521195629, 0.2417965196572212, 0.19918633079676723, 0.19858046552171316]),
    ],
)
def test_the_upper_limit_is_what_it_was_with_quantiles_of_our_own(fixed, limits):
    """The limit has the figures of an earlier version, which inverted the gamma distribution itself."""
    rows = np.arange(2_000)
    found = upper_limits(rows % 7 == 0, np.where(rows % 3 == 0, 0.2, 0.8), rows * rows % 41, fixed=fixed)
    assert found[[1, 10, 100, 1_000, 1_999]] == pytest.approx(limits, rel=1e-12)


def test_the_upper_limit_of_single_errors_is_that_of_a_poisson_count():
    """With one error for each answer, the limit is the Poisson limit at 5 %."""
    found = upper_limits(np.ones(50, bool), np.ones(50), np.arange(50), fixed=False) * np.arange(1, 51)
    assert stats.poisson.cdf(np.arange(1, 51), found) == pytest.approx(0.05, rel=1e-12)
    assert found[:3] == pytest.approx([4.743864518390576, 6.295793621871989, 7.7536565279327245], rel=1e-12)


def test_errors_of_one_answer_count_for_more():
    """Errors in one cluster give a higher limit than the same errors spread over many."""
    wrong, weights = np.arange(100) < 10, np.ones(100)
    together = upper_limits(wrong, weights, np.zeros(100, int))[-1]
    assert together > upper_limits(wrong, weights, np.arange(100))[-1]


def test_the_upper_limit_is_above_the_true_share_nineteen_times_in_twenty():
    """In simulations with two weights, the limit covers the true share in 93 to 99 % of cases."""
    rng = np.random.default_rng(0)
    answers, rows, covered = 60, 20, 0
    owner, outside = np.repeat(np.arange(answers), 2 * rows), np.tile(np.arange(2 * rows) >= rows, answers)
    weights = np.where(outside, 0.2, 0.8)
    for _ in range(400):
        risk = np.where(outside, 0.1, 0.02) * rng.gamma(2.0, 0.5, (answers, 1)).repeat(2 * rows, axis=1).ravel()
        covered += upper_limits(rng.random(len(owner)) < risk, weights, owner)[-1] >= 0.8 * 0.02 + 0.2 * 0.1
    assert 0.93 <= covered / 400 <= 0.99


def test_no_fold_sees_other_wordings_of_the_answers_it_judges():
    """Cross-fitting leaves out all wordings of an answer, so a feature of the answer alone does not help."""
    owner = np.repeat(np.arange(20), 30)
    wrong = owner >= 10
    columns = np.where(np.arange(20)[:, None] == np.arange(20), 1.0, 0.0)[owner]
    found = Trials(columns, wrong, np.zeros(600, bool), np.arange(600), owner, owner)
    odds = cross_fitted(found, np.ones(600), 0)
    assert np.abs(odds).max() < 1.0


def test_the_threshold_is_the_lowest_that_holds_and_never_splits_equals():
    """Any lower threshold exceeds the bound, and rows of equal rank are served together or not at all."""
    ranks = np.repeat(np.arange(200, 0, -1), 3).astype(float)
    wrong = np.arange(600) > 400
    args = {"weights": np.ones(600), "clusters": np.arange(600) % 50}
    least = lowest_threshold(ranks, wrong, **args, error=0.05)
    limits = upper_limits(wrong, **args)
    assert limits[np.flatnonzero(ranks == least)[-1]] <= 0.05
    assert (limits[np.flatnonzero(ranks < least)][2::3] > 0.05).all()


def test_per_request_allows_more_than_per_served_answer():
    """A bound for all requests allows a lower threshold than the same bound for served answers."""
    ranks, wrong = np.arange(300.0, 0, -1), np.arange(300) % 9 == 8
    arguments = (ranks, wrong, np.ones(300), np.arange(300) % 40)
    served = lowest_threshold(*arguments, error=0.06, per="served")
    request = lowest_threshold(*arguments, error=0.06, per="request")
    assert request < (np.inf if served is None else served)


@pytest.mark.parametrize("head", [fit(*clusters(3, 2), 3), fit(*clusters(1, 9), 1)], ids=["few", "one answer"])
def test_a_bank_that_is_too_small_has_no_threshold(head):
    """A few aliases, or a single answer, give no threshold."""
    assert calibrate(head, Bound(0.01), model_hash="h").least is None


def test_a_bank_of_clear_answers_is_served_within_the_bound():
    """With distinct answers there is a threshold that new wordings pass and unrelated questions do not."""
    vectors, owner = clusters(30, 12)
    head = fit(vectors, owner, 30)
    made = calibrate(head, Bound(0.05), model_hash="h")
    assert made.least is not None
    assert made.expected > 0.5
    for asked, low, high in ((clusters(30, 12)[0], 0.9, 1.0), (clusters(30, 12, seed=9)[0], 0.0, 0.05)):
        cosines = asked.astype(float) @ vectors.T.astype(float)
        odds = made.model.log_odds(features(gather(cosines, owner, 30, head.scores(asked)))[1])
        assert low <= (odds >= made.least).mean() <= high


@pytest.mark.parametrize("wrong", [{"error": 0.0}, {"error": 1.0}, {"prior": -0.1}, {"prior": 1.0}, {"per": "day"}])
def test_an_impossible_bound_is_refused(wrong):
    """An invalid bound is refused by its field."""
    with pytest.raises(pb.BadInput) as caught:
        Bound(**wrong)
    assert caught.value.field == next(iter(wrong))


@pytest.mark.parametrize(
    "vectors",
    [[[1.0, np.nan]], [[np.inf, 0.0]], [[0.0, 0.0]], [[3.0, 4.0]], [[1.0]], "text", [[[1.0, 0.0]]], [["a", "b"]]],
)
def test_vectors_that_are_none_are_refused(vectors):
    """NaN, infinity, zero, wrong lengths or dimensions, and other types than a matrix are refused."""
    with pytest.raises(pb.BadInput):
        unit_rows(vectors, dimensions=2)
