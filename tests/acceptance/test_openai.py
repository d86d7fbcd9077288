"""Acceptance 7: the official OpenAI client works with the assistant, plain and streaming."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from cluster import KEY, Server

MODEL = "retail-assistant"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Yield the official client for the server."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as found:
        yield found


def test_a_plain_completion(client: openai.OpenAI) -> None:
    """A completion has the protocol's form and the additional ``parbake`` member."""
    done = client.chat.completions.create(
        model=MODEL,
        user="u00001",
        messages=[{"role": "user", "content": "How many days do I have to send a book back?"}],
    )
    assert "30 days" in (done.choices[0].message.content or "")
    assert done.choices[0].finish_reason == "stop"
    assert done.model_extra is not None
    assert done.model_extra["parbake"]["lane"] == "batch"


def test_a_streamed_completion(client: openai.OpenAI) -> None:
    """A stream has the plain reply's text in several chunks, and its last chunk the details."""
    messages = [{"role": "user", "content": "How do I return an item?"}]
    plain = client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]  # a plain dict will do
    chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))  # type: ignore[call-overload]  # as above
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text.strip() == (plain.choices[0].message.content or "").strip()
    assert len([c for c in chunks if c.choices[0].delta.content]) >= 2
    assert chunks[-1].model_extra["parbake"]["steps"]


def test_an_error_has_the_problem_document_and_openais_member(client: openai.OpenAI) -> None:
    """A bad request raises the client's error with the field, and its body is a problem document."""
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": " "}])
    assert caught.value.param == "messages[0].content"
    body = caught.value.response.json()
    assert body["field"] == "messages[0].content"
    assert body["error"]["type"] == "invalid_request_error"
    assert caught.value.response.headers["content-type"] == "application/problem+json"
