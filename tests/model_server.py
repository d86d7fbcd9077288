"""A provider of models for tests: it answers both protocols, plainly and in streams, and counts what it is asked."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ModelServer:
    """Answers with what ``reply`` returns for the last message. Use it as a context manager.

    Attributes:
        asked: The bodies of the requests, with their headers under ``headers`` and their path under ``path``.
        reply: Returns the text of an answer, given the request.
        cut: Whether streams break off after their first piece.
        delay_s: How long an answer takes to begin, in seconds.
    """

    def __init__(self, reply=None):
        """Answer with the last message in capitals, unless told otherwise."""
        self.asked, self.cut, self.delay_s = [], False, 0.0
        self.reply = reply or (lambda body: text_of(body).upper())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.desk = self

    @property
    def url(self):
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        """Start to serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def text_of(body):
    """Return the text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        """List the models."""
        self._whole({"object": "list", "data": [{"id": "small", "object": "model"}]})

    def do_POST(self):
        """Answer a request."""
        desk = self.server.desk
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        desk.asked.append(body | {"headers": {k.lower(): v for k, v in self.headers.items()}, "path": self.path})
        time.sleep(desk.delay_s)
        if self.path == "/v1/embeddings":
            self._whole({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]})
            return
        made = desk.reply(body)
        speak = _openai if self.path == "/v1/chat/completions" else _anthropic
        whole, events = speak(made, body)
        if body.get("stream"):
            self._events(events, cut=desk.cut)
        else:
            self._whole(whole)

    def _whole(self, document):
        raw = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("x-ratelimit-remaining", "7")
        self.end_headers()
        self.wfile.write(raw)

    def _events(self, events, *, cut):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at, event in enumerate(events):
            if cut and at == 2:
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _openai(made, body):
    calls = made if isinstance(made, list) else None
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    message = {"role": "assistant", "content": None if calls else made} | ({"tool_calls": calls} if calls else {})
    finish = "tool_calls" if calls else "stop"
    whole = head | {"object": "chat.completion", "usage": usage,
                    "choices": [{"index": 0, "message": message, "finish_reason": finish}]}  # fmt: skip

    def chunk(delta, finish=None, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event(head | {"object": "chat.completion.chunk", "choices": [choice]} | more)

    pieces = [chunk({"role": "assistant", "content": ""})]
    if calls:
        pieces += [chunk({"tool_calls": [calls[0] | {"index": 0}]})]
    else:
        pieces += [chunk({"content": word + " "}) for word in made.split(" ")[:-1]] + [
            chunk({"content": made.split(" ")[-1]})
        ]
    pieces += [chunk({}, finish)]
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        pieces += [_event(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage})]
    return whole, [*pieces, b"data: [DONE]\n\n"]


def _anthropic(made, body):
    usage = {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 100}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    whole = head | {"content": [{"type": "text", "text": made}], "stop_reason": "end_turn", "usage": usage}
    start = head | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    return whole, [
        _event({"type": "message_start", "message": start}, "message_start"),
        _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
               "content_block_start"),
        _event({"type": "ping"}, "ping"),
        *(_event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}},
                 "content_block_delta") for part in (made[:3], made[3:])),
        _event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 4}}, "message_delta"),
        _event({"type": "message_stop"}, "message_stop"),
    ]  # fmt: skip


def _event(document, name=""):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(document).encode() + b"\n\n"
