"""The logistic regression of question banks and planner has the same results as the three that it replaced."""

import msgspec
import numpy as np
import pytest

from parbake.values.logistic import Logistic, newton
from parbake_planner.forecast.predictors import _calibrated, _toward_identity, fit_demand
from parbake_semantic.policies.calibrate import Bound, Calibration
from parbake_semantic.policies.quadratic import PENALTY, Quadratic

ROWS = np.arange(300)
COLUMNS = np.stack([ROWS**2 % 41 / 8, ROWS**3 % 53 - 20.0, ROWS % 7 / 4, np.full(300, 0.25)], axis=1)
OUTCOMES = COLUMNS[:, 0] + COLUMNS[:, 2] + ROWS * 7 % 11 / 4 > 5
WEIGHTS = np.where(ROWS % 3 == 0, 0.2, 0.8)
NARROW = COLUMNS.astype(np.float32)


def exactly(*expected):
    """Return a comparison with these figures to twelve digits."""
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_bank_has_the_coefficients_that_it_had():
    """A bank's calibration has the old coefficients; a constant column has none."""
    found = Logistic.fit(COLUMNS, OUTCOMES, WEIGHTS, ridge=PENALTY)
    old = (1.8723918037923, -0.017393978091384567, 1.5075421875472714, 0.0)
    assert found.coefficients == exactly(*old)
    assert found.intercept == pytest.approx(-6.61752326860009, rel=1e-12)


def test_a_cache_has_the_odds_that_it_had():
    """The adaptive policy's model has the old odds, within its range and beyond."""
    found = Quadratic.fit(COLUMNS, OUTCOMES, WEIGHTS).log_odds(COLUMNS[:4] * 2)
    assert found == exactly(-5.2146461040714, -4.010087564073375, -2.360763796512025, -0.6405485386604337)


def test_a_plan_has_the_coefficients_that_it_had():
    """The demand model, in which requests are rare, has the old coefficients."""
    found = fit_demand(NARROW, OUTCOMES & (ROWS % 4 == 0))
    old = (0.7088440538690493, -0.0019652140204801864, 0.4054933042904127, 0.0)
    assert found.coefficients == exactly(*old)
    assert found.intercept == pytest.approx(-4.610279090768056, rel=1e-12)


def test_a_calibrated_plan_has_the_odds_that_it_had():
    """A calibrated plan has the old odds; its shift and stretch were -0.0703 and 1.052."""
    found = _calibrated(NARROW, OUTCOMES, ROWS.astype(np.int32)).log_odds(NARROW[:4])
    assert found == exactly(-6.01970820314394, -5.447133424780686, -4.514875149060216, -3.296302785947527)


def test_a_day_without_requests_does_not_make_the_calibration_oscillate():
    """The calibration finds the minimum where whole Newton steps oscillated between stretches of 33 and -5."""
    log_odds, hit = np.repeat([5.5, 5.5, -7.2], [100, 90, 400]), np.arange(590) < 100
    found = _toward_identity(log_odds, hit)

    def loss(shift, stretch):
        odds = shift + stretch * log_odds
        return (np.logaddexp(0, odds) - hit * odds).sum() + 10 * shift**2 + 50 * (stretch - 1) ** 2

    assert 0 < found[1] < 1
    assert all(
        loss(*found) < loss(found[0] + a, found[1] + b) for a, b in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01))
    )
    assert loss(*found) < loss(0.0, 1.0) / 2


def test_a_calibration_is_read_from_the_bytes_of_an_earlier_version():
    """The bytes of an earlier version decode to an equal calibration, which encodes to the same bytes."""
    stored = bytes.fromhex(
        "86aa6d6f64656c5f68617368a468617368a5626f756e6483a56572726f72cb3f947ae147ae147ba3706572a6736572766564a57072696f72"
        "cb3fc999999999999aa56d6f64656c82ac636f656666696369656e747392cb3ff0000000000000cbc004000000000000a9696e7465726365"
        "7074cb3fe0000000000000a56c65617374cb3ff4000000000000a86578706563746564cb3fe0000000000000a4726f777303"
    )
    made = Calibration("hash", Bound(), Logistic((1.0, -2.5), 0.5), 1.25, 0.5, 3)
    assert msgspec.msgpack.decode(stored, type=Calibration) == made
    assert msgspec.msgpack.encode(made) == stored


def test_an_adjusted_model_shifts_and_stretches_log_odds():
    """An adjusted model shifts and stretches the log odds, and its probability follows from them."""
    model = Logistic((1.0, -2.0, 0.5, 3.0), 0.7)
    found = model.adjusted(0.3, 1.5)
    assert found.log_odds(COLUMNS) == pytest.approx(0.3 + 1.5 * model.log_odds(COLUMNS))
    assert found.probability(COLUMNS) == pytest.approx(1 / (1 + np.exp(-found.log_odds(COLUMNS))))


def test_the_slope_of_the_loss_is_zero_at_the_minimum():
    """With weights, penalties and a prior, the derivative of the loss is zero at the result."""
    design, penalty, prior = COLUMNS[:, :3], np.array([0.5, 2.0, 1.0]), np.array([1.0, 0.0, -1.0])
    found = newton(design, OUTCOMES, WEIGHTS, penalty=penalty, start=np.zeros(3), prior=prior, enough=1e-24)
    chance = 1 / (1 + np.exp(-design @ found))
    assert design.T @ (WEIGHTS * (OUTCOMES - chance)) == pytest.approx(penalty * (found - prior), abs=1e-9)
