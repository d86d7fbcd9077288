"""Every failure of a generator's stream is a ``ProviderError``, and none shows the key."""

import asyncio
import contextlib
import http.server
import json
import threading
import traceback

import pytest

import parbake as pb
from parbake.ports.usage import Usage
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.prompts import Block, Prompt

PROMPT = Prompt(blocks=(Block("rules", "Rules."),), evidence=("One.",), question="What now?")
KEY = "sk-very-secret"
DONE = b"data: [DONE]\n\n"


def stream(generator):
    """Return the deltas of a reply."""

    async def collect():
        return [delta async for delta in generator.stream(PROMPT, max_tokens=9, timeout_s=10)]

    return asyncio.run(collect())


class Engine:
    """A stand-in for the local engine that sends chunks and then returns or raises; every text is one token."""

    version = "0"

    def __init__(self, *chunks, error=None):
        self.chunks, self.error = chunks, error

    def chat(self, body, put):
        for chunk in self.chunks:
            put(chunk)
        if self.error:
            raise self.error

    def tokens(self, chat):
        return [1]

    def tokens_of_text(self, text, *, begins=True):
        return [1]


def local(*chunks, error=None):
    """Return the local generator over a stand-in engine."""
    generator = LlamaGenerator()
    generator._engine = Engine(*chunks, error=error)
    return generator


def said(text, **members):
    """Return a chunk with one choice."""
    return {"choices": [{"delta": {"content": text}, **members}]}


END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
MALFORMED = [
    "no object",
    5,
    ["no object"],
    {"choices": 5},
    {"choices": ["no object"]},
    {"choices": [{"delta": "no object"}]},
    {"choices": [{"delta": {"content": 5}}]},
]
STRANGE_USAGE = ["much", 5, [1], {"prompt_tokens": "7"}, {"prompt_tokens": True}, {"prompt_tokens_details": "none"}]


@pytest.mark.parametrize("chunk", [*MALFORMED, None], ids=repr)
def test_a_chunk_that_the_local_model_may_not_send_is_a_provider_error(chunk):
    """A chunk of any wrong shape ends the reply with an error that names the local model."""
    with pytest.raises(pb.errors.ProviderError, match="the local model") as caught:
        stream(local(said("a"), chunk, END))
    assert caught.value.field == "llama"


@pytest.mark.parametrize("error", ["too long", 5, ["too long"], None, {}, {"message": None}], ids=repr)
def test_an_error_of_any_shape_that_the_local_model_reports_is_a_provider_error(error):
    """The engine's error may be a text, an object or anything else; the reply ends with it."""
    with pytest.raises(pb.errors.ProviderError, match="the local model returned an error"):
        stream(local(said("a"), {"error": error}, END))


@pytest.mark.parametrize("error", [json.JSONDecodeError("Expecting value", "{", 0), TimeoutError("slow"), OSError()])
def test_whatever_the_engine_raises_is_a_provider_error(error):
    """Invalid JSON and a timeout in the engine are reported as a failure of the local model."""
    with pytest.raises(pb.errors.ProviderError, match="the local model failed"):
        stream(local(said("a"), error=error))


def test_a_local_reply_that_breaks_off_is_no_whole_reply():
    """A local stream that ends without a finish reason is an error."""
    with pytest.raises(pb.errors.ProviderError, match="the local model ended the stream"):
        stream(local(said("a")))


@pytest.mark.parametrize("usage", STRANGE_USAGE, ids=repr)
def test_usage_of_a_strange_shape_counts_as_not_reported(usage):
    """A malformed token count does not fail the reply; that count is ``None``."""
    deltas = stream(local(said("a"), END | {"usage": usage}))
    assert [delta.text for delta in deltas] == ["a", ""]
    assert deltas[-1].usage == Usage()


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt])
def test_what_ends_a_program_is_no_providers_error(kind):
    """Cancellation and ``KeyboardInterrupt`` pass through a generator unchanged."""
    with pytest.raises(kind):
        stream(local(said("a"), error=kind()))


def test_a_reader_who_leaves_ends_the_local_stream_without_an_error():
    """Closing the stream after its first chunk raises no error."""

    async def first():
        async with contextlib.aclosing(
            local(said("a"), said("b"), END).stream(PROMPT, max_tokens=9, timeout_s=5)
        ) as it:
            return (await anext(it)).text

    assert asyncio.run(first()) == "a"


@contextlib.contextmanager
def endpoint(*pieces, status=200, kind="text/event-stream", length=None):
    """Serve one reply to every request at a free loopback port; yield the base URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def event(data):
    """Return one server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def hosted(url, key=KEY):
    """Stream a reply from an endpoint, and close the client in the same loop."""
    generator = OpenAIGenerator(model="m", api_key=key, base_url=url)

    async def collect():
        try:
            return [delta async for delta in generator.stream(PROMPT, max_tokens=9, timeout_s=10)]
        finally:
            await generator.aclose()

    return asyncio.run(collect())


def failure(*pieces, key=KEY, **reply):
    """Return the text of a reply's ``ProviderError``, after checking that the key is nowhere in it."""
    with endpoint(*pieces, **reply) as url, pytest.raises(pb.errors.ProviderError, match="the provider") as caught:
        hosted(url, key)
    shown = "".join(traceback.format_exception(caught.value))
    assert key.strip() not in shown
    error = caught.value
    while error is not None:
        assert key.strip() not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert caught.value.field == "openai"
    assert caught.value.kind is not pb.errors.FailureKind.UNKNOWN
    return str(caught.value)


def test_a_hosted_reply_over_http_is_its_text_and_its_usage():
    """A well-formed stream gives its text and usage; chunks without choices are skipped."""
    usage = {"usage": {"prompt_tokens": 4, "completion_tokens": 1}}
    with endpoint(event(said("a")), event({"id": "x"}), event({"choices": None}), event(END | usage), DONE) as url:
        deltas = hosted(url)
    assert "".join(delta.text for delta in deltas) == "a"
    assert deltas[-1].usage == Usage(uncached=4, output=1)


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        *MALFORMED,
        {"error": {"message": f"no {KEY}"}},
        {"error": f"no {KEY}"},
        f"{KEY} {{".encode(),
        {"choices": [{"delta": KEY}]},
    ],
    ids=repr,
)
def test_a_malformed_event_of_an_endpoint_is_a_provider_error(data):
    """A malformed event ends the reply with an error that names the provider."""
    assert failure(event(said("a")), event(data), event(END), DONE)


@pytest.mark.parametrize("usage", STRANGE_USAGE, ids=repr)
def test_strange_usage_of_an_endpoint_counts_as_not_reported(usage):
    """Malformed usage of an endpoint does not fail the reply; the usage is empty."""
    with endpoint(event(said("a")), event(END | {"usage": usage}), DONE) as url:
        deltas = hosted(url)
    assert "".join(delta.text for delta in deltas) == "a"
    assert deltas[-1].usage == Usage()


@pytest.mark.parametrize(
    ("pieces", "reply"),
    [
        ((event(said("a")),), {"length": 9999}),
        ((event(said("a")),), {}),
        ((event(said("a")), b'data: {"choices": [{"del'), {}),
        ((b"<html>welcome</html>",), {"kind": "text/html"}),
        ((), {}),
        ((b"no",), {"status": 500, "kind": "text/plain"}),
        ((KEY.encode(),), {"status": 400, "kind": "text/plain"}),
    ],
)
def test_a_hosted_reply_that_breaks_off_or_is_none_is_a_provider_error(pieces, reply):
    """An early close, a reply that is not a stream, and an error status raise ``ProviderError``."""
    assert failure(*pieces, **reply)


@pytest.mark.parametrize("key", ["sk-very-secret\nx", "sk-very-secr\u00e9t"])
def test_a_key_that_cannot_be_sent_is_refused_at_once_and_not_shown(key):
    """A key that is not valid in an HTTP header is refused when it is read, and not shown."""
    with pytest.raises(pb.errors.ProviderError, match="OPENAI_API_KEY") as caught:
        OpenAIGenerator.from_environment({"OPENAI_API_KEY": key})
    assert caught.value.field == "OPENAI_API_KEY"
    assert "sk-very" not in "".join(traceback.format_exception(caught.value))
    assert OpenAIGenerator.from_environment({"OPENAI_API_KEY": f" {KEY}\n"})._client.secrets == (KEY,)


def test_a_caller_who_cancels_a_hosted_reply_is_cancelled():
    """Cancellation passes through the hosted generator unchanged."""

    async def cancelled(url):
        generator = OpenAIGenerator(model="m", api_key=KEY, base_url=url)
        try:
            async for _ in generator.stream(PROMPT, max_tokens=9, timeout_s=10):
                asyncio.current_task().cancel()
                await asyncio.sleep(0)
        finally:
            await generator.aclose()

    with endpoint(event(said("a")), event(END), DONE) as url, pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(url))
