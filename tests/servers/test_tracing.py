"""Traces and metrics of a real server, as a collector of OTLP receives them, and what goes along to providers."""

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.waiting import HANGS_S

from parbake.errors import ProviderError
from parbake.process.outgoing import adding
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import AwsAccount, BedrockGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.prompts import Prompt

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "tracing.md"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"
TOKEN, PERSON = "the-operators-token-0123456789", "ada.lovelace@example.org"


class Received(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted, and accepts it, or refuses it if the server says so."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.found.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


@contextlib.contextmanager
def receiving(status):
    """Run a server that answers every request with a status; yield it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Received) as server:
        server.found, server.status = [], status
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Serve the guide's app, ask it something, end it, and return the answers and what its collector has received."""
    folder = tmp_path_factory.mktemp("traced")
    code = re.search(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)[1]
    code = code.partition("with trace.")[0].replace("App(tasks, ", "App(tasks, open=['cart'], ")
    (folder / "shop.py").write_text(code)
    with receiving(200) as collector:
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        own = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PARBAKE_TOKEN": TOKEN, "PARBAKE_LOG_FORMAT": "json"}
        command = [sys.executable, "-m", "parbake", "serve", "shop:app", "--port", "0"]
        process = subprocess.Popen(command, cwd=folder, env=os.environ | own, stderr=subprocess.PIPE, text=True)
        url = f"http://127.0.0.1:{process.stderr.readline().rpartition(':')[2].strip()}"
        answers = asked(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANGS_S) == 0
        process.stderr.close()
    return answers, collector.found


def asked(url):
    """Ask for a value twice and publish an event, all with a token, a person in each place, and a trace."""
    headers = {"traceparent": PARENT, "authorization": f"Bearer {TOKEN}", "baggage": f"user={PERSON}"}
    event = {"specversion": "1.0", "id": "e1", "source": "s", "type": "cart.changed", "subject": f"cart/{PERSON}"}
    with httpx.Client(base_url=url, headers=headers, timeout=HANGS_S) as client:
        answers = [client.post(f"/v1/serve/total?who={PERSON}", json={"key": PERSON}) for _ in range(2)]
        answers.append(client.post("/v1/events", json=event))
        answers.append(client.get(f"/{PERSON}"))
    return answers


def spans_of(found):
    """Return the spans that a collector has received."""
    requests = [ExportTraceServiceRequest.FromString(body) for path, _, body in found if path == "/v1/traces"]
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_a_clients_trace_goes_on(exported):
    """Every span belongs to the client's trace; those of requests are children of the client's own span."""
    answers, found = exported
    assert [answer.status_code for answer in answers] == [200, 200, 202, 404]
    spans = spans_of(found)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    names = [span.name for span in spans]
    assert sorted(names) == sorted(
        ["POST /v1/serve/{task}"] * 2
        + ["serve total"] * 2
        + ["compute total", "POST /v1/events", "event", "apply", "GET"]
    )
    requests = [span for span in spans if span.parent_span_id.hex() == CALLER]
    assert sorted(span.name for span in requests) == ["GET", "POST /v1/events", *["POST /v1/serve/{task}"] * 2]


def test_nothing_that_is_exported_holds_a_token_or_a_person(exported):
    """Neither the token, nor a key, a query, a path, baggage or a tag is in anything that the collector receives."""
    _, found = exported
    sent = b"".join(body for _, _, body in found)
    assert TRACE.encode() not in sent  # it is binary, as the next line shows
    assert bytes.fromhex(TRACE) in sent
    assert TOKEN.encode() not in sent
    assert PERSON.encode() not in sent
    assert b"lovelace" not in sent


def test_the_metrics_of_the_server_arrive(exported):
    """The collector receives the figures of the requests: three answers of tasks and events, one of nothing."""
    _, found = exported
    last = [ExportMetricsServiceRequest.FromString(body) for path, _, body in found if path == "/v1/metrics"][-1]
    metrics = {
        metric.name: metric
        for resource in last.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    points = metrics["parbake_requests"].sum.data_points
    told = {tuple(sorted((a.key, a.value.string_value) for a in point.attributes)): point.as_double for point in points}
    assert told == {
        (("route", "/v1/serve/{task}"), ("status", "2xx")): 2.0,
        (("route", "/v1/events"), ("status", "2xx")): 1.0,
        (("route", "none"), ("status", "4xx")): 1.0,
    }
    assert metrics["parbake_build_info"].gauge.data_points[0].as_double == 1.0
    assert metrics["parbake_request_seconds_count"].sum.is_monotonic


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "bedrock"])
async def test_headers_go_along_to_each_provider(dialect):
    """What is added to calls is among the headers that a provider receives."""
    with receiving(500) as provider:
        url = f"http://127.0.0.1:{provider.server_port}"
        made = {
            "openai": lambda: OpenAIGenerator(model="m", api_key="key-0123", base_url=url),
            "anthropic": lambda: AnthropicGenerator(model="m", api_key="key-0123", base_url=url),
            "bedrock": lambda: BedrockGenerator(
                model="m", account=AwsAccount("eu-west-1", "key-0123", "secret"), endpoint_url=url
            ),
        }
        end = adding(lambda: {"traceparent": PARENT})
        try:
            async with contextlib.aclosing(made[dialect]()) as generator:
                with pytest.raises(ProviderError):
                    async for _ in generator.stream(Prompt(question="hi"), max_tokens=1, timeout_s=HANGS_S):
                        pass
        finally:
            end()
    assert {headers.get("traceparent") for _, headers, _ in provider.found} == {PARENT}
    assert json.loads(provider.found[0][2])
