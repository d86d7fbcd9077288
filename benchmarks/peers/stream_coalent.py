"""Coalent's ``SemanticCache``, read by units (one stored answer per hit), with vectors made before.

By default it hands a model one text made of many claims. Such a text cannot be judged as an answer.
The answer is its source's text as it is, so that no model takes part; and only questions have vectors, so that
questions are matched with questions.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
from collections.abc import Iterator

from _replay import Cache, Compute
from _stream import Peer, Vectors, main
from coalent import SemanticCache
from coalent.semantic import Chunk, JSONPassthroughSynthesizer


class Known:
    """Gives the vector of the question whose number the text is; other texts have none."""

    def __init__(self, rows: list[list[float]]) -> None:
        self._rows = rows

    def embed(self, text: str) -> list[float]:
        """Its vector."""
        return self._rows[int(text)] if text.isdigit() else []


class Source:
    """Gives what is told of a question at the moment."""

    def __init__(self) -> None:
        self.compute: Compute = str

    def retrieve(self, query: str, *, namespace: str | None = None) -> list[Chunk]:
        """One chunk, of the source of the question's label."""
        del query, namespace
        answer = self.compute()
        return [Chunk(f"source/{answer.split()[0]}", told(answer))]


def told(answer: str) -> str:
    """The text of a source."""
    return json.dumps({"answer": answer})


@contextlib.contextmanager
def opened(vectors: Vectors, threshold: float | None) -> Iterator[Cache]:
    """An empty cache in memory."""
    logging.getLogger("coalent").setLevel(logging.ERROR)  # it warns of changes that nothing was made from
    source = Source()
    cache = SemanticCache(
        source,
        JSONPassthroughSynthesizer(),
        embedder=Known(vectors.tolist()),
        hit_threshold=threshold,
        read_path="unit",
        cross_unit_recall=False,  # adds claims of other units to what is given to a model
    )

    def ask(number: int, compute: Compute) -> tuple[str, bool]:
        source.compute = compute
        found = cache.get(str(number), related=0)
        return str(found.understanding["facts"]["answer"]), found.cache_hit

    def serves(number: int) -> bool:
        return cache.get(str(number), related=0).cache_hit

    def tell(label: int, now: str) -> None:
        cache.source_changed(f"source/{label}", text=told(now))

    yield Cache(ask, serves, tell)


if __name__ == "__main__":
    version = importlib.metadata.version("coalent")
    main(Peer("Coalent", version, "by units, its default .45", "source_changed(artifact)", opened))
