"""When does the first sentence of a hosted model reach the customer, beside what the model itself takes for it?

A provider on loopback sends its first token after half a second, and then one every ten milliseconds. What the shop
adds is the time from the customer's request to the first content of the stream, without what the provider took until it
sent the end of the first line.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from _answers.shop import prepared
from _report import Goal, percentile, report
from _shop import KEY, serving

FIRST_S, TOKEN_S = 0.5, 0.01
REPLY = "~ I'm sorry that you are feeling low.\n+ returns#return-window.1\n~ I hope that it helps.\n"
QUESTION = "Tell me something about that, would you?"
MOST_MS = 50.0


class Slow:
    """A model that takes its time; notes how long each request took until its first line was sent."""

    def __init__(self) -> None:
        """Serve on a free port."""
        self.took: list[float] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        took = self.took

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                started = time.perf_counter()
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                time.sleep(FIRST_S)
                is_first = True
                for token in (*_tokens(), ""):
                    choice = {"index": 0, "delta": {"content": token}, "finish_reason": None if token else "stop"}
                    chunk = {"id": "r", "created": 0, "model": "m", "choices": [choice]}
                    if is_first and "\n" in token:
                        took.append(time.perf_counter() - started)
                        is_first = False
                    self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                    time.sleep(TOKEN_S)
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the base class
                """Say nothing."""

        return Handler


def _tokens() -> Iterator[str]:
    for line in REPLY.splitlines():
        words = line.split(" ")
        yield from (("" if not n else " ") + word for n, word in enumerate(words))
        yield "\n"


def first(address: str) -> float:
    """The seconds from a request to the first content of its stream."""
    connection = http.client.HTTPConnection(address.partition("//")[2], timeout=30)
    with contextlib.closing(connection):
        body = json.dumps({"messages": [{"role": "user", "content": QUESTION}], "stream": True})
        started = time.perf_counter()
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        for line in response:
            if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                found = time.perf_counter() - started
                response.read()
                return found
    raise SystemExit("the stream had no content")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20, help="how many requests (20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, contextlib.closing(Slow()) as model:
        prepared(Path(home))
        settings = {"OPENAI_API_KEY": "no-secret", "OPENAI_BASE_URL": model.url, "OPENAI_MODEL": "slow"}
        with serving(home, LLM="openai", **settings) as (_, address):
            first(address)
            model.took.clear()
            shown = [first(address) for _ in range(options.requests)]
    added = sorted((seen - took) * 1e3 for seen, took in zip(shown, model.took, strict=True))
    p50, p99 = percentile(added, 50), percentile(added, 99)
    rows = [
        ["first content, s", round(percentile(sorted(shown), 50), 3)],
        ["what the model took, s", round(percentile(sorted(model.took), 50), 3)],
        ["added by the shop, p50 ms", round(p50, 1)],
        ["added by the shop, p99 ms", round(p99, 1)],
    ]
    goal = Goal("added to the model's own time, p50", p50, "ms", f"<= {MOST_MS:.0f}", p50 <= MOST_MS)
    figures = {"first_s": percentile(sorted(shown), 50), "added_p50_ms": p50, "added_p99_ms": p99}
    report("first_sentence", ["what", "value"], rows, figures=figures, goals=[goal])


if __name__ == "__main__":
    main()
