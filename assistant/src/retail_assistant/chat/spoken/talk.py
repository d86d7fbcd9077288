"""Whether a sentence is mere talk, learnt from what models have said in shops and from what states something."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import parbake as pb
from parbake_semantic.embedder import Embedder
from retail_assistant.chat.intent import Head, Intent, likeliest, train
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.shop.data_file import read

tasks = pb.Registry()
_EXAMPLES = read(Path(__file__).with_name("talk_examples.toml"), dict[str, tuple[str, ...]])
TALK, SURELY = "talk", 0.9
"""The class of talk, and the probability from which a sentence is taken for it.

With it, none of 103 false sentences that nobody had learnt from passes, and a third of the talk that a list of words
stops.
"""


@tasks.model(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=[],
    fallback_if_stale=pb.ServeStale(within="48h"),
    owner="support",
    version=f"{zlib.crc32(repr(_EXAMPLES).encode()):08x}",
    why="What people say to each other in a shop changes slowly",
)
def talk_head(*, embedder: pb.Resource[Embedder]) -> Head:
    """Train the head on the examples."""
    said = [(text, name) for name, texts in _EXAMPLES.items() for text in texts]
    return train([text for text, _ in said], [name for _, name in said], embedder)


@tasks.live(why="Must judge the actual sentence")
async def spoken_kind(
    text: pb.Live[str],  # noqa: ARG001  # what the embedding is of
    *,
    vector: Any = pb.Input(query_embedding),
    head: Head = pb.Model(talk_head),
) -> Intent:
    """Whether a sentence is talk, or states something."""
    return likeliest(head, vector)
