"""What Anthropic's client does."""

import gzip
import json

from pydantic import BaseModel
from tests.servers.client_cases import LARGE, UNICODE, WAV, case, event_stream, leave, raw, retried

from provider_box import EchoReply

USAGE = {"input_tokens": 2, "output_tokens": 1}
HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "small", "stop_sequence": None}
CALL = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "漢"}}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
ASKS = [{"role": "user", "content": "hi"}]
SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
DOCUMENT = {"type": "document", "source": SOURCE | {"media_type": "application/pdf"}}
FILE = {"id": "file_1", "type": "file", "filename": "a", "mime_type": "text/plain", "size_bytes": 3,
        "created_at": "2026-01-01T00:00:00Z"}  # fmt: skip
BATCH = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "archived_at": None,
         "cancel_initiated_at": None, "created_at": "2026-01-01T00:00:00Z", "ended_at": None,
         "expires_at": "2026-01-02T00:00:00Z", "results_url": "/v1/messages/batches/msgbatch_1/results",
         "request_counts": {"canceled": 0, "errored": 0, "expired": 0, "processing": 0, "succeeded": 1}}  # fmt: skip
MODEL = {"id": "small", "type": "model", "display_name": "Small", "created_at": "2026-01-01T00:00:00Z"}


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


def message(*content, text="hello", stop="end_turn"):
    """Return an answer."""
    return HEAD | {"content": list(content) or [{"type": "text", "text": text}], "stop_reason": stop, "usage": USAGE}


def events(begin, *deltas):
    """Return an answer of one block in events."""
    start = HEAD | {"content": [], "stop_reason": None, "usage": USAGE}
    return event_stream(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": begin},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
        {"type": "message_stop"},
        named=True,
    )


def ask(client, text="hi", **options):
    """Ask for a message."""
    messages = options.pop("messages", [{"role": "user", "content": text}])
    return client.messages.create(model="small", max_tokens=9, messages=messages, **options)


def helped(client, text, **options):
    """Use the client's own reader of a stream."""
    asks = [{"role": "user", "content": text}]
    with client.messages.stream(model="small", max_tokens=9, messages=asks, **options) as stream:
        return [*stream.text_stream, stream.get_final_message()]


def failing(status, kind="invalid_request_error", **headers):
    """Return an error of the provider."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"type": kind, "message": f"wrong {UNICODE}"}
    return EchoReply({"type": "error", "error": error, "request_id": "r"}, status, named)


def page(*documents, more=False):
    """Return a page of a list."""
    ids = {"first_id": documents[0]["id"], "last_id": documents[-1]["id"]}
    return {"data": list(documents), "has_more": more} | ids


TEXT = {"type": "text", "text": ""}
STREAMED = events(TEXT, {"type": "text_delta", "text": "hel"}, {"type": "text_delta", "text": "lo 漢"})
RESULT = [*ASKS, {"role": "assistant", "content": [CALL]},
          {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "7"}]}]  # fmt: skip
SYSTEM = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
THINKING = {"type": "enabled", "budget_tokens": 1024}
ASKED = [
    case("message", lambda c: ask(c, "how are answers made"), message()),
    case("unicode", lambda c: ask(c, UNICODE), message(text=UNICODE)),
    case("stream", lambda c: list(ask(c, "how are streams made", stream=True)), STREAMED),
    case("stream of the client's reader", lambda c: helped(c, "how are streams read"), STREAMED),
    case("tools", lambda c: ask(c, tools=[TOOL]), message(CALL, stop="tool_use")),
    case("streamed tools", lambda c: list(ask(c, tools=[TOOL], stream=True)),
         events(CALL | {"input": {}}, {"type": "input_json_delta", "partial_json": '{"at": "漢"}'})),
    case("result of a tool", lambda c: ask(c, messages=RESULT), message()),
    case("structured", lambda c: c.messages.parse(model="small", max_tokens=9, messages=ASKS, output_format=Weather),
         message(text='{"city": "Köln", "degrees": 7}')),
    case("image", lambda c: ask(c, messages=[{"role": "user", "content": [{"type": "image", "source": SOURCE}]}]),
         message()),
    case("document", lambda c: ask(c, messages=[{"role": "user", "content": [DOCUMENT]}]), message()),
    case("large image", lambda c: ask(c, messages=[{"role": "user", "content": [
        {"type": "image", "source": SOURCE | {"data": "iVBORw0K" * 300_000}}]}]), message()),
    case("system", lambda c: ask(c, "how is a system asked", system=SYSTEM, metadata={"user_id": "u"}), message()),
    case("thinking", lambda c: ask(c, thinking=THINKING), message(
        {"type": "thinking", "thinking": "hm", "signature": "s"}, TEXT)),
    case("streamed thinking", lambda c: list(ask(c, thinking=THINKING, stream=True)), events(
        {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "s"})),
    case("beta", lambda c: c.beta.messages.create(model="small", max_tokens=9, messages=ASKS, betas=["a", "b"]),
         message()),
    case("tokens", lambda c: c.messages.count_tokens(model="small", messages=ASKS), {"input_tokens": 7}),
    case("tokens of tools", lambda c: c.messages.count_tokens(model="small", messages=RESULT, tools=[TOOL],
         system=SYSTEM), {"input_tokens": 9}),
]  # fmt: skip
REQUEST = {"custom_id": "a", "params": {"model": "small", "max_tokens": 9, "messages": ASKS}}
LINE = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": message()}}).encode() + b"\n"
FILES = [
    case("batch", lambda c: c.messages.batches.create(requests=[REQUEST]), BATCH),
    case("batches", lambda c: list(c.messages.batches.list(limit=1)), page(BATCH, more=True), page(BATCH)),
    case("one batch", lambda c: c.messages.batches.retrieve("msgbatch_1"), BATCH),
    case("cancelled batch", lambda c: c.messages.batches.cancel("msgbatch_1"), BATCH),
    case("deleted batch", lambda c: c.messages.batches.delete("msgbatch_1"),
         {"id": "msgbatch_1", "type": "message_batch_deleted"}),
    case("results", lambda c: list(c.messages.batches.results("msgbatch_1")), BATCH,
         EchoReply(pieces=[LINE[:9], LINE[9:] + LINE], headers={"content-type": "application/x-jsonl"})),
    case("models", lambda c: list(c.models.list(after_id="a b&c=漢/+%")), page(MODEL, more=True), page(MODEL)),
    case("model", lambda c: c.models.retrieve("a/b c:漢%2e"), MODEL),
    case("upload", lambda c: c.beta.files.upload(file=("a.txt", b'{"cache": {}}', "text/plain")), FILE),
    case("upload of a name", lambda c: c.beta.files.upload(file=("ß 漢.bin", WAV)), FILE),
    case("large upload", lambda c: c.beta.files.upload(file=("a", LARGE)), FILE),
    case("files", lambda c: list(c.beta.files.list()), page(FILE)),
    case("file", lambda c: c.beta.files.retrieve_metadata("file_1"), FILE),
    case("content of a file", lambda c: c.beta.files.download("file_1").read(),
         EchoReply(LARGE, headers={"content-type": "application/octet-stream"})),
    case("deleted file", lambda c: c.beta.files.delete("file_1"), {"id": "file_1", "type": "file_deleted"}),
]  # fmt: skip
ANSWERS = [
    *[case(f"error {status}", ask, failing(status, request_id="r")) for status in (400, 401, 404, 409, 500)],
    case("error 429", ask, failing(429, "rate_limit_error", retry_after="7", anthropic_ratelimit_tokens_limit="5")),
    case("error 529", ask, failing(529, "overloaded_error", x_should_retry="false")),
    case("retries", lambda c: ask(retried(c)), failing(529, retry_after_ms="1"), failing(500, retry_after_ms="1"),
         message()),
    case("error in a stream", lambda c: list(ask(c, stream=True)), event_stream(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, named=True)),
    case("timeout", lambda c: ask(c.with_options(timeout=0.3)), EchoReply(is_silent=True)),
    case("cancelled stream", lambda c: leave(ask(c, "how are streams left", stream=True)),
         STREAMED._replace(pieces=STREAMED.pieces[:2], is_endless=True)),
    case("raw", lambda c: raw(c.messages.with_raw_response.create(model="small", max_tokens=9, messages=RESULT)),
         EchoReply(message(), headers={"request-id": "r", "anthropic-organization-id": "o", "X-A": "a, b"})),
    case("extras", lambda c: ask(c, extra_headers={"x-a": "1, 2", "anthropic-beta": "b"},
         extra_query={"q": "a b&漢"}, extra_body={"top_k": 5, "own": {"a": [None]}}), message()),
    case("empty", lambda c: raw(c.beta.files.with_raw_response.delete("f")), EchoReply(b"", 204, {"content-type": ""})),
    case("large answer", lambda c: ask(c, tools=[TOOL]), message(text="漢字\n" * 500_000)),
    case("gzip", lambda c: ask(c, "how are answers packed"), EchoReply(gzip.compress(
        json.dumps(message(text="packed")).encode()), headers={"content-encoding": "gzip"})),
]  # fmt: skip
CASES = [*ASKED, *FILES, *ANSWERS]
