"""LangChain's ``RedisSemanticCache`` with its own threshold, on a Redis with vector search, and known vectors."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator

from _redis import searching
from _replay import Cache, halves
from _stream import Peer, Vectors, main
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import Generation
from langchain_redis import RedisSemanticCache

MODEL = "a model"


class Known(Embeddings):
    """Gives the vector of the question whose number the prompt is; any other text, such as a probe, gets the first."""

    def __init__(self, rows: list[list[float]]) -> None:
        self._rows = rows

    def embed_query(self, text: str) -> list[float]:
        """Its vector."""
        return self._rows[int(text) if text.isdigit() else 0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Their vectors."""
        return [self.embed_query(text) for text in texts]


@contextlib.contextmanager
def opened(vectors: Vectors, threshold: float | None) -> Iterator[Cache]:
    """An empty cache on a server of its own."""
    chosen = {} if threshold is None else {"distance_threshold": 1 - threshold}
    with searching() as url:
        cache = RedisSemanticCache(Known(vectors.tolist()), redis_url=url, **chosen)

        def get(number: int) -> str | None:
            found = cache.lookup(str(number), MODEL)
            return found[0].text if found else None

        def put(number: int, answer: str) -> None:
            cache.update(str(number), MODEL, [Generation(text=answer)])

        yield halves(get, put, lambda _label, _now: cache.clear())


if __name__ == "__main__":
    version = importlib.metadata.version("langchain-redis")
    main(Peer("LangChain (langchain-redis)", version, "defaults", "clear(), which empties it", opened))
