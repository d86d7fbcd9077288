"""GPTCache as its documentation starts it (sqlite, faiss, its own threshold), with vectors that were made before."""

from __future__ import annotations

import contextlib
import importlib.metadata
import tempfile
from collections.abc import Iterator

import faiss
import numpy as np
from _stream import Cache, main
from gptcache import Cache as GptCache
from gptcache.adapter.api import get, init_similar_cache, put
from gptcache.embedding.base import BaseEmbedding
from numpy.typing import NDArray

FOLDER = tempfile.TemporaryDirectory()  # removed at exit, after GPTCache has flushed into it


class Known(BaseEmbedding):
    """Gives the vector of the question whose number the prompt is."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def to_embeddings(self, data: str, **_: object) -> NDArray[np.float32]:
        """Its vector (dimensions,)."""
        return self._vectors[int(data)]

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return int(self._vectors.shape[1])


@contextlib.contextmanager
def opened(vectors: NDArray[np.float32]) -> Iterator[Cache]:
    """An empty cache in a folder of its own."""
    faiss.omp_set_num_threads(1)
    cache = GptCache()
    init_similar_cache(tempfile.mkdtemp(dir=FOLDER.name), cache_obj=cache, embedding=Known(vectors))
    yield Cache(
        lambda number: get(str(number), cache_obj=cache),
        lambda number, answer: put(str(number), answer, cache_obj=cache),
    )


if __name__ == "__main__":
    main("GPTCache", importlib.metadata.version("gptcache"), "defaults", opened)
