"""Retrieval: nearest neighbours and BM25, fused; every hit is read again through the fence.

Fusion is reciprocal rank fusion, score = sum of 1 / (60 + rank) (Cormack, Clarke, Buettcher, SIGIR 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.chat.embedding import query_embedding
from retail_assistant.chat.index import ProductIndex
from retail_assistant.knowledge.blocks import Block
from retail_assistant.knowledge.tasks import evidence, product_embeddings
from retail_assistant.live import LiveShop

tasks = pb.Registry()
RRF_K = 60
DEPTH = 20
Blocks = pb.Reader[str, list[Block]]


class Hit(msgspec.Struct, frozen=True):
    """A block with its fused score and, where it was compared, the cosine to the question."""

    block: Block
    score: float
    cosine: float


class Retrieved(msgspec.Struct, frozen=True):
    """What was found, best first."""

    policies: tuple[Hit, ...]
    products: tuple[Hit, ...]


@tasks.live(why="Depends on the query embedding")
async def retrieval(
    text: pb.Live[str],
    *,
    vector: Any = pb.Input(query_embedding),
    blocks: Blocks = pb.Input(evidence),
    embeddings: pb.Reader[str, bytes] = pb.Input(product_embeddings),
    index: pb.Resource[ProductIndex] = pb.GIVEN,
    shop: pb.Resource[LiveShop] = pb.GIVEN,
) -> Retrieved:
    """Find the policy sections and products that a question is about."""
    return Retrieved(
        await _policies(text, vector, blocks, shop), await _products(text, vector, (blocks, embeddings), index, shop)
    )


async def _policies(text: str, vector: Any, blocks: Blocks, shop: LiveShop) -> tuple[Hit, ...]:
    """All sections are compared: there are few, and none is missed."""
    found = [b for i in shop.policy_ids() for b in (await blocks.get(f"policy/{i}")).value or ()]
    if not found:
        return ()
    cosines = np.stack([np.frombuffer(b.vector, np.float32) for b in found]) @ vector
    by_vector = [found[i].id for i in np.argsort(-cosines)[:DEPTH]]
    by_words = ["policy/" + d.replace("/", "#", 1) for d in shop.search(text, "policy", limit=DEPTH)]
    known = {b.id: (b, float(c)) for b, c in zip(found, cosines, strict=True)}
    return tuple(Hit(known[i][0], s, known[i][1]) for i, s in _fuse(by_vector, by_words) if i in known)[:5]


async def _products(
    text: str, vector: Any, readers: tuple[Blocks, pb.Reader[str, bytes]], index: ProductIndex, shop: LiveShop
) -> tuple[Hit, ...]:
    blocks, embeddings = readers
    near = dict(index.search(vector, DEPTH))
    hits: list[Hit] = []
    for asin, score in _fuse(list(near), shop.search(text, "product", limit=DEPTH)):
        stated = (await blocks.get(f"product/{asin}")).value
        embedded = (await embeddings.get(asin)).value
        if stated and embedded:
            hits.append(Hit(stated[0], score, float(np.frombuffer(embedded, np.float32) @ vector)))
        if len(hits) == 5:  # noqa: PLR2004  # five are shown
            break
    return tuple(hits)


def _fuse(*rankings: Sequence[str]) -> list[tuple[str, float]]:
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking):
            scores[name] = scores.get(name, 0.0) + 1.0 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def entities(hits: Iterable[Hit]) -> list[str]:
    """The distinct entities of some hits in order."""
    return list(dict.fromkeys(hit.block.source for hit in hits))
