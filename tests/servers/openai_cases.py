"""What OpenAI's client does."""

import gzip
import json

from pydantic import BaseModel
from tests.servers.client_cases import LARGE, UNICODE, WAV, case, event_stream, leave, raw, retried

from provider_box import EchoReply

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "small"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "漢"}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
FILE = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a", "purpose": "batch",
        "status": "processed"}  # fmt: skip
BATCH = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h",
         "input_file_id": "file-1", "created_at": 1, "status": "in_progress"}  # fmt: skip
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "small", "output": [], "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto"}  # fmt: skip


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


def completion(content="hello", **message):
    """Return an answer."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content} | message}
    usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    return HEAD | {"object": "chat.completion", "choices": [choice], "usage": usage}


def chunks(*deltas, more=()):
    """Return an answer in pieces."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    made = [HEAD | {"object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    return event_stream(*made, *more, done=True)


def chat(client, text="hi", **options):
    """Ask for a completion."""
    messages = options.pop("messages", [{"role": "user", "content": text}])
    return client.chat.completions.create(model="small", messages=messages, **options)


def failing(status, **headers):
    """Return an error of the provider."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"message": f"wrong {UNICODE}", "type": "invalid_request_error", "param": "model", "code": "x"}
    return EchoReply({"error": error}, status, named)


def page(*documents, more=False):
    """Return a page of a list."""
    ids = {"first_id": documents[0]["id"], "last_id": documents[-1]["id"]}
    return {"object": "list", "data": list(documents), "has_more": more} | ids


STREAMED = chunks({"role": "assistant", "content": ""}, {"content": "hel"}, {"content": "lo 漢"})
USAGE = HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": completion()["usage"]}
RESULT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
          {"role": "tool", "tool_call_id": "c1", "content": "7"}]  # fmt: skip
ASKED = [
    case("chat", lambda c: chat(c, "how are answers made"), completion()),
    case("unicode", lambda c: chat(c, UNICODE), completion(UNICODE)),
    case("stream", lambda c: list(chat(c, "how are streams made", stream=True)), STREAMED),
    case("stream with usage",
         lambda c: list(chat(c, stream=True, stream_options={"include_usage": True})), chunks({"content": "a"},
         more=[USAGE])),
    case("tools", lambda c: chat(c, tools=[TOOL]), completion(None, tool_calls=[CALL])),
    case("streamed tools", lambda c: list(chat(c, tools=[TOOL], stream=True)),
         chunks({"tool_calls": [CALL | {"index": 0}]})),
    case("result of a tool", lambda c: chat(c, messages=RESULT), completion()),
    case("structured", lambda c: c.chat.completions.parse(
        model="small", messages=[{"role": "user", "content": "hi"}], response_format=Weather),
        completion('{"city": "Köln", "degrees": 7}')),
    case("image", lambda c: chat(c, messages=[{"role": "user", "content": [PIXEL, {"type": "text", "text": "?"}]}]),
         completion()),
    case("many images", lambda c: chat(c, messages=[{"role": "user", "content": [PIXEL | {"image_url": {
        "url": "data:image/png;base64," + "iVBORw0K" * 300_000}}]}]), completion()),
    case("odd numbers", lambda c: chat(c, seed=10**15, temperature=1e-7, logit_bias={"5": -100}), completion()),
    case("no content", lambda c: chat(c, "how is nothing said"), completion(None, refusal="no")),
    case("responses", lambda c: c.responses.create(model="small", input=UNICODE), RESPONSE),
    case("streamed responses", lambda c: list(c.responses.create(model="small", input="hi", stream=True)),
         event_stream({"type": "response.created", "sequence_number": 0, "response": RESPONSE}, named=True)),
    case("embeddings", lambda c: c.embeddings.create(model="e", input=["a", UNICODE]),
         {"object": "list", "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1},
          "data": [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}]}),
    case("moderation", lambda c: c.moderations.create(input="bad"), {"id": "m", "model": "m", "results": []}),
]  # fmt: skip
FILES = [
    case("upload", lambda c: c.files.create(file=("a.jsonl", b'{"cache": {}}\n'), purpose="batch"), FILE),
    case("upload of a name", lambda c: c.files.create(file=("ß 漢.bin", WAV), purpose="user_data"), FILE),
    case("large upload", lambda c: c.files.create(file=("a", LARGE), purpose="batch"), FILE),
    case("files", lambda c: list(c.files.list(limit=1)), page(FILE, more=True), page(FILE | {"id": "file-2"})),
    case("file", lambda c: c.files.retrieve("file-1"), FILE),
    case("content of a file", lambda c: c.files.content("file-1").read(),
         EchoReply(LARGE, headers={"content-type": "application/octet-stream"})),
    case("deleted file", lambda c: c.files.delete("file-1"), {"id": "file-1", "object": "file", "deleted": True}),
    case("batch", lambda c: c.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions",
         completion_window="24h", metadata={"a": UNICODE}), BATCH),
    case("batches", lambda c: list(c.batches.list(after="a b&c=漢/+%")), page(BATCH, more=True), page(BATCH)),
    case("cancelled batch", lambda c: c.batches.cancel("batch_1"), BATCH | {"status": "cancelling"}),
    case("models", lambda c: list(c.models.list()), page({"id": "a", "object": "model"})),
    case("model", lambda c: c.models.retrieve("ft:a/b c:漢%2e"), {"id": "a", "object": "model"}),
    case("deleted model", lambda c: c.models.delete("ft:a"), {"id": "a", "object": "model", "deleted": True}),
    case("transcription", lambda c: c.audio.transcriptions.create(model="w", file=("a.wav", WAV, "audio/wav")),
         {"text": UNICODE}),
    case("speech", lambda c: c.audio.speech.create(model="t", voice="v", input="hi").read(),
         EchoReply(pieces=[WAV, WAV], headers={"content-type": "audio/wav"})),
    case("edited image", lambda c: c.images.edit(model="i", prompt="p", image=[("a.png", WAV), ("b.png", LARGE)]),
         {"created": 1, "data": [{"b64_json": "AA=="}]}),
]  # fmt: skip
ANSWERS = [
    *[case(f"error {status}", chat, failing(status, x_request_id="r")) for status in (400, 401, 404, 409, 500, 529)],
    case("error 429", chat, failing(429, retry_after="7", x_ratelimit_remaining_requests="0")),
    case("retries", lambda c: raw(retried(c).chat.completions.with_raw_response.create(
        model="small", messages=RESULT)), failing(429, retry_after_ms="1"), failing(503, retry_after_ms="1"),
        completion()),
    case("error in a stream", lambda c: list(chat(c, stream=True)),
         event_stream(HEAD | {"choices": []}, {"error": {"message": "cut", "type": "server_error"}})),
    case("timeout", lambda c: chat(c.with_options(timeout=0.3)), EchoReply(is_silent=True)),
    case("cancelled stream", lambda c: leave(chat(c, "how are streams left", stream=True)),
         STREAMED._replace(pieces=STREAMED.pieces[:1], is_endless=True)),
    case("raw", lambda c: raw(c.chat.completions.with_raw_response.create(model="small", messages=RESULT)),
         EchoReply(completion(), headers={"x-request-id": "r", "openai-organization": "o", "X-A": "a, b"})),
    case("extras", lambda c: chat(c, extra_headers={"x-a": "1, 2", "OpenAI-Beta": "b"}, extra_query={"q": "a b&漢"},
         extra_body={"top_k": 5, "own": {"a": [None]}}), completion()),
    case("empty", lambda c: raw(c.with_raw_response.files.delete("f")), EchoReply(b"", 204, {"content-type": ""})),
    case("large answer", lambda c: chat(c, tools=[TOOL]), completion("漢字\n" * 500_000)),
    case("gzip", lambda c: chat(c, "how are answers packed"), EchoReply(gzip.compress(
        json.dumps(completion("packed")).encode()), headers={"content-encoding": "gzip"})),
]  # fmt: skip
CASES = [*ASKED, *FILES, *ANSWERS]
