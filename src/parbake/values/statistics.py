"""The statistics that reports use."""

from __future__ import annotations

import math
from collections.abc import Sequence

_Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal, for a two-sided 95 % interval."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, with ``share`` from 0 to 100; ``None`` if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else None


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (0 to 1); without observations, the whole range."""
    if of == 0:
        return 0.0, 1.0
    share, scale = hits / of, 1 + _Z95**2 / of
    middle = share + _Z95**2 / (2 * of)
    spread = _Z95 * math.sqrt(share * (1 - share) / of + _Z95**2 / (4 * of**2))
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
