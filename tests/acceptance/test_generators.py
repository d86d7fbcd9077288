"""The generators: a real local model behind the same checks, and a hosted one whose key is never shown."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import Cluster
from tests.waiting import HANGS_S

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


def test_a_refused_provider_is_named_and_its_key_never_shown(prepared: Path, tmp_path: Path) -> None:
    """A provider that cannot be used is a problem document; the key is in no reply and no log line."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    key = "sk-very-secret-key"
    cluster = Cluster(home, LLM="openai", OPENAI_API_KEY=key, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    try:
        server = cluster.server()
        body = {"messages": [{"role": "user", "content": "Until when can I return my order?"}]}
        response = server.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 502, response.text
        assert response.json()["field"] == "openai"
        assert "secret" not in response.text
        server.stop()
        assert not [line for line in server.lines if "very-secret" in line]
    finally:
        cluster.stop()


def test_a_missing_key_is_said_before_anything_is_served(prepared: Path) -> None:
    """Without a key the server does not start; one line names the variable."""
    environment = {**os.environ, "RETAIL_HOME": str(prepared), "LLM": "openai", "OPENAI_API_KEY": ""}
    command = [sys.executable, "-m", "parbake", "serve", "retail_assistant.compose:served", "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 1
    assert "OPENAI_API_KEY is not set" in done.stderr
    assert "Traceback" not in done.stderr
