"""Which requests share an answer, to the letter, and what is never stored because it could mean another thing."""

import httpx
import pytest
from tests.model_server import ModelServer, _event
from tests.unit.test_proxy import KEY, QUESTION, Front, events, front, fronted, text  # noqa: F401  # a fixture

import parbake as pb
from parbake.http import HttpApp
from parbake_proxy import Proxy


@pytest.mark.parametrize("form", ["{}\n", "    {}", "{}\u2028", "{}\x1c", "{}\u3000", "\u0085{}", "{} "])
async def test_a_repeated_text_is_the_same_to_the_letter(form):
    """White space at the ends of a text tells it from the text without it, because prompts may be code."""
    async with fronted(embedder=None, cosine=None) as found:
        for asked in (QUESTION, form.format(QUESTION)):
            assert (await found.chat(asked)).headers["x-parbake-cache"] == "miss"
        assert (await found.chat(form.format(QUESTION))).headers["x-parbake-cache"] == "hit"


async def test_a_text_of_white_space_is_no_question(front):  # noqa: F811  # a fixture
    """It goes to the provider, each time."""
    for _ in range(2):
        assert (await front.chat(" \n")).headers["x-parbake-cache"] == "miss"
    assert len(front.models.asked) == 2


EVIL, PLAIN = '[{"role": "user", "content": "EVIL"}]', '[{"role": "user", "content": "what is topicaa"}]'


@pytest.mark.parametrize(
    "sent",
    [
        f'{{"model": "m", "messages": {EVIL}, "messages": {PLAIN}}}',
        f'{{"model": "evil", "model": "m", "messages": {PLAIN}}}',
        f'{{"model": "evil", "m\\u006fdel": "m", "messages": {PLAIN}}}',
        '{"model": "m", "messages": [{"role": "user", "content": "EVIL", "content": "what is topicaa"}]}',
        '{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "E", "text": "what"}]}]}',
        f'{{"model": "m", "model": "m", "messages": {PLAIN}, "stop": null}}',
        f'{{"model": "evil", "model": "m", "messages": {PLAIN}, "user": "a\\u003ab"}}',
    ],
)  # fmt: skip
async def test_a_request_with_a_repeated_name_is_not_answered_from_the_cache(front, sent):  # noqa: F811  # a fixture
    """Which of two members counts is the provider's choice, so the answer is stored for nobody."""
    kind = KEY | {"content-type": "application/json"}
    for _ in range(2):
        answer = await front.http.post("/v1/chat/completions", content=sent, headers=kind)
        assert "bypass; detail=unusual_request" in answer.headers["cache-status"]
    assert len(front.models.asked) == 2


async def test_a_repeated_name_that_is_not_sent_changes_nothing(front):  # noqa: F811  # a fixture
    """A request from which the proxy takes its own members goes on as it was read, with each name once."""
    sent = f'{{"model": "evil", "model": "m", "messages": {PLAIN}, "cache": {{"ttl": 60}}}}'
    kind = KEY | {"content-type": "application/json"}
    answer = await front.http.post("/v1/chat/completions", content=sent, headers=kind)
    assert answer.headers["x-parbake-cache"] == "miss"
    assert (await front.chat("what is topicaa", model="m")).headers["x-parbake-cache"] == "hit"
    assert front.models.asked[0]["model"] == "m"


async def test_a_tag_of_any_letters_in_the_header_is_ended_by_its_event(front):  # noqa: F811  # a fixture
    """The header's bytes are UTF-8, as a terminal sends them, so that they name what the event's JSON names."""
    headers = {"authorization": "Bearer k", "parbake-tags": "policy/é, policy/日本".encode()}
    for _ in range(2):
        answer = await front.chat(headers=headers)
    assert answer.headers["x-parbake-cache"] == "hit"
    change = {"id": "1", "source": "shop", "type": "policy.changed", "subject": "policy/é", "specversion": "1.0"}
    kind = {"content-type": "application/cloudevents+json"}
    assert (await front.http.post("/v1/events", json=change, headers=kind)).status_code == 202
    assert (await front.chat(headers=headers)).headers["x-parbake-cache"] == "miss"


async def test_a_tag_in_the_header_that_is_not_utf8_is_refused(front):  # noqa: F811  # a fixture
    """Bytes of another encoding would name a tag that no event raises, so they are a 422 that names the header."""
    answer = await front.chat(headers={"parbake-tags": "policy/é".encode("latin-1")})
    assert (answer.status_code, answer.json()["field"]) == (422, "parbake-tags")
    assert front.models.asked == []


async def test_an_answer_without_the_tags_of_a_request_is_not_given_to_it(front):  # noqa: F811  # a fixture
    """Who names a tag gets no answer that a change of it would leave, and an old answer is not served after one."""
    await front.chat()
    tagged = KEY | {"parbake-tags": "policy/returns"}
    assert "tags_differ" in (await front.chat(headers=tagged)).headers["cache-status"]
    assert (await front.chat(headers=tagged)).headers["x-parbake-cache"] == "hit"
    await front.app.touch("policy/returns")
    assert (await front.chat(headers=tagged)).headers["x-parbake-cache"] == "miss"


@pytest.mark.parametrize("name", ["x-api-key", "x-goog-api-key", "openai-organization", "x-workspace"])
async def test_any_header_that_may_name_the_asker_keeps_answers_apart(front, name):  # noqa: F811  # a fixture
    """Headers that are not known to be harmless, and the query, are part of whom an answer is for."""
    for value in "ab":
        assert (await front.chat(headers={name: value})).headers["x-parbake-cache"] == "miss"
    body = {"model": "small", "messages": [{"role": "user", "content": QUESTION}]}
    for query in ("?key=a", "?key=b"):
        answer = await front.http.post(f"/v1/chat/completions{query}", json=body)
        assert answer.headers["x-parbake-cache"] == "miss"
    harmless = {name: "a", "user-agent": "other", "x-stainless-retry-count": "1", "traceparent": "00-1-2-01"}
    assert (await front.chat(headers=harmless)).headers["x-parbake-cache"] == "hit"


async def test_texts_that_differ_in_a_letter_or_a_space_are_other_texts():
    """Without an embedder only the same text is a repetition: prompts may be code."""
    with ModelServer(lambda body: body["messages"][-1]["content"]) as models:
        app = pb.App(pb.Registry(), plugins=[Proxy(models.url)], worker="none")
        served = HttpApp(app)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            found = Front(models, app, http)
            for asked in ("is fooBar right", "is foobar right", "for x in y:\n    print(x)", "for x in y:\nprint(x)"):
                assert text(await found.chat(asked)) == asked


async def test_a_complaint_right_after_the_answer_holds(front):  # noqa: F811  # a fixture
    """A complaint waits for the answer that is being stored, and withdraws it."""
    for n in range(10):
        question = f"what is topic{chr(97 + n) * 2} about"
        first = await front.chat(question)
        complaint = {"answer": first.headers["x-parbake-answer"]}
        assert (await front.http.post("/v1/proxy/complaints", json=complaint)).status_code == 200
        assert (await front.chat(question)).headers["x-parbake-cache"] == "miss"


ODD = [
    {"choices": ["x"]}, {"choices": [{"message": [1], "finish_reason": "stop"}]}, {"usage": [1]}, {"usage": "many"},
    {"content": ["x"]}, {"type": "message", "stop_reason": "end_turn", "content": [{"type": "text"}]}, {"choices": []},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_an_answer_of_another_shape_is_passed_on_and_not_stored(front, monkeypatch, odd):  # noqa: F811  # a fixture
    """Whatever the provider answers reaches the client, plainly and in a stream, and is asked for again."""
    monkeypatch.setattr("tests.model_server._openai", lambda *_: (odd, [_event(odd), b"data: [DONE]\n\n"]))
    monkeypatch.setattr("tests.model_server._anthropic", lambda *_: (odd, [_event(odd)]))
    for ask in (front.chat, front.message):
        for stream in (False, True, False):
            answer = await ask(stream=stream)
            assert answer.status_code == 200
            assert (events(answer) if stream else [answer.json()]) == [odd]
            assert answer.headers["x-parbake-cache"] == "miss"


@pytest.mark.parametrize("body", [{"seed": 2**70}, {"stream": "yes"}, {"stream_options": [1]}], ids=str)
async def test_an_unusual_request_is_passed_on(front, body):  # noqa: F811  # a fixture
    """A request that the cache cannot handle goes to the provider, also if its question is stored."""
    await front.chat()
    answer = await front.chat(**body)
    assert answer.headers["cache-status"] == "parbake; fwd=bypass; detail=unusual_request"
    assert len(front.models.asked) == 2


async def test_other_routes_of_the_provider_pass_without_the_wishes(front):  # noqa: F811  # a fixture
    """Routes that the proxy does not know go to the provider, without what was meant for the proxy."""
    body = {"model": "m", "messages": [{"content": "x"}], "cache": {"ttl": 1}, "metadata": {"parbake": {"tags": []}}}
    await front.http.post("/v1/images/generations", json=body, headers=KEY)
    assert front.models.asked[0]["path"] == "/v1/images/generations"
    assert front.models.asked[0].keys() & {"cache", "metadata"} == set()


async def test_a_key_in_the_query_is_not_shown_when_the_provider_breaks_off(front):  # noqa: F811  # a fixture
    """The error of a broken stream names the provider without the query of the request."""
    front.models.cut = True
    body = {"model": "small", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    with pytest.raises(Exception, match="provider") as caught:
        await front.http.post("/v1/chat/completions?key=secret-of-one", json=body)
    assert "secret-of-one" not in str(caught.value)
