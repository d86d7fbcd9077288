"""The embedding of a question. The app computes it once for each wording in a request, whoever reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import parbake as pb
from parbake_semantic.embedder import Embedder
from retail_assistant.shop.opening import opening

tasks = pb.Registry()


@tasks.live(why="Each query is unique")
async def query_embedding(text: pb.Live[str], *, embedder: pb.Resource[Embedder] = pb.GIVEN) -> Any:
    """The float32 unit vector of a question made self-contained; of a long one only the opening is read."""
    return (await asyncio.to_thread(embedder.embed, [opening(text)]))[0]
