"""The plugin OpenTelemetry: spans of requests and events, trace ids in the log, and metrics, with the real SDK."""

import asyncio
import logging
import re
import time
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.adapters.webhook import WebhookSink
from parbake.cli.support.log_lines import JsonLines
from parbake.contrib.opentelemetry import OpenTelemetry, TraceIds, event_spans
from parbake.contrib.opentelemetry.instruments import Instruments
from parbake.http import HttpApp, Response
from parbake.ports.alerts import Alert
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.usage import Usage
from parbake.process.outgoing import along
from parbake.testing import FakeClock
from parbake_planner import Ledger

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-{CALLER}-{flag}" for flag in ("01", "00"))
SECRET = "ada-lovelace"
EVENT = {"specversion": "1.0", "id": "e1", "source": "s", "type": "fact.changed", "subject": "fact/a"}


class Scripted:
    """A generator that writes one reply, or fails."""

    name, model, provider = "scripted", "small-1", "nobody"

    def __init__(self):
        self.error, self.went_along = None, None

    async def stream(self, prompt, *, max_tokens, timeout_s):
        """Yield a text and the usage."""
        self.went_along = along()
        if self.error is not None:
            raise self.error
        yield SimpleNamespace(text=prompt, usage=None)
        yield SimpleNamespace(text="", usage=Usage(uncached=3, cache_read=4, output=5))


class Traced:
    """An app with the plugin, and what was exported."""

    def __init__(self, world, **settings):
        self.exporter, self.reader, self.generator = InMemorySpanExporter(), InMemoryMetricReader(), Scripted()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.plugin = OpenTelemetry(tracer_provider=provider, meter_provider=meters, **settings)
        self.tracer = provider.get_tracer("a caller")
        self.tasks = pb.Registry()
        self.fact = self._declare()
        resources = {Scripted: self.generator}
        self.app = world.app(self.tasks, plugins=[self.plugin], resources=resources, clock=FakeClock(time.time()))

    def _declare(self):
        @self.tasks.artifact(**contract())
        def fact(key: str, *, facts: pb.Source[Facts]) -> str:
            found = facts.get(key) or ""
            if found == "bad":
                raise ValueError(f"{SECRET} is bad")
            return found

        @self.tasks.live(why="needs the words")
        async def length(words: pb.Live[list[str]]) -> int:
            return len(words)

        @self.tasks.refine(fact, budget="1h")
        async def finer(base: pb.Served[str], *, words: pb.Live[str], llm: pb.Resource[Scripted]) -> str:
            pieces = [piece.text async for piece in llm.stream(words, max_tokens=9, timeout_s=9.0)]
            return "".join(pieces)

        return fact

    def named(self):
        """Return the finished spans by name; those of one name must not differ in what a test looks at."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def said(self):
        """Return everything that the spans hold, as one text."""
        return "\n".join(span.to_json() for span in self.exporter.get_finished_spans())


@pytest.fixture
async def traced(world):
    """Return a traced app."""
    world.put("a", "one")
    world.put("poor", "bad")
    found = Traced(world)
    await found.app.drain()
    found.exporter.clear()
    yield found
    await found.app.close()


@pytest.fixture
async def client(traced):
    """Return a client of the app over HTTP."""
    transport = httpx.ASGITransport(HttpApp(traced.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_a_request_has_a_span_in_the_callers_trace(traced, client):
    """The request's span continues ``traceparent``, is named by its route, and has the status and the request's id."""
    answer = await client.post("/v1/serve/fact?x=1", json={"key": "a"}, headers={"traceparent": SAMPLED})
    span = traced.named()["POST /v1/serve/{task}"]
    assert (span.kind, format_trace_id(span.context.trace_id)) == (SpanKind.SERVER, TRACE)
    assert format(span.parent.span_id, "016x") == CALLER
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/serve/{task}",
        "http.response.status_code": 200,
        "parbake.request": answer.headers["x-request-id"],
    }


async def test_what_happens_in_a_request_are_children_of_its_span(traced, client):
    """A computed value has a span for the computation and one for the read; a stored one has that of the read alone."""
    await client.post("/v1/serve/fact", json={"key": "a"})
    spans = traced.named()
    of = spans["POST /v1/serve/{task}"].context.span_id
    assert spans["serve fact"].parent.span_id == spans["compute fact"].parent.span_id == of
    assert dict(spans["compute fact"].attributes) == {
        "parbake.task": "fact", "parbake.lane": "realtime", "parbake.keys": 1, "parbake.outcome": "stored",
    }  # fmt: skip
    traced.exporter.clear()
    await client.post("/v1/serve/fact", json={"key": "a"})
    assert traced.named().keys() == {"POST /v1/serve/{task}", "serve fact"}
    served = traced.named()["serve fact"].attributes
    assert (served["parbake.verdict"], served["parbake.sla_s"], served["parbake.stamp"]) == ("fresh", 3600.0, 2)


async def test_a_request_that_is_not_sampled_has_no_span(traced, client):
    """If the caller's trace is not sampled, nothing is exported, and calls to other systems carry that on."""
    await client.post("/v1/serve/finer", json={"key": "a", "live": {"words": "hi"}}, headers={"traceparent": UNSAMPLED})
    assert traced.exporter.get_finished_spans() == ()
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", traced.generator.went_along["traceparent"])


async def test_what_is_not_drawn_is_not_asked_about(world):
    """With a share of 0, requests and events have spans only if they have a trace already."""
    traced = Traced(world, share=0)
    transport = httpx.ASGITransport(HttpApp(traced.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        world.put("a", "one")
        await traced.app.drain()
        await client.post("/v1/serve/fact", json={"key": "a"})
        assert traced.exporter.get_finished_spans() == ()
        await client.post("/v1/events", json={**EVENT, "traceparent": SAMPLED})
        assert traced.named().keys() == {"event", "apply"}
        await client.post("/v1/serve/fact", json={"key": "a"}, headers={"traceparent": SAMPLED})
        assert "serve fact" in traced.named()
    await traced.app.close()


@pytest.mark.parametrize("share", [-0.1, 1.5, True, "1", float("nan")])
def test_a_share_is_a_number_from_0_to_1(share):
    """Anything else is refused with the name of the setting."""
    with pytest.raises(pb.BadInput, match=r"share=.* must be a number from 0 to 1"):
        OpenTelemetry(share=share)


async def test_probes_and_scrapes_are_not_traced(traced, client):
    """Health, readiness and metrics have no spans."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await client.get(path)).status_code == 200
    assert traced.exporter.get_finished_spans() == ()


async def test_a_failure_is_an_error_without_its_text(traced, client):
    """A task that raises makes the request's span an error; no span holds a key or what the exception said."""
    assert (await client.post("/v1/serve/fact", json={"key": "poor"})).status_code == 503
    spans = traced.named()
    assert spans["POST /v1/serve/{task}"].status.status_code is StatusCode.ERROR
    assert spans["POST /v1/serve/{task}"].attributes["error.type"] == "503"
    assert spans["compute fact"].attributes["parbake.outcome"] == "failed"
    assert all(not span.events for span in spans.values())
    assert SECRET not in traced.said()
    assert '"poor"' not in traced.said()


async def test_an_unknown_path_has_no_route(traced, client):
    """A request for nothing is named by its method alone: its path could hold anything."""
    assert (await client.get(f"/{SECRET}")).status_code == 404
    assert traced.named().keys() == {"GET"}
    assert SECRET not in traced.said()


async def test_live_tasks_and_refines_have_spans(traced, client):
    """A live task is served by a computation; a refine names the lane of its base, and causes are told."""
    await client.post("/v1/serve/length", json={"live": {"words": [SECRET]}})
    await client.post("/v1/serve/finer", json={"key": "a", "live": {"words": SECRET}})
    spans = traced.named()
    assert spans["compute length"].attributes["parbake.outcome"] == "returned"
    assert spans["serve length"].attributes["parbake.lane"] == "realtime"
    assert spans["serve finer"].attributes["parbake.over"] == "realtime"
    assert SECRET not in traced.said()


async def test_a_generators_call_has_a_span(traced, client):
    """A call has the model and its tokens, belongs to the computation, and its own id goes along with the call."""
    await client.post("/v1/serve/finer", json={"key": "a", "live": {"words": "hi"}})
    spans = traced.named()
    call = spans["chat small-1"]
    assert (call.kind, call.parent.span_id) == (SpanKind.CLIENT, spans["compute finer"].context.span_id)
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "nobody",
        "gen_ai.request.model": "small-1",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "parbake.task": "finer",
        "parbake.lane": "realtime",
    }
    assert traced.generator.went_along["traceparent"].split("-")[2] == format(call.context.span_id, "016x")


async def test_a_call_that_fails_is_an_error_without_its_text(traced, client):
    """A generator that raises makes its span an error with the class of the exception."""
    traced.generator.error = RuntimeError(SECRET)
    await client.post("/v1/serve/finer", json={"key": "a", "live": {"words": "hi"}})
    call = traced.named()["chat small-1"]
    assert (call.status.status_code, call.attributes["error.type"]) == (StatusCode.ERROR, "RuntimeError")
    assert SECRET not in traced.said()


async def test_work_outside_of_a_trace_has_no_span(traced):
    """What a program serves outside of any span makes none."""
    await traced.app.serve(traced.fact, "a")
    assert traced.exporter.get_finished_spans() == ()


async def test_the_spans_of_a_program_are_continued(traced):
    """What a program serves within a span of its own belongs to that span, also from a shared computation."""
    with traced.tracer.start_as_current_span("program") as own:
        await traced.app.serve(traced.fact, "a")
    spans = traced.named()
    assert spans["compute fact"].parent.span_id == spans["serve fact"].parent.span_id == own.get_span_context().span_id


async def test_an_event_is_traced_from_commit_to_fresh(traced, world):
    """A row of a real outbox has a span from its own time on, and a child for the wait, the commit, and the refresh."""
    await traced.app.serve(traced.fact, "a")
    before = time.time_ns()
    world.put("a", "two")
    await traced.app.drain()
    await traced.app.engine.events.step()
    assert (await traced.app.serve(traced.fact, "a")).lane == "event"
    spans = traced.named()
    event = spans["event"]
    assert before <= event.start_time <= spans["outbox"].end_time == spans["apply"].start_time <= event.end_time
    parents = {name: span.parent.span_id for name, span in spans.items() if span.parent}
    of = event.context.span_id
    assert parents == {
        "outbox": of, "apply": of, "refresh fact": of, "compute fact": spans["refresh fact"].context.span_id,
    }  # fmt: skip
    assert {span.context.trace_id for span in spans.values()} == {event.context.trace_id}
    assert spans["refresh fact"].attributes["parbake.outcome"] == "fresh"
    assert event.attributes["parbake.families"] == ("fact",)
    assert "fact/a" not in traced.said()


async def test_a_refresh_that_fails_is_an_error(traced, world):
    """The refresh of a value that cannot be computed any more has an error, and so has its computation."""
    world.put("x", "one")
    await traced.app.drain()
    await traced.app.serve(traced.fact, "x")
    traced.exporter.clear()
    world.put("x", "bad")
    await traced.app.drain()
    await traced.app.engine.events.step()
    refresh = traced.named()["refresh fact"]
    assert (refresh.status.status_code, refresh.attributes["parbake.outcome"]) == (StatusCode.ERROR, "failed")


async def test_an_event_over_http_goes_on_in_its_publishers_trace(traced, client):
    """An event with ``traceparent`` belongs to that trace, and its span links to the request that brought it."""
    await client.post("/v1/events", json={**EVENT, "traceparent": SAMPLED})
    spans = traced.named()
    assert format_trace_id(spans["event"].context.trace_id) == TRACE
    assert [link.context.span_id for link in spans["event"].links] == [spans["POST /v1/events"].context.span_id]
    assert spans["event"].attributes["cloudevents.event_id"] == "e1"


@pytest.mark.parametrize("given", [{}, {"ce-traceparent": "nonsense"}])
async def test_an_event_without_a_trace_belongs_to_the_request_that_brought_it(traced, client, given):
    """In binary mode, an event without a trace that can be read is a child of the request."""
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | given
    assert (await client.post("/v1/events", headers=headers)).status_code == 202
    spans = traced.named()
    assert spans["event"].parent.span_id == spans["POST /v1/events"].context.span_id


async def test_events_that_were_applied_before_have_no_span(traced, world):
    """A second process that reads the same rows, or a commit that fails, exports no span of an event."""
    engine = traced.app.engine
    world.put("a", "two")
    engine.store.apply, apply = fails, engine.store.apply
    with pytest.raises(OSError, match="no space"):
        await traced.app.publish(CloudEvent("1", "s", "fact.changed", "fact/a"))
    engine.store.apply = apply
    assert traced.exporter.get_finished_spans() == ()
    event = CloudEvent("1", "s", "fact.changed", "fact/a")
    await asyncio.gather(traced.app.publish(event), traced.app.drain())
    assert sum(span.name == "event" for span in traced.exporter.get_finished_spans()) == 2


async def fails(*_, **__):
    """Fail as a full disk does."""
    raise OSError("no space")


async def test_a_flood_of_events_is_traced_in_part(traced, world, monkeypatch):
    """Of one commit, only so many events are traced."""
    monkeypatch.setattr(event_spans, "MOST", 3)
    for number in range(5):
        world.put(f"k{number}", "v")
    await traced.app.drain()
    assert sum(span.name == "event" for span in traced.exporter.get_finished_spans()) == 3


class Lines(logging.Handler):
    """Keeps the lines that a collector of logs would get."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.setFormatter(JsonLines())
        self.addFilter(TraceIds())

    def emit(self, record):
        """Keep a line."""
        self.found.append(msgspec.json.decode(self.format(record)))


@pytest.fixture
def lines():
    """Return the lines of the log."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.found
    logging.getLogger().removeHandler(handler)


async def test_lines_of_the_log_name_request_event_and_trace(traced, client, lines):
    """A line that a request logs has its id, which the client may have chosen, that of its event, and its trace."""
    headers = {"x-request-id": "client-7", "traceparent": SAMPLED}
    answer = await client.post("/v1/serve/fact", json={"key": "poor"}, headers=headers)
    assert answer.headers["x-request-id"] == "client-7"
    assert "under request client-7" in answer.json()["detail"]
    (line,) = [line for line in lines if line["message"].startswith("request client-7")]
    assert (line["request"], line["trace_id"]) == ("client-7", TRACE)
    assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
    traced.app.engine.unknown.note = noted
    await client.post("/v1/events", json={**EVENT, "subject": "other/a"})
    (line,) = [line for line in lines if line["logger"] == "a test"]
    assert (line["event"], "answer" in line) == ("e1", False)


async def noted(families):
    """Log what the store would note."""
    logging.getLogger("a test").warning("unknown: %s", families)


async def test_lines_name_the_answer_that_was_noted(world, tmp_path, lines):
    """A line that is logged after an answer was recorded has its id, without any tracing."""

    async def told(_):
        async with app.request() as scope:
            noted = app.plugins[Ledger].answers.note(scope)
        logging.getLogger("a test").warning("told")
        return Response(noted.id.encode())

    app = world.app(pb.Registry(), plugins=[Ledger(tmp_path / "ledger.db")])
    transport = httpx.ASGITransport(HttpApp(app, [("GET", "/told", told)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/told")
    (line,) = [line for line in lines if line["logger"] == "a test"]
    assert (line["answer"], line["request"]) == (answer.text, answer.headers["x-request-id"])
    assert "trace_id" not in line
    await app.close()


async def test_an_answer_has_an_id_that_leads_somewhere(world):
    """An error has the id that the log has; an answer that no line, no span and no client knows by an id has none."""
    app = world.app(pb.Registry())
    transport = httpx.ASGITransport(HttpApp(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert "x-request-id" not in (await client.get("/v1/tasks")).headers
        assert re.fullmatch("[0-9a-f]{16}", (await client.get("/nowhere")).headers["x-request-id"])
    await app.close()


@pytest.mark.parametrize("given", ["two words", "x" * 200, "a\u00e9"])
async def test_an_id_that_is_not_well_formed_is_replaced(client, given):
    """A request with an id that could not stand in a log gets another one."""
    answer = await client.get("/v1/tasks", headers={"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_the_plugins_filter_is_on_the_handlers_of_the_root_logger(world):
    """An app adds the filter when it opens, and takes it away when it is closed."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        app = Traced(world).app
        _ = app.engine
        assert [type(found) for found in handler.filters] == [TraceIds]
        await app.close()
        assert (handler.filters, along()) == ([], {})
    finally:
        logging.getLogger().removeHandler(handler)


async def test_a_webhook_carries_the_trace(traced, monkeypatch):
    """An alert that is sent within a trace carries it on; a later try, which belongs to nobody, does not."""
    sent = []
    monkeypatch.setattr("parbake.adapters.webhook._opener.open", lambda request, timeout: sent.append(request))
    sink, alert = WebhookSink("http://127.0.0.1:9/hook"), Alert("breach", "fact", "team", "late", 1.0)
    with pytest.raises(AttributeError), traced.tracer.start_as_current_span("program") as own:
        await sink.send(alert)
    assert sent[0].get_header("Traceparent").split("-")[1] == format_trace_id(own.get_span_context().trace_id)
    with pytest.raises(AttributeError):
        await sink.send(alert)
    assert sent[1].get_header("Traceparent") is None


def observed(reader):
    """Return what a collection observes: the value by name and labels."""
    data = reader.get_metrics_data()
    return {
        (metric.name, frozenset(point.attributes.items())): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def scraped(app):
    """Return what a scrape shows, in the form of :func:`observed`."""
    text = render(app.counters, app.engine.on.metrics).decode()
    return {
        (sample.name.removesuffix("_total"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_instruments_observe_what_a_scrape_shows(traced, client):
    """Every figure of ``GET /metrics`` is observed under its name with its labels, again at each collection."""
    reached = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Instruments, "look", lambda self, look=Instruments.look: (look(self), reached.set()))
        async with traced.app.serving():
            await reached.wait()
            for _ in range(2):
                await client.post("/v1/serve/fact", json={"key": "a"})
                found = observed(traced.reader)
                lag = {key for key in found if key[0].startswith("parbake_event_loop_lag")}
                shown = {key: value for key, value in scraped(traced.app).items() if key not in lag}
                assert {key: value for key, value in found.items() if key not in lag} == shown
    await traced.app.close()
    assert traced.reader.get_metrics_data() is not None  # what the close has flushed
    assert traced.reader.get_metrics_data() is None


async def test_without_the_plugin_nobody_listens(world):
    """An app without plugins has empty tuples of observers, and no header goes along with its calls."""
    app = world.app(pb.Registry())
    engine = app.engine
    assert not engine.resolver._is_heard
    assert engine.resolver.demand._computing == engine.realtime._computing == engine.realtime._answered == ()
    assert engine.ingest._apply.__self__._applying == engine.events._refreshing._hears == ()
    assert not any((engine.on.request, engine.on.carried, along()))
    await app.close()
