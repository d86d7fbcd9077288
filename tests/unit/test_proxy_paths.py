"""Paths go to the provider as they came, and none leaves what the proxy passes on."""

import pytest
from tests.model_server import _Handler
from tests.unit.test_proxy import KEY, front  # noqa: F401  # a fixture


@pytest.mark.parametrize(
    "path",
    ["files/a%2Fb", "files/a%3Fb", "files/a%23b", "files/a%20b", "files/%C3%A9", "files/a%252e%252e", "files/a..b",
     "files/...", "files/a:b@c"],
)  # fmt: skip
async def test_a_path_goes_on_to_the_letter(front, path):  # noqa: F811  # a fixture
    """What a client has encoded stays encoded, so that it means the same to the provider."""
    answer = await front.http.post(f"/v1/{path}", json={"messages": [{"content": "x"}], "model": "m"}, headers=KEY)
    assert answer.status_code == 200
    assert front.models.asked[0]["path"] == f"/v1/{path}"


@pytest.mark.parametrize(
    "path",
    ["%2e%2e/admin", "%2E%2e/admin", ".%2e/admin", "a/%2e/b", "a%2f%2e%2e%2fb", "a/..%5cb", "a/..;x/b", "a%00b",
     "a%0d%0ab", "a%1fb", "a%7fb"],
)  # fmt: skip
async def test_a_path_with_dot_segments_or_control_characters_is_refused(front, path):  # noqa: F811  # a fixture
    """Such a path is a 400 with a problem document, and the provider does not see it."""
    answer = await front.http.post(f"/v1/{path}", json={"model": "m"}, headers=KEY)
    assert answer.status_code == 400
    assert answer.json()["field"] == "path"
    assert front.models.asked == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_other_methods_and_longer_paths_are_passed_on(front, method, monkeypatch):  # noqa: F811  # a fixture
    """A provider's route of seven segments gets each method that changes something."""
    monkeypatch.setattr(f"tests.model_server._Handler.do_{method}", _Handler.do_POST, raising=False)
    body = {"messages": [{"content": "x"}], "model": "m"}
    answer = await front.http.request(method, "/v1/a/b/c/d/e/f/g", json=body, headers=KEY)
    assert answer.status_code == 200
    assert front.models.asked[0]["path"] == "/v1/a/b/c/d/e/f/g"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "events"), ("DELETE", "events"), ("POST", "proxy"), ("GET", "proxy/bypass"), ("POST", "proxy/answers"),
     ("GET", "proxy/complaints"), ("DELETE", "serve/anything")],
)  # fmt: skip
async def test_a_path_of_the_proxys_own_never_goes_to_the_provider(front, method, path):  # noqa: F811  # a fixture
    """With a method that the path does not support, it is refused, with its tags and keys in it."""
    body = {"messages": [{"content": "x"}], "model": "m"}
    answer = await front.http.request(method, f"/v1/{path}", json=body, headers=KEY)
    assert answer.status_code == 405, answer.text
    assert front.models.asked == []


@pytest.mark.parametrize("path", ["chat%2Fcompletions", "chat%2fcompletions", "%63hat/completions"])
async def test_another_spelling_of_a_path_has_no_answers_of_the_plain_one(front, path):  # noqa: F811  # a fixture
    """To the provider it may be another route, so nothing of it is stored, and nothing stored is given to it."""
    body = {"messages": [{"role": "user", "content": "what is topicaa"}], "model": "m"}
    for _ in range(2):
        answer = await front.http.post(f"/v1/{path}", json=body, headers=KEY)
        assert "bypass; detail=unusual_request" in answer.headers["cache-status"]
    assert [request["path"] for request in front.models.asked] == [f"/v1/{path}"] * 2
    for expected in ("miss", "hit"):
        answer = await front.http.post("/v1/chat/completions", json=body, headers=KEY)
        assert answer.headers["x-parbake-cache"] == expected


async def test_another_method_of_a_providers_path_is_the_providers(front, monkeypatch):  # noqa: F811  # a fixture
    """A list of stored completions is asked for at the path of the questions."""
    monkeypatch.setattr(_Handler, "do_GET", _Handler.do_POST, raising=False)
    await front.http.request("GET", "/v1/chat/completions", json={"messages": [{"content": "x"}]}, headers=KEY)
    assert front.models.asked[0]["path"] == "/v1/chat/completions"
