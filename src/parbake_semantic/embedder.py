"""The port of embedders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Embedder(Protocol):
    """Turns texts into unit vectors (float32, one row each)."""

    model_hash: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Any:
        """Return an array of shape (texts, dimensions); blocking."""
        ...
