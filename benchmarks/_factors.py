"""Factors to search: plain Gaussian ones, and some as alternating least squares learns them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIMS, TOP = 64, 50
KINDS = ("gaussian", "als-like")
Matrix = NDArray[np.float32]


def made(kind: str, users: int, items: int) -> tuple[Matrix, Matrix]:
    """Vectors (users, dims) and factors (items, dims), the same ones each time.

    The ALS-like ones have what factors learned from the small MovieLens set have: the logarithm of the norms has a
    standard deviation of 0.6, the spectrum falls to a quarter, and users share a direction (mean cosine 0.3).
    """
    rng = np.random.default_rng(7)
    vectors, factors = rng.standard_normal((users, DIMS)), rng.standard_normal((items, DIMS))
    if kind == "als-like":
        spectrum = (1.0 + np.arange(DIMS)) ** -0.35
        vectors, factors = vectors * spectrum, factors * spectrum
        vectors[:, 0] += 1.0
        factors *= rng.lognormal(0.0, 0.6, (items, 1)) / np.linalg.norm(factors, axis=1, keepdims=True)
    return vectors.astype(np.float32), factors.astype(np.float32)
