"""RedisVL's ``SemanticCache`` with its own threshold, on a Redis with vector search, with vectors made before."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator

from _redis import searching
from _replay import Cache, halves
from _stream import Peer, Vectors, main
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query import FilterQuery
from redisvl.query.filter import Tag
from redisvl.utils.vectorize import CustomVectorizer

TRIED = (0.94, 0.93, 0.92, 0.915, 0.8)
LABEL = {"name": "label", "type": "tag"}


@contextlib.contextmanager
def opened(vectors: Vectors, threshold: float | None) -> Iterator[Cache]:
    """An empty cache on a server of its own."""
    rows = vectors.tolist()
    chosen = {} if threshold is None else {"distance_threshold": 1 - threshold}
    with searching() as url:
        # Only its dimensions are used: every call below brings its vector.
        vectorizer = CustomVectorizer(lambda _: rows[0])
        cache = SemanticCache(vectorizer=vectorizer, redis_url=url, filterable_fields=[LABEL], **chosen)

        def get(number: int) -> str | None:
            found = cache.check(vector=rows[number])
            return found[0]["response"] if found else None

        def put(number: int, answer: str) -> None:
            cache.store(
                prompt=str(number), response=answer, vector=rows[number], filters={"label": answer.partition(" ")[0]}
            )

        def tell(label: int, _: str) -> None:
            found = cache.index.query(FilterQuery(filter_expression=Tag("label") == str(label), num_results=10_000))
            if found:
                cache.drop(keys=[each["id"] for each in found])

        yield halves(get, put, tell)


if __name__ == "__main__":
    told = "drop(keys), which a query for a tag has found"
    main(Peer("RedisVL", importlib.metadata.version("redisvl"), "defaults", told, opened, TRIED))
