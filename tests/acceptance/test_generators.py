"""The generators: a real local model behind the same checks, and a hosted one whose key is never shown."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from cluster import Cluster

import parbake as pb

EVIDENCE = tuple(
    f"Section {n}. You can return a book within {n + 20} days of delivery when it is still sealed in its wrapping."
    for n in range(12)
)


def test_the_local_model_reports_its_cached_prefix() -> None:
    """The second request with the same rules and evidence has at least 80 % of its prompt from the cache."""

    async def ask(generator: pb.Generator, question: str) -> tuple[str, pb.Usage]:
        text, usage = "", pb.Usage()
        async for delta in generator.stream(
            pb.Prompt("Answer from the evidence.", EVIDENCE, (), question), max_tokens=12, timeout_s=60
        ):
            text += delta.text
            usage = delta.usage or usage
        return text, usage

    async def both() -> tuple[tuple[str, pb.Usage], tuple[str, pb.Usage]]:
        generator = pb.LlamaGenerator()
        return await ask(generator, "What is the window?"), await ask(generator, "Is wrapping needed?")

    (first, _), (second, usage) = asyncio.run(both())
    assert first
    assert second
    assert usage.cached_tokens is not None
    assert usage.input_tokens is not None
    assert usage.cached_tokens >= 0.8 * usage.input_tokens, usage


def test_what_a_model_makes_up_is_not_shown(prepared: Path, tmp_path: Path) -> None:
    """With the local model wording replies, no reply states a number of days that the policies do not."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    cluster = Cluster(home, LLM="llama")
    try:
        server = cluster.server()
        for question in ("Until when can I return my order?", "and for opened boxes?"):
            history = [{"role": "user", "content": "What is your return window?"}] if question.startswith("and") else []
            reply = server.chat(question, history=history)
            assert any(step["task"] == "response_generation" for step in reply.made["steps"]), reply.made
            claims = {c for c in pb.guard.claims(reply.text) if c.kind == "duration"}
            assert claims <= {pb.guard.Claim("duration", "30"), pb.guard.Claim("duration", "14")}, reply.text
    finally:
        cluster.stop()


@pytest.mark.parametrize("key", ["", "sk-very-secret-key"])
def test_a_missing_or_wrong_key_is_named_and_never_shown(key: str, prepared: Path, tmp_path: Path) -> None:
    """A provider key that is missing or refused is named in the problem document; its value is in no output."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    cluster = Cluster(home, LLM="openai", OPENAI_API_KEY=key, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    try:
        server = cluster.server()
        body = {"messages": [{"role": "user", "content": "Until when can I return my order?"}]}
        response = server.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 502, response.text
        assert response.json()["field"] == ("openai" if key else "OPENAI_API_KEY")
        assert "secret" not in response.text
        server.stop()
        assert not [line for line in server.lines if "very-secret" in line]
    finally:
        cluster.stop()
