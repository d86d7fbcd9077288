"""Which requests the server admits: by host, by the site that a browser sends them from, and by content type."""

import httpx
import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.http import HttpApp
from parbake.http.reading import MAX_HEAD, MAX_HEADERS, READ_ANYWAY

JSON = {"content-type": "application/json"}
EVENT = b'{"specversion": "1.0", "id": "1", "source": "s", "type": "fact.changed", "subject": "fact/a"}'


@pytest.fixture
async def http(world):
    """Return an HTTP app with one task, which also answers for the host ``shop.example``."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    app = world.app(tasks)
    world.put("a", "one")
    await app.drain()
    yield HttpApp(app, hosts=["shop.example"])
    await app.close()


async def ask(http, method, path, *, body=b"", **headers):
    """Send a request with exactly these headers; ``_`` in a name stands for ``-``."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(http), base_url="http://localhost") as client:
        return await client.request(method, path, content=body, headers=sent)


async def touched(http):
    """Return whether any event was written."""
    return (await http.app.engine.store.stamp())[0].sequence > 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("shop.localhost", 200),
        ("127.0.0.1:9", 200),
        ("127.8.8.8", 200),
        ("[::1]:8000", 200),
        ("shop.example", 200),
        ("Shop.Example.:443", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:127.0.0.1", 421),
        ("[::2]", 421),
        ("10.0.0.1", 421),
        ("shop.example, evil.example", 421),
        ("localhost:8000, evil.example", 421),
        ("localhost:8000@evil.example", 421),
        ("localhost:evil", 421),
        ("localhost:-1", 421),
        ("localhost:1:1", 421),
        ("[localhost]", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
async def test_only_the_servers_own_names_are_answered(http, host, status):
    """A request whose ``Host`` is not one of the server's names gets 421, so DNS rebinding reads nothing."""
    answer = await ask(http, "GET", "/v1/tasks", host=host)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["field"] == "host"
        assert "--allow-host" in answer.json()["detail"]


async def test_probes_may_name_any_host(http):
    """The health and readiness routes answer any ``Host``, because probes reach servers by address."""
    assert (await ask(http, "GET", "/healthz", host="10.0.0.1")).status_code == 200
    assert (await ask(http, "GET", "/readyz", host="pod-7")).json()["status"] == "ready"


@pytest.mark.parametrize("hosts", ["shop.example", ["*"], [""], ["http://shop.example"], [7], ["a b"]])
def test_hosts_are_a_list_of_names(world, hosts):
    """A string instead of a list, a pattern, a URL with its scheme, a number and an invalid name are refused."""
    with pytest.raises(pb.BadInput) as caught:
        HttpApp(world.app(pb.Registry()), hosts=hosts)
    assert caught.value.field == "hosts"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "http://localhost"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:8001"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
async def test_a_page_of_another_site_writes_nothing(http, headers):
    """An event from another site, by ``Sec-Fetch-Site`` or ``Origin``, gets 403 and is not written."""
    answer = await ask(http, "POST", "/v1/events", body=EVENT, **headers, **JSON)
    assert (answer.status_code, answer.json()["field"]) == (403, "origin")
    assert not await touched(http)


@pytest.mark.parametrize(
    "headers", [{}, {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}, {"origin": "http://localhost"}]
)
async def test_pages_of_the_server_and_programs_write(http, headers):
    """Requests from the server's own pages are admitted, and so are requests without these headers."""
    answer = await ask(http, "POST", "/v1/events", body=EVENT, **headers, **JSON)
    assert answer.status_code == 202


async def test_a_page_of_another_site_may_look_at_what_is_public(http):
    """A link from another site can be followed; ``Cross-Origin-Resource-Policy`` keeps the answer from that site."""
    answer = await ask(http, "GET", "/v1/tasks", sec_fetch_site="cross-site")
    assert answer.status_code == 200
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
)
async def test_a_body_says_that_it_is_json(http, kind):
    """A content type that an HTML form can send gets 415; ``Accept`` lists the types that are accepted."""
    answer = await ask(http, "POST", "/v1/events", body=EVENT, content_type=kind)
    assert (answer.status_code, answer.json()["field"]) == (415, "content-type")
    assert "application/json" in answer.headers["accept"]
    assert not await touched(http)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("application/json", {}),
        ("Application/JSON; charset=utf-8", {}),
        ("application/cloudevents+json", {}),
        ("text/plain", {"ce_id": "1", "ce_source": "s", "ce_type": "fact.changed", "ce_subject": "fact/a"}),
    ],
)
async def test_json_and_cloudevents_are_let_in(http, kind, more):
    """JSON and CloudEvents are accepted. In binary mode the event is in headers, so the body may have any type."""
    answer = await ask(http, "POST", "/v1/events", body=EVENT, content_type=kind, **more)
    assert answer.status_code == 202


async def test_a_method_that_is_not_there_names_those_that_are(http):
    """The answer to an unsupported method lists the supported ones in ``Allow`` (RFC 9110, 15.5.6)."""
    assert (await ask(http, "DELETE", "/v1/events")).headers["allow"] == "POST"
    assert (await ask(http, "PUT", "/v1/tasks")).headers["allow"] == "GET, HEAD"


async def test_every_answer_protects_who_reads_it(http):
    """Every answer, 404 included, forbids framing, type sniffing, referrers and caching."""
    for answer in (await ask(http, "GET", "/v1/tasks"), await ask(http, "GET", "/nothing")):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


async def call(http, *, headers, messages=({"type": "http.request", "body": b""},), path="/v1/serve/fact", query=b""):
    """Send a raw ASGI request, as a server without limits would; return status, headers, body and unread messages."""
    sent, left = [], list(messages)

    async def receive():
        return left.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": headers}
    await http(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:]), left


HOST = (b"host", b"localhost")


@pytest.mark.parametrize(
    "headers",
    [[HOST] + [(b"x", b"y")] * MAX_HEADERS, [HOST, (b"x", b"y" * MAX_HEAD)], [HOST] + [(b"x", b"y" * 700)] * 99],
    ids=["too many", "one too long", "too long together"],
)
async def test_headers_have_a_limit_under_any_server(http, headers):
    """Too many or too large headers get 431, whichever server runs the app."""
    status, _, body, _ = await call(http, headers=headers)
    assert status == 431
    assert b'"field":"headers"' in body


@pytest.mark.parametrize(
    ("path", "query"), [("/" + "a" * MAX_HEAD, b""), ("/a", b"a=" + b"%41" * MAX_HEAD)], ids=["path", "query"]
)
async def test_a_path_and_a_query_have_a_limit_under_any_server(http, path, query):
    """A target of more than 64 KiB gets 431 before it is read, whichever server runs the app."""
    status, _, body, _ = await call(http, headers=[HOST], path=path, query=query)
    assert status == 431
    assert b"path and query" in body


async def test_as_many_headers_as_allowed_are_read(http):
    """The server accepts a request with exactly a hundred headers."""
    status, *_ = await call(http, headers=[HOST] + [(b"x", b"y")] * (MAX_HEADERS - 1))
    assert status == 422


def parts(size, *, whole):
    """Return body messages of at most a megabyte each; ``more_body`` ends with the last one only if ``whole``."""
    step = 1 << 20
    sizes = [min(step, size - at) for at in range(0, size, step)]
    last = len(sizes) - 1
    return [
        {"type": "http.request", "body": bytes(n), "more_body": at < last or not whole} for at, n in enumerate(sizes)
    ]


async def test_a_body_that_is_too_large_is_read_to_its_end_before_it_is_refused(http):
    """The rest of the body is read, so that a client that is still sending sees the 413."""
    status, headers, _, left = await call(
        http, headers=[HOST, (b"content-type", b"application/json")], messages=parts(3 << 20, whole=True)
    )
    assert (status, left) == (413, [])
    assert b"connection" not in headers


async def test_a_body_without_end_is_refused_and_its_connection_ends(http):
    """Reading stops at a limit and the connection closes; a body announced as too large is refused unread."""
    kind = (b"content-type", b"application/json")
    endless = parts(READ_ANYWAY + (2 << 20), whole=False)
    status, headers, _, left = await call(http, headers=[HOST, kind], messages=endless)
    assert (status, headers[b"connection"], len(left)) == (413, b"close", 1)
    for more in ([(b"content-length", b"99999999")], [(b"content-length", b"99999"), (b"expect", b"100-continue")]):
        status, headers, _, left = await call(http, headers=[HOST, kind, *more], messages=endless)
        assert (status, headers[b"connection"], len(left)) == (413, b"close", len(endless))


async def test_a_request_that_breaks_off_is_not_answered_as_if_it_were_whole(http):
    """A half-sent body is not processed, even where it is valid JSON by itself."""
    half = [{"type": "http.request", "body": b'{"key": "a"}', "more_body": True}, {"type": "http.disconnect"}]
    status, _, body, _ = await call(http, headers=[HOST, (b"content-type", b"application/json")], messages=half)
    assert status == 499
    assert b"one" not in body


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"9" * 5000, "²".encode("latin-1")])
async def test_a_length_that_is_not_one_is_refused(http, length):
    """An invalid ``Content-Length`` gets 422, also one of 5,000 digits, which Python's ``int`` refuses."""
    kind = (b"content-type", b"application/json")
    status, _, body, _ = await call(http, headers=[HOST, kind, (b"content-length", length)])
    assert status == 422
    assert b'"field":"content-length"' in body
