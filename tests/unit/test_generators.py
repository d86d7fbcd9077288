"""What the generators send and read, with stand-ins for their engines."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import HANGS_S

import parbake as pb
import parbake_semantic.guard
from parbake.ports.usage import Usage
from parbake_llm.generators import _engine
from parbake_llm.generators._hosted.chat import messages, usage_of
from parbake_llm.generators._hosted.request import Attempt
from parbake_llm.generators.extractive import Extractive
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.prompts import Block, Exchange, Prompt, ToolCall
from parbake_semantic.guard import ungrounded

PROMPT = Prompt(
    blocks=(Block("rules", "Rules."), Block("policy", "Policies.", "policy")),
    turns=(("user", "hi"), ("assistant", "hello")),
    evidence=("One.", "Two."),
    question="What now?",
)
SENTENCES = st.sampled_from(
    ["Returns take 30 days.", "It costs €4.99.", "Until 3 May.", "Refunds follow.", "A discount of 5 % holds.", "Yes!"]
)


def ask(generator, prompt=PROMPT, *, timeout_s=5.0):
    """Return everything that a generator streams."""

    async def collect():
        return [delta async for delta in generator.stream(prompt, max_tokens=9, timeout_s=timeout_s)]

    return asyncio.run(collect())


def text_of(deltas):
    """Return the text of a stream."""
    return "".join(d.text for d in deltas)


@given(st.lists(st.lists(SENTENCES, min_size=1, max_size=3).map(" ".join), max_size=4), SENTENCES)
def test_extractive_never_states_a_claim_that_the_evidence_does_not(evidence, question):
    """For any question, each sentence of the reply is one of the evidence, so it adds no claim."""
    reply = text_of(ask(Extractive(), Prompt(evidence=tuple(evidence), question=question)))
    assert ungrounded(reply, evidence) == set()
    if evidence:
        assert all(sentence in " ".join(evidence) for sentence in parbake_semantic.guard.sentences(reply))


def test_extractive_quotes_what_shares_words_with_the_question_in_the_order_of_the_evidence():
    """The two best sentences are quoted in the order of the evidence, and the earlier one wins a tie."""
    evidence = ("Books ship on Mondays. Returns take 30 days.", "Gift cards never expire. A refund takes 5 days.")
    prompt = Prompt(evidence=evidence, question="How long does a refund of returns take?")
    assert Extractive().quote(prompt) == ["Returns take 30 days.", "A refund takes 5 days."]
    assert Extractive(sentences=1).quote(Prompt(evidence=evidence, question="?")) == ["Books ship on Mondays."]


def test_extractive_says_that_it_found_nothing():
    """Without evidence it replies with ``nothing`` and reports zero tokens."""
    deltas = ask(Extractive(nothing="Nothing."), Prompt(question="?"))
    assert text_of(deltas) == "Nothing. "
    assert deltas[-1].usage == Usage(uncached=0, output=0)


def test_a_prompt_goes_out_with_its_stable_part_first():
    """The messages are the blocks, then the conversation, then the question with its evidence."""
    assert messages(PROMPT) == [
        {"role": "system", "content": "Rules.\n\nPolicies."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "Evidence:\n- One.\n- Two.\n\nWhat now?"},
    ]
    assert messages(Prompt(question="?")) == [{"role": "user", "content": "?"}]


def test_the_rounds_of_tool_calls_follow_the_question():
    """Each round is what the model said with its calls, and then one result for each call."""
    call = ToolCall("c1", "price", '{"id": 1}')
    said, result = messages(Prompt(question="?", exchanges=(Exchange((call,), ("4.99",)),)))[-2:]
    assert said["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "price", "arguments": '{"id": 1}'}}
    ]
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "4.99"}


def test_a_round_without_a_result_for_each_call_is_refused():
    """A missing result is named before anything is sent."""
    call = ToolCall("c1", "price", "{}")
    with pytest.raises(pb.errors.ProviderError, match="1 calls and 0 results") as caught:
        messages(Prompt(question="?", exchanges=(Exchange((call,), ()),)))
    assert caught.value.field == "exchanges"


def test_usage_that_is_not_reported_is_none_and_not_zero():
    """Token counts that an engine leaves out are ``None``."""
    assert usage_of(None) == Usage()
    assert usage_of({"prompt_tokens": 3, "completion_tokens": 0}) == Usage(uncached=3, output=0)
    assert usage_of({"prompt_tokens_details": {"cached_tokens": 0}}).cache_read == 0


def test_usage_tells_what_was_read_from_a_cache_and_what_was_written_to_it():
    """The tokens of the prompt are divided into those read, those written, and the others."""
    details = {"cached_tokens": 5, "cache_write_tokens": 2}
    made = {"reasoning_tokens": 3}
    bill = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": details,
        "completion_tokens_details": made,
    }
    assert usage_of(bill) == Usage(uncached=3, output=4, cache_read=5, cache_write=2, reasoning=3)
    assert usage_of(bill).input == 10


class Engine:
    """A stand-in for the local engine that sends given chunks; every text is one token."""

    version = "0"

    def __init__(self, *chunks, error=None):
        self.chunks, self.error, self.bodies, self.stopped = chunks, error, [], False

    def chat(self, body, put):
        self.bodies.append(body)
        for chunk in self.chunks:
            self.stopped = put(chunk)
        if self.error:
            raise self.error

    def tokens(self, chat):
        return [1]

    def tokens_of_text(self, text, *, begins=True):
        return [1]

    def close(self):
        pass


def local(engine):
    """Return a generator over a stand-in engine."""
    generator = LlamaGenerator()
    generator._engine = engine
    return generator


def said(text, **members):
    """Return one chunk of a reply."""
    return {"choices": [{"delta": {"content": text}, **members}]}


def test_the_local_model_streams_and_reports_its_usage():
    """Chunks are read alone or in lists, empty ones are skipped, and usage comes last."""
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}
    engine = Engine(said("a"), [said(None), said("b")], {"choices": [], "usage": usage})
    deltas = ask(local(engine))
    assert text_of(deltas) == "ab"
    assert deltas[-1].usage == Usage(uncached=2, output=2, cache_read=5)
    assert engine.bodies[0]["cache_prompt"] is True
    assert engine.bodies[0]["max_tokens"] == 9


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        (Engine({"error": {"message": "too long"}}), "error: too long"),
        (Engine({"error": {"code": 1}}), "error: {'code': 1}"),
        (Engine(error=RuntimeError("broken")), "failed: broken"),
    ],
)
def test_a_failing_local_model_is_a_provider_error(engine, says):
    """An error that the engine reports or raises is a ``ProviderError`` with its message."""
    with pytest.raises(pb.errors.ProviderError, match="the local model") as caught:
        ask(local(engine))
    assert says in str(caught.value)
    assert caught.value.field == "llama"


def test_a_missing_engine_says_what_to_install(monkeypatch):
    """Without its package the local model raises ``MissingDependency``, which names the extra."""
    monkeypatch.setattr(_engine, "check_cpu", lambda: None)
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(pb.errors.MissingDependency, match=r"\.\[llama\]"):
        ask(LlamaGenerator())


@pytest.fixture
def loaded(monkeypatch):
    """Replace the engine's package; return the settings of every engine that is loaded."""
    found = []

    class Server:
        def __init__(self, params):
            assert Path(params.hostnames[0]).parent.is_dir() or params.hostnames == ["127.0.0.1"]
            self.listening_address = params.hostnames[0]
            found.append(params)

        def handle_chat_completions(self, body, put):
            put(said("x", finish_reason="stop"))

    def params():
        return SimpleNamespace(
            model=SimpleNamespace(path=""), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
        )

    monkeypatch.setattr(_engine, "check_cpu", lambda: None)
    monkeypatch.setattr(_engine.LlamaEngine, "tokens", lambda *_: [1])
    monkeypatch.setattr(_engine.LlamaEngine, "tokens_of_text", lambda *_, **__: [1])
    monkeypatch.setitem(sys.modules, "xllamacpp", SimpleNamespace(CommonParams=params, Server=Server))
    return found


def test_the_local_model_is_loaded_once_with_what_was_asked_for(loaded):
    """Path, threads and context reach the engine, which a second request reuses; each slot has the whole context."""
    generator = LlamaGenerator("/models/m.gguf", threads=3, context=99, slots=2)
    assert [text_of(ask(generator)) for _ in range(2)] == ["x", "x"]
    assert len(loaded) == 1
    assert (loaded[0].model.path, loaded[0].n_ctx, loaded[0].cpuparams.n_threads) == ("/models/m.gguf", 198, 3)


def test_the_local_model_uses_one_thread_and_keeps_no_old_prompts(loaded):
    """By default the engine gets one thread, and its cache of prompts is off."""
    ask(LlamaGenerator("/models/m.gguf"))
    assert (loaded[0].cpuparams.n_threads, loaded[0].cpuparams_batch.n_threads) == (1, 1)
    assert loaded[0].cache_ram_mib == 0


def test_each_engine_has_a_key_of_its_own_that_nothing_shows(loaded):
    """Every engine gets its own random key, which the generator does not show or hold."""
    generators = [LlamaGenerator("/models/m.gguf") for _ in range(2)]
    for generator in generators:
        ask(generator)
    (first,), (second,) = (params.api_keys for params in loaded)
    assert len(first) >= 32
    assert first != second
    assert first not in repr(generators[0])
    assert first not in repr(vars(generators[0]))


def test_the_engine_listens_in_a_folder_that_only_this_user_can_open_until_it_is_closed(loaded):
    """The engine listens on a Unix socket in a private folder, which is gone once the generator is closed."""
    generator = LlamaGenerator("/models/m.gguf")
    ask(generator)
    (address,) = loaded[0].hostnames
    assert address.endswith(".sock")
    assert Path(address).parent.stat().st_mode & 0o077 == 0
    asyncio.run(generator.aclose())
    assert not Path(address).parent.exists()


@pytest.mark.parametrize(("system", "folder"), [("posix", "/tmp/" + "x" * 100), ("nt", "/tmp/x")])
def test_where_no_such_socket_is_possible_the_engine_listens_on_loopback_with_its_key(system, folder):
    """If the socket's path is too long or the system has no such sockets, the engine listens on loopback."""
    assert _engine.listening_at(folder, system) == "127.0.0.1"


def test_a_local_model_that_does_not_finish_in_time_is_stopped():
    """After the timeout the request fails, and the engine stops at its next token."""

    class Slow(Engine):
        def chat(self, body, put):
            while not put(said("x")):
                pass
            self.stopped = True

    engine = Slow()
    with pytest.raises(pb.errors.ProviderError, match="did not finish within"):
        ask(local(engine), timeout_s=0.02)
    assert engine.stopped


@pytest.mark.parametrize(("flags", "runs"), [("flags : sse avx2 fma", True), ("flags : sse avx", False)])
def test_a_processor_without_avx2_is_refused_by_name(flags, runs, monkeypatch, tmp_path):
    """On x86_64 a processor without AVX2 raises ``MissingDependency``."""
    info = tmp_path / "cpuinfo"
    info.write_text(flags)
    monkeypatch.setattr(_engine, "Path", lambda _: info)
    monkeypatch.setattr(_engine.platform, "machine", lambda: "x86_64")
    if runs:
        _engine.check_cpu()
    else:
        with pytest.raises(pb.errors.MissingDependency, match="AVX2"):
            _engine.check_cpu()
    monkeypatch.setattr(_engine.platform, "machine", lambda: "aarch64")
    _engine.check_cpu()


@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_MODEL": "m"}])
def test_a_missing_key_is_named(environment):
    """Without a key the error names the variable to set."""
    with pytest.raises(pb.errors.ProviderError, match="OPENAI_API_KEY") as caught:
        OpenAIGenerator.from_environment(environment)
    assert caught.value.field == "OPENAI_API_KEY"


def test_a_key_comes_from_the_environment_or_a_file_and_is_never_shown(tmp_path):
    """The key is read from a variable or a file, and masked in texts and in ``repr``."""
    file = tmp_path / "key"
    file.write_text("sk-secret\n")
    for environment in ({"OPENAI_API_KEY": "sk-secret"}, {"OPENAI_API_KEY_FILE": str(file)}):
        generator = OpenAIGenerator.from_environment(environment)
        assert asyncio.run(key_of(generator)) == "sk-secret"
        assert "secret" not in repr(generator)
        with pytest.raises(pb.errors.ProviderError, match=r"failed with \*\*\*"):
            ask(over(Client(error=RuntimeError("failed with sk-secret")), generator))


async def key_of(generator):
    """Return the key that the generator's client sends."""
    return generator._client.here().api_key


class Client:
    """A stand-in for the client of the hosted engine."""

    def __init__(self, chunks=(), error=None):
        self.chat = SimpleNamespace(completions=self)
        self.chunks, self.error, self.asked = chunks, error, None

    async def create(self, **asked):
        self.asked = asked
        if self.error:
            raise self.error

        return self

    async def __aenter__(self):
        return self.stream()

    async def __aexit__(self, *_):
        pass

    async def stream(self):
        for chunk in self.chunks:
            yield chunk


def over(client, generator):
    """Return the generator with a stand-in client."""
    generator._client.here = lambda: client
    return generator


def hosted(client):
    """Return a generator over a stand-in client."""
    return over(client, OpenAIGenerator(model="m", api_key="sk-secret", base_url="http://example.invalid/v1"))


def test_a_hosted_model_streams_and_reports_its_usage():
    """The stream gives the text of each choice and the provider's usage."""
    usage = {"prompt_tokens": 4, "completion_tokens": 1}
    chunks = [said("hi"), said(None, finish_reason="stop"), {"choices": [], "usage": usage}]
    client = Client([SimpleNamespace(model_dump=lambda chunk=chunk, **_: chunk) for chunk in chunks])
    deltas = ask(hosted(client), timeout_s=900.0)
    assert [d.text for d in deltas] == ["hi", ""]
    assert deltas[-1].usage == Usage(uncached=4, output=1)
    assert client.asked["messages"] == messages(PROMPT)
    assert 900.0 - HANGS_S < client.asked["timeout"].read <= 900.0
    assert client.asked["timeout"].connect == 1.0


def test_a_hosted_models_failure_is_a_provider_error_without_the_key():
    """The provider's error message is passed on with the key masked."""
    import openai

    with pytest.raises(pb.errors.ProviderError, match=r"the provider failed: bad \*\*\*") as caught:
        ask(hosted(Client(error=openai.OpenAIError("bad sk-secret"))))
    assert caught.value.field == "openai"


def test_a_rejected_key_is_named():
    """If the provider rejects the key, the error names the variable."""
    import httpx
    import openai

    response = httpx.Response(401, request=httpx.Request("POST", "http://example.invalid"))
    error = openai.AuthenticationError("no sk-secret", response=response, body=None)
    with pytest.raises(pb.errors.ProviderError) as caught:
        ask(hosted(Client(error=error)))
    assert str(caught.value) == "the provider rejected OPENAI_API_KEY"


def test_the_client_is_opened_once_in_each_loop_and_does_not_retry_by_itself():
    """One client serves all requests of an event loop; only the generator retries, which knows the deadline."""
    generator = OpenAIGenerator(model="m", api_key="k", base_url="http://example.invalid/v1")

    async def opened():
        first = generator._client.here()
        assert generator._client.here() is first
        return first

    one, other = asyncio.run(opened()), asyncio.run(opened())
    assert one is not other
    assert one.max_retries == 0


def test_an_attempt_never_has_less_than_no_time():
    """After its end an attempt has 0 seconds left."""
    assert Attempt(-1.0).left() == 0.0
    assert 0.0 < Attempt(900.0).left() <= 900.0


def test_a_missing_client_says_what_to_install(monkeypatch):
    """Without its package the hosted model raises ``MissingDependency``, which names the extra."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(pb.errors.MissingDependency, match=r"\.\[openai\]"):
        ask(hosted(Client()))
