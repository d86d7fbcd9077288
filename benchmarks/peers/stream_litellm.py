"""LiteLLM's ``redis-semantic`` cache with the threshold of its documentation, .8, with vectors made before."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the network at its import
# Each embedding looks for the router of a proxy: none is installed, and this says so at once.
sys.modules["litellm.proxy.proxy_server"] = None  # type: ignore[assignment]  # as Python marks a module that must not be imported

import litellm  # noqa: E402  # after the line above
from _redis import searching  # noqa: E402  # (the same)
from _replay import Cache, halves  # noqa: E402  # (the same)
from _stream import Peer, Vectors, main  # noqa: E402  # (the same)

DOCUMENTED = 0.8
MODEL = "a-model"


class Known(litellm.CustomLLM):
    """Gives the vector of the question whose number the text is; any other text, such as a probe, gets the first."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self._rows = rows

    def embedding(self, model: str, input: str | list[str], **_: Any) -> litellm.EmbeddingResponse:  # noqa: A002  # the name is the base's
        """Their vectors."""
        texts = [input] if isinstance(input, str) else input
        rows = [self._rows[int(text) if text.isdigit() else 0] for text in texts]
        data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
        return litellm.EmbeddingResponse(model=model, data=data)


@contextlib.contextmanager
def opened(vectors: Vectors, threshold: float | None) -> Iterator[Cache]:
    """An empty cache on a server of its own."""
    litellm.custom_provider_map = [{"provider": "known", "custom_handler": Known(vectors.tolist())}]
    litellm.utils.custom_llm_setup()
    with searching() as url:
        made = litellm.caching.redis_semantic_cache.RedisSemanticCache(
            redis_url=url, similarity_threshold=threshold or DOCUMENTED, embedding_model="known/minilm"
        )

        def asked(number: int) -> dict[str, Any]:
            return {"messages": [{"role": "user", "content": str(number)}]}

        def get(number: int) -> str | None:
            found = made.get_cache(MODEL, **asked(number))
            return None if found is None else str(found)

        def put(number: int, answer: str) -> None:
            made.set_cache(MODEL, f'"{answer}"', **asked(number))

        yield halves(get, put)


if __name__ == "__main__":
    version = importlib.metadata.version("litellm")
    main(Peer("LiteLLM", version, f"redis-semantic at {DOCUMENTED:g}, as documented", "none; a TTL", opened))
