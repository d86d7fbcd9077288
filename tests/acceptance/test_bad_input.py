"""Bad input gets a problem document with the field, nothing is written, and the server keeps running."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cluster import Server

CHAT = "/v1/chat/completions"


def message(text: str, **members: Any) -> dict[str, Any]:
    """Return a chat body with one message."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **members}


CASES: list[tuple[str, str, str, Any, int, str]] = [
    ("unknown task", "POST", "/v1/serve/nope", {"key": "x"}, 404, "task"),
    ("wrong key type", "POST", "/v1/serve/candidates", {"key": 7}, 422, "key"),
    ("no key", "POST", "/v1/serve/candidates", {}, 422, "key"),
    ("malformed JSON", "POST", "/v1/serve/candidates", "{", 422, "body"),
    ("malformed chat", "POST", CHAT, "[1, 2", 422, "body"),
    ("body over 64 KiB", "POST", CHAT, "x" * 70_000, 413, "body"),
    ("message over 8,000 characters", "POST", CHAT, message("a" * 8001), 422, "messages[0].content"),
    ("empty message", "POST", CHAT, message(""), 422, "messages[0].content"),
    ("control characters", "POST", CHAT, message("a\u0007b"), 422, "messages[0].content"),
    ("no messages", "POST", CHAT, {"messages": []}, 422, "messages"),
    ("unknown page", "POST", CHAT, message("hi", metadata={"page": "NOPE"}), 404, "metadata.page"),
    ("event without subject", "POST", "/v1/events", {"id": "1", "source": "s", "type": "a.changed"}, 422, "subject"),
    (
        "event of no known type",
        "POST",
        "/v1/events",
        {"id": "1", "source": "s", "type": "a.b", "subject": "policy/x"},
        422,
        "type",
    ),
    (
        "event with a bad subject",
        "POST",
        "/v1/events",
        {"id": "1", "source": "s", "type": "a.changed", "subject": "P X"},
        422,
        "subject",
    ),
    ("unknown policy", "PUT", "/shop/policies/nope", {"facts": {"a": 1}}, 404, "id"),
    ("unknown placeholder", "PUT", "/shop/policies/returns", {"body": "## A\nIn {nothing_days} days."}, 422, "body"),
    ("negative price", "PUT", "/shop/prices/B000001", {"cents": -1}, 422, "cents"),
    ("unknown product", "PUT", "/shop/prices/NOPE", {"cents": 1}, 404, "asin"),
    ("nothing there", "GET", "/nope", None, 404, "path"),
    ("wrong method", "DELETE", "/v1/events", None, 405, "method"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input_is_named_and_writes_nothing(  # noqa: PLR0917  # a table's columns
    server: Server, method: str, path: str, body: Any, status: int, field: str
) -> None:
    """Each bad request gets a problem document that names the field, and no event or policy changes."""
    before = _state(server)
    content = body if isinstance(body, str) else (None if body is None else json.dumps(body))
    response = server.client.request(method, path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["field"] == field, problem
    assert problem["status"] == status
    assert problem["detail"]
    assert _state(server) == before
    assert server.popen.poll() is None


def _state(server: Server) -> tuple[int, Any]:
    policy = server.client.get("/shop/policies/returns").json()
    tags = server.client.get("/metrics").text
    return int(
        next(line.split()[1].split(".")[0] for line in tags.splitlines() if line.startswith("parbake_duplicates_total"))
    ), policy


def test_a_repeated_event_is_accepted_counted_and_raises_its_tags_again(server: Server) -> None:
    """A repeated (source, id) gets 202, counts as a duplicate and raises its tag to a higher stamp."""
    event = {"id": "twice", "source": "test", "type": "policy.changed", "subject": "policy/privacy"}
    first, second = (server.client.post("/v1/events", json=event) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert (first.json()["duplicates"], second.json()["duplicates"]) == (0, 1)
    assert second.json()["acked"]["policy/privacy"] > first.json()["acked"]["policy/privacy"]


def test_tab_and_newline_are_not_control_characters(server: Server) -> None:
    """A message of several lines is answered."""
    assert server.client.post(CHAT, json=message("hello\n\tthere")).status_code == 200
