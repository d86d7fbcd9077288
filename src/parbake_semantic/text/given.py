"""The checks of what callers give: embedders, wordings, and settings of a type."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from parbake.errors import BadInput
from parbake.values.checks import check_object
from parbake_semantic.embedder import Embedder
from parbake_semantic.text.arrays import Vectors, unit_rows
from parbake_semantic.text.normalize import unusable


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
        if reason := (unusable(text) if isinstance(text, str) else "it is not a text"):
            raise BadInput(f"{field}: {repr(text)[:60]} of {of} cannot be a question: {reason}", field=field)


def embedded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The unit vectors of texts, shape (texts, dimensions); raises like :func:`unit_rows`, or if rows are missing."""
    rows = unit_rows(embedder.embed(texts), dimensions=embedder.dimensions)
    if len(rows) != len(texts):
        raise BadInput(f"embedder must return {len(texts)} rows for so many texts; got {len(rows)}", field="embedder")
    return rows
