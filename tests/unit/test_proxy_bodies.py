"""Bodies of any type go on to the provider as they came, and pages of other sites may still send none."""

import httpx
import pytest
from tests.model_server import _Handler
from tests.unit.test_proxy import KEY, front  # noqa: F401  # a fixture

BODIES = {
    "a form": (
        "multipart/form-data; boundary=x",
        b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    ),
    "bytes": ("application/octet-stream", b"\x00\xff\r\n" * 9),
    "many bytes": ("audio/wav", b"\x00\xff" * 600_000),
    "lines": ("application/jsonl", b'{"cache": {"ttl": 1}}\n{}\n'),
    "JSON by another name": ("text/plain", b'{"cache": {"ttl": 1}}'),
    "none": (None, b"x"),
}


@pytest.fixture
def received(monkeypatch):
    """Return what the provider has received: methods, types and bodies."""
    requests = []

    def answer(handler):
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        requests.append((handler.command, handler.headers["content-type"], body))
        handler._whole({"method": handler.command})

    for method in ("POST", "PUT", "OPTIONS"):
        monkeypatch.setattr(_Handler, f"do_{method}", answer, raising=False)
    return requests


@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
async def test_a_body_of_any_type_is_passed_on_to_the_letter(front, received, kind, body):  # noqa: F811  # a fixture
    """An upload reaches the provider with its type and each of its bytes."""
    headers = KEY | ({} if kind is None else {"content-type": kind})
    for method in ("POST", "PUT"):
        answer = await front.http.request(method, "/v1/files", content=body, headers=headers)
        assert answer.status_code == 200
    assert received == [("POST", kind, body), ("PUT", kind, body)]


async def test_a_body_over_the_limit_is_refused(front, received):  # noqa: F811  # a fixture
    """An upload of more than 64 MiB is a 413, and the provider gets nothing of it."""
    answer = await front.http.post("/v1/files", content=b"x" * (64 * 1024 * 1024 + 1), headers=KEY)
    assert answer.status_code == 413
    assert received == []


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/json"])
@pytest.mark.parametrize("sent", [{"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}], ids=str)
async def test_a_page_of_another_site_sends_nothing_to_the_provider(front, received, kind, sent):  # noqa: F811  # a fixture
    """Whatever its type, a body from another site's page is a 403."""
    answer = await front.http.post("/v1/files", content=b"--x--", headers={"content-type": kind} | sent)
    assert answer.status_code == 403
    assert received == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/events", "/v1/proxy/complaints"])
async def test_own_routes_take_json_alone(front, received, path):  # noqa: F811  # a fixture
    """The routes that parbake reads itself still refuse what a form of a page can send."""
    answer = await front.http.post(path, content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    assert received == []


async def test_options_is_passed_on_without_what_a_browser_asks_for(front, received):  # noqa: F811  # a fixture
    """The provider answers OPTIONS, and its answer admits no page of another site."""
    sent = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    answer = await front.http.options("/v1/files", headers=sent)
    assert isinstance(answer, httpx.Response)
    assert answer.json() == {"method": "OPTIONS"}
    assert not [name for name in answer.headers if name.startswith("access-control-")]
