"""The generators: a real local model behind the usual checks, and a hosted one whose key is never shown."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from cluster import Cluster
from tests.waiting import HANGS_S

import parbake_semantic.guard
from parbake.ports.usage import Usage
from parbake_llm.generators import _engine
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Block, Prompt

EVIDENCE = tuple(
    f"Section {n}. You can return a book within {n + 20} days of delivery when it is still sealed in its wrapping."
    for n in range(12)
)


def prompt_of(sections: Sequence[str], question: str) -> Prompt:
    """Return a prompt whose prefix has some sections."""
    rules = Block("rules", "Answer from the sections.")
    return Prompt(blocks=(rules, Block("sections", "\n".join(sections), "policy")), question=question)


def test_the_local_model_reports_its_cached_prefix() -> None:
    """A second request with the same rules and sections has at least 80 % of its prompt cached."""

    async def ask(generator: Generator, question: str) -> tuple[str, Usage]:
        text, usage = "", Usage()
        async for delta in generator.stream(prompt_of(EVIDENCE, question), max_tokens=12, timeout_s=60):
            text += delta.text
            usage = delta.usage or usage
        return text, usage

    async def both() -> tuple[tuple[str, Usage], tuple[str, Usage]]:
        generator = LlamaGenerator()
        return await ask(generator, "What is the window?"), await ask(generator, "Is wrapping needed?")

    (first, _), (second, usage) = asyncio.run(both())
    assert first
    assert second
    assert usage.cache_read is not None
    assert usage.input is not None
    assert usage.cache_read >= 0.8 * usage.input, usage


async def last_of(generator: LlamaGenerator, prompt: Prompt) -> tuple[str, Delta]:
    """Return a short reply and its last piece."""
    text, last = "", Delta()
    async for delta in generator.stream(prompt, max_tokens=6, timeout_s=60):
        text, last = text + delta.text, delta
    return text, last


def test_what_the_engine_reads_is_predicted_to_the_token() -> None:
    """With more conversations than slots, every report is the prediction, and every miss has a cause."""

    async def talk() -> list[Delta]:
        generator, histories, found = LlamaGenerator(slots=2), defaultdict[str, list[tuple[str, str]]](list), []
        for at, name in enumerate("ababcabcca"):
            prompt = msgspec.structs.replace(
                prompt_of(EVIDENCE, f"Question {at}?"),
                turns=tuple(histories[name]),
                evidence=(f"Fact {at}.",),
                session=name,
            )
            text, last = await last_of(generator, prompt)
            histories[name] += [("user", f"Question {at}?"), ("assistant", text)]
            found.append(last)
        await generator.aclose()
        return found

    replies = asyncio.run(talk())
    for reply in replies:
        assert reply.usage is not None
        assert reply.prediction is not None
        assert (reply.usage.cache_read, reply.usage.uncached) == (reply.prediction.read, reply.prediction.uncached)
    assert [r.prediction.miss.cause.value for r in replies if r.prediction and r.prediction.miss] == [
        "cold", "evicted", "evicted", "evicted",
    ]  # fmt: skip
    assert sum(bool(r.usage and r.usage.cache_write) for r in replies) == 1


def test_a_new_process_loads_the_prefix_and_a_damaged_file_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another generator reads the prefix from its file; a damaged one is said, computed again, and changes no reply."""

    async def one() -> tuple[str, Delta]:
        generator = LlamaGenerator(prefixes=tmp_path / "prefixes")
        found = await last_of(generator, prompt_of(EVIDENCE, "What is the window?"))
        await generator.aclose()
        return found

    def written_and_read(last: Delta) -> tuple[bool, bool]:
        assert last.usage is not None
        return bool(last.usage.cache_write), bool(last.usage.cache_read)

    first, last = asyncio.run(one())
    assert written_and_read(last) == (True, False)
    again, last = asyncio.run(one())
    assert (again, written_and_read(last)) == (first, (False, True))
    (file,) = (tmp_path / "prefixes").glob("*.slot")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    mended, last = asyncio.run(one())
    assert (mended, written_and_read(last)) == (first, (True, False))
    assert "is not used and is made again" in caplog.text


def one_reply(generator: Generator) -> str:
    """Return a reply of a few tokens."""

    async def ask() -> str:
        prompt = prompt_of(EVIDENCE[:1], "What is the window?")
        return "".join([delta.text async for delta in generator.stream(prompt, max_tokens=4, timeout_s=60)])

    return asyncio.run(ask())


def over_http(address: str, path: str, body: str | None = None) -> int:
    """Return the status of a request to an engine's socket, sent without a key."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        connection.sock.connect(address.removeprefix("unix://"))
        headers = {"Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, body, headers)
        return connection.getresponse().status


def listening_ports() -> set[int]:
    """Return the TCP ports that this process listens on."""
    own = {str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()}
    lines = [line.split() for file in ("tcp", "tcp6") for line in Path("/proc/net", file).read_text().splitlines()[1:]]
    return {int(f[1].rpartition(":")[2], 16) for f in lines if f[3] == "0A" and f"socket:[{f[9]}]" in own}


def test_no_other_process_reaches_the_local_model() -> None:
    """The engine listens on no port, and only its own user can open the folder of its socket, which goes with it."""
    before = listening_ports()
    generator = LlamaGenerator()
    assert one_reply(generator)
    assert listening_ports() == before
    socket_file = Path(generator._engine._address)
    assert socket_file.is_socket()
    assert stat.S_IMODE(socket_file.parent.stat().st_mode) == 0o700
    asyncio.run(generator.aclose())
    assert not socket_file.parent.exists()


def test_the_engine_refuses_who_has_no_key(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A request to the engine's socket without the key gets 401, and the key is never printed."""
    keys: list[str] = []

    def key(length: int) -> str:
        keys.append("k" * length)
        return keys[-1]

    monkeypatch.setattr(_engine.secrets, "token_urlsafe", key)
    generator = LlamaGenerator()
    assert one_reply(generator)
    address, body = generator._engine._address, '{"messages": [{"role": "user", "content": "hi"}]}'
    assert over_http(address, "/v1/chat/completions", body) == 401
    assert over_http(address, "/slots") == 401
    assert over_http(address, "/v1/models") == 401
    assert one_reply(generator)
    assert not any(keys[0] in text for text in (*capfd.readouterr(), repr(generator), repr(vars(generator))))


@pytest.mark.slow
def test_the_local_model_grows_by_nothing_per_conversation() -> None:
    """Six conversations with different evidence grow the process by less than a fiftieth."""

    async def growth() -> float:
        generator = LlamaGenerator()
        sizes = []
        for n in range(9):
            evidence = tuple(f"Shop {n}. {text}" for text in EVIDENCE[:6])
            prompt = prompt_of(evidence, "What is the window?")
            _ = [delta async for delta in generator.stream(prompt, max_tokens=2, timeout_s=60)]
            sizes.append(resident())
        return sizes[-1] / sizes[2]

    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    assert asyncio.run(growth()) < 1.02


def test_what_a_model_makes_up_is_not_shown(prepared: Path, tmp_path: Path) -> None:
    """With the local model, no reply states a number of days that the policies do not."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    cluster = Cluster(home, LLM="llama")
    try:
        server = cluster.server()
        for question in ("Until when can I return my order?", "and for opened boxes?"):
            history = [{"role": "user", "content": "What is your return window?"}] if question.startswith("and") else []
            reply = server.chat(question, history=history)
            assert any(step["task"] == "response_generation" for step in reply.made["steps"]), reply.made
            claims = {c for c in parbake_semantic.guard.claims(reply.text) if c.kind == "duration"}
            assert claims <= {
                parbake_semantic.guard.Claim("duration", "30"),
                parbake_semantic.guard.Claim("duration", "14"),
            }, reply.text
    finally:
        cluster.stop()


def test_the_local_model_tells_the_new_policy_in_a_conversation_that_had_the_old_one(
    prepared: Path, tmp_path: Path
) -> None:
    """After a change the reply states the new number, although an earlier reply of the conversation states the old."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    cluster = Cluster(home, LLM="llama")
    try:
        server = cluster.server()
        question = "Until when can I return my order?"
        before = server.chat(question).text
        assert "30 days" in before
        policy = server.client.get("/shop/policies/returns").json()
        facts = {**policy["facts"], "window_days": 17}
        body = {"title": policy["title"], "body": policy["body"], "facts": facts}
        assert server.client.put("/shop/policies/returns", json=body).status_code == 200
        history = [{"role": "user", "content": question}, {"role": "assistant", "content": before}]
        for again in (question, "And how many days do I have to send an order back?"):
            after = server.chat(again, history=history).text
            assert "17 days" in after, after
            assert "30 days" not in after
    finally:
        cluster.stop()


def test_without_its_provider_the_assistant_answers_by_its_rules(prepared: Path, tmp_path: Path) -> None:
    """If the provider cannot be reached, the reply is marked and quotes the policy; nothing shows the key."""
    home = tmp_path / "data"
    shutil.copytree(prepared, home)
    key = "sk-very-secret-key"
    cluster = Cluster(home, LLM="openai", OPENAI_API_KEY=key, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    try:
        server = cluster.server()
        body = {"messages": [{"role": "user", "content": "Until when can I return my order?"}]}
        response = server.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        assert "model_failed: unreachable" in response.json()["parbake"]["refusals"]
        assert "30 days" in response.json()["choices"][0]["message"]["content"]
        assert "secret" not in response.text
        server.stop()
        assert not [line for line in server.lines if "very-secret" in line]
    finally:
        cluster.stop()


def test_a_missing_key_is_said_before_anything_is_served(prepared: Path) -> None:
    """Without a key the server does not start, and the error names the variable."""
    environment = {**os.environ, "RETAIL_HOME": str(prepared), "LLM": "openai", "OPENAI_API_KEY": ""}
    command = [sys.executable, "-m", "parbake", "serve", "retail_assistant.compose:served", "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 1
    assert "OPENAI_API_KEY is not set" in done.stderr
    assert "Traceback" not in done.stderr
