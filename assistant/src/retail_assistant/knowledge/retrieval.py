"""Retrieval: how near every policy section is to a question. All are compared: there are few, and none is missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.knowledge.blocks import Block
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.knowledge.knowledge_tasks import evidence
from retail_assistant.live import LiveShop

tasks = pb.Registry()
Blocks = pb.Reader[str, list[Block]]


class Hit(msgspec.Struct, frozen=True):
    """A section with the cosines of its text and of its nearest sentence to the question."""

    block: Block
    policy: str
    whole: float
    part: float


@tasks.live(why="Depends on the query embedding")
async def retrieval(
    text: pb.Live[str],  # noqa: ARG001  # what the embedding is of
    *,
    vector: Any = pb.Input(query_embedding),
    blocks: Blocks = pb.Input(evidence),
    shop: pb.Resource[LiveShop] = pb.GIVEN,
) -> list[Hit]:
    """Every policy section as it holds now, in the order of the policies, with its nearness to the question."""
    found: list[tuple[Block, str]] = []
    for policy in shop.rules.policies():
        found += [(block, policy.title) for block in (await blocks.get(f"policy/{policy.id}")).value or ()]
    return nearness(found, vector)


def nearness(found: Sequence[tuple[Block, str]], vector: Any) -> list[Hit]:
    """Compare sections with a question.

    Args:
        found: The sections, each with the title of its policy.
        vector: The embedding of the question.

    Returns:
        A hit for each section, in the same order.
    """
    if not found:
        return []
    whole = _matrix([block.vector for block, _ in found]) @ vector
    parts = _matrix([part for block, _ in found for part in block.parts or (block.vector,)]) @ vector
    starts = np.cumsum([0, *(len(block.parts) or 1 for block, _ in found[:-1])])
    best = np.maximum.reduceat(parts, starts)
    return [Hit(b, t, w, p) for (b, t), w, p in zip(found, whole.tolist(), best.tolist(), strict=True)]


def _matrix(vectors: Sequence[bytes]) -> Any:
    return np.frombuffer(b"".join(vectors), np.float32).reshape(len(vectors), -1)
