"""The array types of this package, and the checks of what callers give: embedders, embeddings and wordings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parbake.errors import BadInput
from parbake.values.checks import check_object
from parbake_semantic.embedder import Embedder
from parbake_semantic.text.normalize import unusable

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

_NORM_TOLERANCE = 0.02


def must_be(value: object, kind: Any, *, field: str, expected: str) -> None:
    """Raise :class:`BadInput` unless a value is of a type.

    Args:
        value: The value.
        kind: The type; ``Callable`` for a function.
        field: The name to use in the message.
        expected: What a valid value is, for the message.
    """
    if not isinstance(value, kind):
        raise BadInput(f"{field}={repr(value)[:60]} must be {expected}", field=field)


def check_embedder(embedder: object) -> None:
    """Raise :class:`BadInput` for anything but an object that embeds texts."""
    expected = "an object with embed(texts), model_hash and dimensions, such as MiniLm()"
    check_object(embedder, "embed", field="embedder", error=BadInput, expected=expected)


def check_wordings(wordings: Any, *, field: str, of: str) -> None:
    """Raise :class:`BadInput` unless wordings are a list of one or more texts that can be questions.

    Args:
        wordings: The wordings. A generator is refused, because it can be read only once.
        field: The name to use in the message.
        of: Whose wordings they are, for the message.
    """
    if isinstance(wordings, str) or not isinstance(wordings, Collection) or not len(wordings):
        raise BadInput(f"{field}: {of} must have a list of one or more texts; got {repr(wordings)[:60]}", field=field)
    for text in wordings:
        reason = unusable(text) if isinstance(text, str) else "it is not a text"
        if reason:
            raise BadInput(f"{field}: {repr(text)[:60]} of {of} cannot be a question: {reason}", field=field)


def embedded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The unit vectors of texts, shape (texts, dimensions); raises like :func:`unit_rows`, or if rows are missing."""
    rows = unit_rows(embedder.embed(texts), dimensions=embedder.dimensions)
    if len(rows) != len(texts):
        raise BadInput(f"embedder must return {len(texts)} rows for so many texts; got {len(rows)}", field="embedder")
    return rows


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
