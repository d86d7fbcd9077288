"""QACPI, the quality-adjusted cost-performance index: one number for quality, cost and latency against a baseline.

::

    QACPI = (quality / quality0) ** weight * sqrt((cost0 / cost) * (latency0 / latency))

The baseline has 1, and more is better. Cost (US dollars per request or per day) and latency (seconds) count as their
geometric mean, so that halving both doubles the index. ``weight`` says how much quality counts. Its default is chosen,
not measured: with 12, a way with 94.4 % of the quality must halve both cost and latency to be as good. With a weight of
0, quality does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from parbake.errors import BadInput

WEIGHT = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurements of one way to answer. ``quality`` is in any unit that is better when higher."""

    quality: float
    cost: float
    latency_s: float

    def __post_init__(self) -> None:
        """Reject values that cannot be compared."""
        for name in ("quality", "cost", "latency_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name}={value}: must be above 0 to be compared", field=name)


def qacpi(found: Measured, baseline: Measured, *, weight: float = WEIGHT) -> float:
    """Compute the index of one way against a baseline.

    Args:
        found: The way to judge.
        baseline: The way to compare with.
        weight: How strongly quality counts; 0 ignores it.

    Returns:
        The index, without unit; above 1 is better than the baseline.

    Raises:
        BadInput: ``weight`` is negative.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise BadInput(f"weight={weight}: must not be negative", field="weight")
    saved = (baseline.cost / found.cost) * (baseline.latency_s / found.latency_s)
    return float((found.quality / baseline.quality) ** weight * math.sqrt(saved))
