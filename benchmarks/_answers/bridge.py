"""Lets a reader stand in for a hosted model: each request becomes a file, and the reply is read from another one.

It speaks the OpenAI protocol on loopback. What all requests begin with, and the tools, are written once. A recording is
a file of JSON Lines with each request's digests and its reply; with one, a request is answered from it at once, and one
that it does not have gets status 503, which the assistant takes for a provider that fails. A reply is found by what the
customer has said and how often the model has looked something up. Where anything else differs from what the model read,
such as a tool's result that is worded anew, the reply is given all the same, and counted as diverged.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

POLL_S, PATIENCE_S = 0.2, 3_000.0
_MOMENT = re.compile(r"Today is [^.]{1,40}\.|\b\d{1,2} (?:November|December)\b")
_PAGE = re.compile(r"looks at the page of .{0,200}, asin (\w+)")


class Recorded(msgspec.Struct, frozen=True):
    """A reply: text, and calls as (name, arguments); ``turn`` says to what, ``request`` is a digest of all words."""

    turn: str
    request: str
    content: str = ""
    calls: list[tuple[str, dict[str, Any]]] = []


class Bridge:
    """Answers requests from a recording, or by a reader who looks into a folder."""

    def __init__(self, folder: Path | None = None, recording: Path | None = None) -> None:
        """Serve from ``recording``; what it lacks is asked for in ``folder`` and added to it, if there is a folder."""
        self._folder, self._recording = folder, recording
        self._known: dict[str, Recorded] = {}
        if recording is not None and recording.is_file():
            lines = recording.read_bytes().splitlines()
            self._known = {one.turn: one for one in (msgspec.json.decode(line, type=Recorded) for line in lines)}
        self._lock, self._asked = threading.Lock(), 0
        self.given = self.missed = self.diverged = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """What makes the assistant ask this bridge; a reader takes longer than a model."""
        slow = {"RETAIL_MODEL_S": "3000", "RETAIL_REPLY_S": "3600", "OPENAI_FIRST_S": "3000", "OPENAI_FAILURES": "1000"}
        patience = {"OPENAI_TRIES": "1"} if self._folder is None else slow
        asked = {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "no-secret-here", "OPENAI_MODEL": "recorded"}
        return {"LLM": "openai", **asked, **patience}

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def reply(self, body: dict[str, Any]) -> Recorded | None:
        """The reply to a request; ``None`` if nobody gives one."""
        name, exact = turn_of(body), digest(body)
        found = self._known.get(name)
        if found is not None:
            with self._lock:
                self.given += 1
                self.diverged += found.request != exact
            return found
        if self._folder is None:
            self.missed += 1
            return None
        found = self._ask(name, exact, body)
        if found is not None and self._recording is not None:
            with self._lock, self._recording.open("ab") as file:
                self._known[name] = found
                file.write(msgspec.json.encode(found) + b"\n")
        return found

    def _ask(self, name: str, exact: str, body: dict[str, Any]) -> Recorded | None:
        """Write a request for the reader, and wait for the reply."""
        folder = self._folder or Path()
        with self._lock:
            self._asked += 1
            number = f"{self._asked:04d}"
        first, *rest = body["messages"]
        shared = _written_once(folder, "prefix", str(first["content"]))
        tools = _written_once(folder, "tools", json.dumps(body.get("tools", []), indent=1))
        said = "\n\n".join(f"{one['role'].upper()}: {_told(one)}" for one in rest)
        (folder / f"{number}.txt").write_text(f"(begins with {shared}, may call {tools})\n\n{said}\n")
        answer, until = folder / f"{number}.reply.json", time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if answer.is_file():
                time.sleep(POLL_S)  # until it is written to its end
                found = json.loads(answer.read_text())
                calls = [(call["name"], call["arguments"]) for call in found.get("calls", [])]
                return Recorded(name, exact, found.get("content", ""), calls)
            time.sleep(POLL_S)
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                found = bridge.reply(body)
                if found is None:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for delta in _deltas(found):
                    chunk = {"id": "r", "object": "chat.completion.chunk", "created": 0, "model": "m", **delta}
                    self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the base class
                """Say nothing."""

        return Handler


def digest(body: dict[str, Any]) -> str:
    """What tells requests apart: their messages, whatever day it is, and tools."""
    return _short(_MOMENT.sub("", json.dumps([body["messages"], body.get("tools")], sort_keys=True)))


def turn_of(body: dict[str, Any]) -> str:
    """What a request replies to: the customer's words so far, the open page, and how many look-ups came before."""
    said = [str(one["content"]) for one in body["messages"] if one["role"] == "user"]
    words = [text.rpartition("\n\n")[2] for text in said]
    page = _PAGE.search(said[-1])
    rounds = sum(one["role"] == "assistant" and "tool_calls" in one for one in body["messages"])
    return _short(json.dumps([words, page[1] if page else "", rounds]))


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _written_once(folder: Path, kind: str, text: str) -> str:
    path = folder / f"{kind}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}.txt"
    if not path.exists():
        path.write_text(text)
    return path.name


def _told(message: dict[str, Any]) -> str:
    calls = "".join(
        f"\n  calls {call['function']['name']} {call['function']['arguments']}"
        for call in message.get("tool_calls") or ()
    )
    return f"{message.get('content') or ''}{calls}"


def _deltas(found: Recorded) -> list[dict[str, Any]]:
    delta: dict[str, Any] = {"role": "assistant", "content": found.content or None}
    if found.calls:
        delta["tool_calls"] = [
            {"index": at, "id": f"c{at}", "type": "function",
             "function": {"name": name, "arguments": json.dumps(arguments)}}
            for at, (name, arguments) in enumerate(found.calls)
        ]  # fmt: skip
    reason = "tool_calls" if found.calls else "stop"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"choices": [], "usage": usage},
    ]
