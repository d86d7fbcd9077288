"""The HTTP routes: their answers, and a problem document that names the field for every bad input."""

import asyncio
import json
import re

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp, Response
from parbake.ports.event_log import Ack
from parbake.ports.messages import MAX_BODY
from parbake.protocol.record import Stamp

PASSWORD = "hunter2"
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "fact.changed", "subject": "fact/a"}


@pytest.fixture
async def shop(world, tmp_path):
    """Return an HTTP app with one task of each kind."""
    world.put("a", "one")
    tasks = pb.Registry()

    @tasks.model(**contract(refresh=pb.every("20m"), invalidated_by=[]))
    def train() -> int:
        """Train."""
        return 3

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
        """Look up a fact; the value "fail" raises an error with a password."""
        value = facts.get(key)
        if value == "fail":
            raise ValueError(f"secret detail password={PASSWORD}")
        return pb.Absent("unknown_fact") if value is None else value

    @tasks.live(why="needs the words")
    async def length(words: pb.Live[list[str]]) -> int:
        return len(words)

    @tasks.refine(fact, budget="1h")
    async def finer(base: pb.Served[str], *, page: pb.Live[int], count: int = pb.Input(length)) -> str:
        return f"{base.value}{page}{count}"

    app = world.app(tasks, ledger=tmp_path / "ledger.sqlite")
    await app.drain()
    yield HttpApp(app)
    await app.close()


@pytest.fixture
async def client(shop):
    """Return a client of the app."""
    transport = httpx.ASGITransport(shop, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
        yield opened


async def test_alive_and_ready(client, shop):
    """A server without any generation is ready and names what is degraded; with one, only the worker is missing."""
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    first = await client.get("/readyz?verbose")
    assert (first.status_code, first.json()["lacking"]) == (200, [])
    untrained = "train has no generation yet: what needs it cannot be computed"
    assert untrained in first.json()["degraded"]
    assert untrained in first.json()["tasks"]["train"]
    await shop.app.materialize(shop.app.tasks["train"])
    ready = {"status": "ready", "lacking": [], "degraded": ["no worker has reported"]}
    assert (await client.get("/readyz")).json() == ready


async def test_runs_can_be_looked_at(client, shop):
    """The route shows a task's batch runs; a task without runs or an unknown task gets 404."""
    assert (await client.get("/v1/runs/train")).json() == {"under_way": None, "ended": []}
    await shop.app.materialize(shop.app.tasks["train"])
    ended = (await client.get("/v1/runs/train")).json()["ended"]
    assert [(run["outcome"], run["trigger"], run["rows"]) for run in ended] == [("promoted", "manual", 1)]
    assert (await client.get("/v1/runs/length")).status_code == 404
    assert (await client.get("/v1/runs/nothing")).json()["field"] == "task"


async def test_a_failed_run_says_why(client, shop, world):
    """A failed run is shown with the exception's type and message, with secrets masked."""
    world.put("b", "fail")
    await shop.app.drain()
    with pytest.raises(pb.errors.ComputeFailed):
        await shop.app.materialize(shop.app.tasks["fact"], keys=["a", "b"])
    left = (await client.get("/v1/runs/fact")).json()["under_way"]
    assert (left["state"], left["reason"]) == ("failed", "fact: ValueError: secret detail password=***")


async def test_every_kind_of_task_is_served(client):
    """Artifacts are served by key, live tasks by live values, and refined tasks by both."""
    first = (await client.post("/v1/serve/fact", json={"key": "a"})).json()
    assert (first["value"], first["verdict"], first["lane"], first["reason"]) == ("one", "fresh", "realtime", "")
    absent = (await client.post("/v1/serve/fact", json={"key": "nobody"})).json()
    assert (absent["value"], absent["verdict"], absent["reason"]) == (None, "missing", "unknown_fact")
    live = {"page": 7, "words": ["x", "y"]}
    assert (await client.post("/v1/serve/finer", json={"key": "a", "live": live})).json()["value"] == "one72"
    assert (await client.post("/v1/serve/length", json={"live": {"words": []}})).json()["value"] == 0


async def test_events_are_acknowledged_once_durable(client, shop):
    """An event gets 202 with each tag's sequence; a repeated one is a duplicate and raises its tags again."""
    first = await client.post("/v1/events", json=EVENT)
    again = await client.post("/v1/events", json=EVENT)
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["duplicates"], again.json()["duplicates"]) == (0, 1)
    assert again.json()["acked"]["fact/a"] > first.json()["acked"]["fact/a"]
    served = await client.post("/v1/serve/fact", json={"key": "a"})
    assert served.json()["stamp"] >= again.json()["acked"]["fact/a"]


async def test_a_family_that_nobody_knows_is_told(client, shop):
    """An event of an unknown family is accepted, and reported in the answer and in a metric."""
    told = await client.post("/v1/events", json=EVENT | {"subject": "fcat/a"})
    assert (told.status_code, told.json()["unknown"]) == (202, ["fcat"])
    assert (await client.post("/v1/events", json=EVENT)).json()["unknown"] == []
    text = (await client.get("/metrics")).text
    assert 'parbake_events_unknown_family_total{family="fcat"} 1.0' in text


async def test_parked_events_are_listed_and_retried(client, shop, world):
    """A parked event is listed with its reason, and a retry reports that it is kept."""
    assert (await client.get("/v1/events/parked")).json() == {"parked": []}
    world.put("b", "x")
    with world.connected() as connection:
        connection.execute("UPDATE parbake_outbox SET subject = 'No Tag' WHERE position = 2")
    await shop.app.drain()
    (parked,) = (await client.get("/v1/events/parked?limit=5")).json()["parked"]
    assert (parked["source"], parked["position"]) == ("facts", 2)
    assert json.loads(parked["event"])["subject"] == "No Tag"
    assert "subject='No Tag' is not a tag" in parked["reason"]
    one = {"source": "facts", "position": 2}
    for body in ({}, one):
        done = (await client.post("/v1/events/parked/retry", json=body)).json()
        assert (done["understood"], done["acked"], len(done["kept"])) == (0, {}, 1)
    missing = await client.post("/v1/events/parked/retry", json=one | {"position": 3})
    assert (missing.status_code, missing.json()["field"]) == (404, "position")
    assert "parbake_events_parked_total 1.0" in (await client.get("/metrics")).text


async def test_the_overviews_answer(client):
    """The routes for tasks, freshness, costs, metrics and the OpenAPI document answer."""
    await client.post("/v1/serve/fact", json={"key": "a"})
    assert [row["task"] for row in (await client.get("/v1/tasks")).json()["tasks"]] == [
        "train",
        "fact",
        "length",
        "finer",
    ]
    rows = {row["task"]: row for row in (await client.get("/v1/freshness")).json()["tasks"]}
    assert (rows["fact"]["keys"], rows["fact"]["stale_share"]) == (1, 0)
    assert "costs" in (await client.get("/v1/costs")).json()
    metrics = await client.get("/metrics")
    assert 'parbake_serves_total{lane="realtime",task="fact",verdict="fresh"} 1.0' in metrics.text
    document = (await client.get("/v1/openapi.json")).json()
    assert document["paths"]["/v1/serve/{task}"]["post"]["summary"] == "Serve a task by name."


async def test_answers_are_counted_by_route_and_status(client):
    """The label is the template of the route, so that no client adds labels; probes are not counted."""
    await client.post("/v1/serve/fact", json={"key": "a"})
    await client.post("/v1/serve/nothing", json={"key": "a"})
    await client.get("/no/such/path")
    await client.get("/healthz")
    await client.get("/v1/tasks", headers={"host": "elsewhere.example"})
    text = (await client.get("/metrics")).text
    assert sorted(re.findall(r"^parbake_requests_total\{(.+)\} (.+)$", text, re.MULTILINE)) == [
        ('route="/v1/serve/{task}",status="2xx"', "1.0"),
        ('route="/v1/serve/{task}",status="4xx"', "1.0"),
        ('route="none",status="4xx"', "2.0"),
    ]
    assert "parbake_request_wait_seconds_count 5.0" in text, "the scrape is the fifth"
    assert "parbake_requests_in_flight 1.0" in text
    assert re.search(
        r'^parbake_build_info\{python="3\.\d+\.\d+\S*",role="server",version="\S+"\} 1\.0$', text, re.MULTILINE
    )


BAD = [
    ("POST", "/v1/serve/nothing", {"key": "a"}, 404, "task"),
    ("POST", "/v1/serve/train", {"key": "a"}, 404, "task"),
    ("POST", "/v1/serve/fact", {"key": 7}, 422, "key"),
    ("POST", "/v1/serve/fact", {"key": "x" * 1000}, 422, "key"),
    ("POST", "/v1/serve/fact", {}, 422, "key"),
    ("POST", "/v1/serve/fact", {"kye": "a"}, 422, "kye"),
    ("POST", "/v1/serve/fact", {"key": "a", "live": 7}, 422, "live"),
    ("POST", "/v1/serve/fact", {"key": "a", "live": {"page": 1}}, 422, "live.page"),
    ("POST", "/v1/serve/fact", {"key": "a", "timeout_s": 0}, 422, "timeout_s"),
    ("POST", "/v1/serve/fact", {"key": "a", "timeout_s": "1s"}, 422, "timeout_s"),
    ("POST", "/v1/serve/fact", b'{"key": "a", "timeout_s": 1e999}', 422, None),
    ("POST", "/v1/serve/finer", {"key": "a", "live": {"words": []}}, 422, "live.page"),
    ("POST", "/v1/serve/finer", {"key": "a", "live": {"page": "x", "words": []}}, 422, "live.page"),
    ("POST", "/v1/serve/finer", {"key": "a", "live": {"page": 1, "words": [1]}}, 422, "live.words.[0]"),
    ("POST", "/v1/serve/finer", {"key": "a", "live": {"page": 1}}, 422, "live.words"),
    ("POST", "/v1/serve/length", {"live": {"words": [], "cart": 1}}, 422, "live.cart"),
    ("POST", "/v1/serve/fact", b"{", 422, "body"),
    ("POST", "/v1/serve/fact", b'{"key":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 422, "body"),
    ("POST", "/v1/serve/fact", b"", 422, "body"),
    ("POST", "/v1/serve/fact", b"\xff\xfe", 422, "body"),
    ("POST", "/v1/serve/fact", b'{"key": "\\ud800"}', 422, None),
    ("POST", "/v1/serve/fact", b'"' + b"x" * MAX_BODY + b'"', 413, "body"),
    ("POST", "/v1/events", b"not json", 422, "body"),
    ("POST", "/v1/events", {"id": "1"}, 422, "source"),
    ("POST", "/v1/events", EVENT | {"subject": "no tag"}, 422, "subject"),
    ("POST", "/v1/events", EVENT | {"type": "fact.seen"}, 422, "type"),
    ("GET", "/v1/nowhere", None, 404, "path"),
    ("GET", "/v1/events", None, 405, "method"),
    ("GET", "/v1/events/parked?limit=0", None, 422, "limit"),
    ("GET", "/v1/events/parked?limit=x", None, 422, "limit"),
    ("POST", "/v1/events/parked/retry", {"source": "facts"}, 422, "position"),
    ("POST", "/v1/events/parked/retry", {"position": 1 << 64}, 422, "position"),
    ("POST", "/v1/events/parked/retry", {"position": -1}, 422, "position"),
    ("DELETE", "/v1/serve/fact", None, 405, "method"),
]


@pytest.mark.parametrize("case", BAD, ids=[f"{path}-{field}" for _, path, _, _, field in BAD])
async def test_bad_input_is_a_problem_document_and_writes_nothing(client, shop, case):
    """Bad input gets an RFC 9457 document with the field; no tag and no record is written."""
    method, path, body, status, field = case
    before = await shop.app.stamp()
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    answer = await client.request(method, path, content=content, headers={"content-type": "application/json"})
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, document["status"]) == (status, status), document
    assert {"type", "title", "detail", "field"} <= set(document)
    assert field is None or document["field"] == field, document
    assert await shop.app.stamp() == before
    fact = shop.app.tasks["fact"]
    assert [found async for found in shop.app.engine.store.scan(fact.ref)] == []
    assert (await client.get("/healthz")).status_code == 200


async def test_a_declared_length_over_the_limit_is_refused(client):
    """A ``Content-Length`` over the limit gets 413, and one that is not a number gets 422."""
    for length, status, field in ((str(MAX_BODY + 1), 413, "body"), ("\u00b2", 422, "content-length")):
        headers = [(b"content-length", length.encode("latin-1")), (b"content-type", b"application/json")]
        answer = await client.post("/v1/serve/fact", content=iter_nothing(), headers=headers)
        assert (answer.status_code, answer.json()["field"]) == (status, field)


async def iter_nothing():
    """Yield an empty body, in one piece."""
    yield b""


async def test_a_failed_task_is_a_503_that_names_it(client, world, shop, caplog):
    """The error's text is only in the log, with secrets masked, under the number in the answer."""
    world.put("b", "fail")
    await shop.app.drain()
    answer = await client.post("/v1/serve/fact", json={"key": "b"})
    assert (answer.status_code, answer.json()["field"]) == (503, "fact")
    number = re.search(r"under request ([0-9a-f]{16})$", answer.json()["detail"])[1]
    assert PASSWORD not in answer.text
    assert f"request {number}: POST /v1/serve/{{task}} failed: fact: ValueError: secret detail" in caplog.text
    assert "in fact" in caplog.text, "the frames are there"
    assert PASSWORD not in caplog.text


async def test_an_unforeseen_error_leaks_nothing(shop, caplog):
    """An exception in a handler is a 500 without details; the log has them."""

    async def broken(_request):
        raise RuntimeError("secret")

    app = HttpApp(shop.app, [("GET", "/broken", broken)], error_members=lambda _request, _error: {"extra": 1})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as opened:
        answer = await opened.get("/broken")
    assert (answer.status_code, answer.json()["extra"]) == (500, 1)
    assert "secret" not in answer.text
    assert "secret" in caplog.text


async def test_a_limit_of_a_handlers_own_is_a_504(shop):
    """A handler that ends by its own ``asyncio.timeout`` has not failed: its time is over."""

    async def slow(_request):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    app = HttpApp(shop.app, [("GET", "/slow", slow)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as opened:
        answer = await opened.get("/slow")
    assert (answer.status_code, answer.json()["title"]) == (504, "Deadline exceeded")


async def test_extra_routes_stream_and_match_segments(shop):
    """An application's routes get path segments, query and streams; HEAD answers without a body."""

    async def stream(request):
        async def chunks():
            yield request.parameters["name"].encode()
            yield request.arguments["x"].encode()

        return Response(stream=chunks(), content_type="text/plain")

    app = HttpApp(shop.app, [("GET", "/items/{name}", stream)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as opened:
        assert (await opened.get("/items/a?x=1")).text == "a1"
        head = await opened.head("/healthz")
        assert (head.status_code, head.content) == (200, b"")


async def test_a_client_sends_back_what_was_acknowledged_to_it(client, shop):
    """Tickets in ``parbake-after`` headers bind a read, and an invalid ticket is refused."""
    first = (await client.post("/v1/events", json=EVENT)).json()["ticket"]
    second = (await client.post("/v1/events", json=EVENT | {"id": "2", "subject": "fact/b"})).json()["ticket"]
    headers = [("parbake-after", first), ("Parbake-After", second)]
    served = (await client.post("/v1/serve/fact", json={"key": "a"}, headers=headers)).json()
    assert served["value"] == "one"
    seal = (await shop.app.touch("fact/c")).seal
    later = Ack(Stamp(served["incarnation"] + 1, 1), {"fact/a": 1}, seal=seal).ticket
    await client.post("/v1/serve/fact", json={"key": "a"}, headers={"parbake-after": f"{first}, {later}"})
    assert shop.app.counters.misses["fact", "stale", "tag_changed"] == 1
    refused = await client.post("/v1/serve/fact", json={"key": "a"}, headers={"parbake-after": "!"})
    assert (refused.status_code, refused.json()["field"]) == (422, "parbake-after")
