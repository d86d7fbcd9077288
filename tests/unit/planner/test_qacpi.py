"""The quality-adjusted cost-performance index."""

import pytest

import parbake as pb
from parbake_planner.qacpi import Measured, qacpi

FULL = Measured(quality=0.92, cost=180_000.0, latency_s=0.8)
HYBRID = Measured(quality=0.89, cost=52_000.0, latency_s=0.15)
STORED = Measured(quality=0.71, cost=8_000.0, latency_s=0.005)


def test_the_baseline_is_one_and_halving_cost_and_latency_doubles():
    """The baseline is 1, half the cost and latency is 2, and a small loss of quality takes it back to 1."""
    assert qacpi(FULL, FULL) == 1.0
    half = Measured(quality=0.92, cost=90_000.0, latency_s=0.4)
    assert qacpi(half, FULL) == pytest.approx(2.0)
    dearer_quality = Measured(quality=0.92 * 2 ** (-1 / 12), cost=90_000.0, latency_s=0.4)
    assert qacpi(dearer_quality, FULL) == pytest.approx(1.0)


def test_the_usual_weight_orders_the_three_approaches_as_one_would():
    """The hybrid approach is best at the usual weight, and beats the stored one from weight 12 on."""
    scores = [qacpi(way, FULL) for way in (FULL, HYBRID, STORED)]
    assert max(scores) == scores[1]
    assert qacpi(HYBRID, FULL, weight=11) < qacpi(STORED, FULL, weight=11)
    assert qacpi(HYBRID, FULL, weight=12) > qacpi(STORED, FULL, weight=12)
    assert qacpi(STORED, FULL, weight=0.0) > qacpi(HYBRID, FULL, weight=0.0)


@pytest.mark.parametrize("wrong", [{"cost": 0.0}, {"quality": -1.0}, {"latency_s": float("nan")}])
def test_what_cannot_be_compared_is_refused(wrong):
    """An invalid figure or weight is refused by name."""
    with pytest.raises(pb.BadInput) as caught:
        Measured(**{"quality": 1.0, "cost": 1.0, "latency_s": 1.0} | wrong)
    assert caught.value.field == next(iter(wrong))
    with pytest.raises(pb.BadInput, match="weight"):
        qacpi(FULL, FULL, weight=-1.0)
