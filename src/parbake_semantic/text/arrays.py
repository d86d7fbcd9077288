"""The array types of this package, and the check that an embedding can be used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parbake.errors import BadInput

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

_NORM_TOLERANCE = 0.02


def unit_rows(vectors: Any, *, dimensions: int | None = None, field: str = "vectors") -> Vectors:
    """Convert vectors to float32 rows of length 1, shape (rows, dimensions).

    Rows that are slightly off because of an int8 model or a round trip through float16 are normalized; others are
    rejected.

    Args:
        vectors: The vectors, shape (rows, dimensions).
        dimensions: The expected number of dimensions; ``None`` for any.
        field: The name to use in messages.

    Raises:
        BadInput: Not a matrix of numbers, another number of dimensions, a value that is not finite, or not unit length.
    """
    try:
        found = np.array(vectors, dtype=np.float32, ndmin=2)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{field} must be a matrix of numbers: {error}", field=field) from error
    if found.ndim != 2:  # noqa: PLR2004  # a matrix has two axes
        raise BadInput(f"{field} must have the shape (rows, dimensions); got {found.shape}", field=field)
    if dimensions is not None and found.shape[1] != dimensions:
        raise BadInput(f"{field} must have {dimensions} dimensions; got {found.shape[1]}", field=field)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(norms).all():
        raise BadInput(f"{field} must contain only finite numbers", field=field)
    if (np.abs(norms - 1.0) > _NORM_TOLERANCE).any():
        raise BadInput(f"{field} must be unit vectors; found a length of {_worst(norms):.3g}", field=field)
    unit: Vectors = found / norms
    return unit


def _worst(norms: Vectors) -> float:
    return float(norms[np.abs(norms - 1.0).argmax(), 0])
