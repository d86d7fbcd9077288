"""An app with one task that asks a provider at the port in ``BENCH_PROVIDER``, and does nothing else."""

from __future__ import annotations

import asyncio
import json
import os

from _http_load import answer_of, posted

import parbake as pb

APP = "_waiting_app:build"
ASKED = "/v1/chat/completions"
tasks = pb.Registry()


def question(text: str) -> bytes:
    """The bytes of a request that asks a provider."""
    return posted(ASKED, {"model": "small", "messages": [{"role": "user", "content": text}]}, "key")


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="bench"
)
async def answer(text: str) -> str:
    """What the provider says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["BENCH_PROVIDER"]))
    try:
        writer.write(question(text))
        _, body = await answer_of(reader)
    finally:
        writer.close()
    found: str = json.loads(body)["choices"][0]["message"]["content"]
    return found


def build() -> pb.App:
    """Build the app over a store in memory."""
    return pb.App(tasks, open=["policy"])
