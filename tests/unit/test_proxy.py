"""The gateway in front of a provider: what it answers from the cache, and that everything else goes on as it came."""

import asyncio
import datetime as dt
import json
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
from tests.model_server import ModelServer
from tests.unit.embedders import Words

import parbake as pb
from parbake.http import HttpApp
from parbake_planner import Ledger
from parbake_planner.ledger.costs import read_prices
from parbake_planner.prices import Book, Rate
from parbake_proxy import Proxy

KEY = {"authorization": "Bearer key-of-one"}
QUESTION = "how long may topicaa be returned"


class Front:
    """A gateway in front of a model server, and what it was asked."""

    def __init__(self, models, app, http):
        """Keep what a test looks at."""
        self.models, self.app, self.http = models, app, http

    async def chat(self, text=QUESTION, *, headers=KEY, **body):
        """Ask for a chat completion."""
        messages = body.pop("messages", [{"role": "user", "content": text}])
        made = {"model": "small", "messages": messages} | body
        return await self.http.post("/v1/chat/completions", json=made, headers=headers)

    async def message(self, text=QUESTION, *, headers=None, **body):
        """Ask for a message."""
        made = {"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": text}]} | body
        return await self.http.post("/v1/messages", json=made, headers=headers or {"x-api-key": "key-of-one"})


@asynccontextmanager
async def fronted(*, plugins=(), **options):
    """Open a gateway in front of a model server."""
    with ModelServer() as models:
        proxy = Proxy(models.url, **({"embedder": Words(), "cosine": 0.8} | options))
        app = pb.App(pb.Registry(), open=["policy"], plugins=[*plugins, proxy], worker="none")
        served = HttpApp(app)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Front(models, app, http)


@pytest.fixture
async def front():
    """Return an open gateway."""
    async with fronted() as found:
        yield found


def text(answer):
    """Return the text of a completion."""
    return answer.json()["choices"][0]["message"]["content"]


def events(answer):
    """Return the documents of a stream."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def test_a_repeated_and_a_near_question_are_answered_from_the_cache(front):
    """The first answer comes from the provider, with its headers; the others from the cache, and say so."""
    first = await front.chat()
    again, near = await front.chat(), await front.chat(QUESTION + " please")
    assert [text(one) for one in (first, again, near)] == [QUESTION.upper()] * 3
    assert len(front.models.asked) == 1
    assert first.headers["cache-status"] == "parbake; fwd=miss; detail=empty_cache"
    assert first.headers["x-ratelimit-remaining"] == "7"
    assert again.headers["cache-status"].startswith("parbake; hit; ttl=3")
    assert again.headers["cache-status"].endswith("detail=repeated")
    assert near.headers["cache-status"].endswith("detail=near")
    assert again.headers["age"] == "0"
    assert again.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("first", [False, True], ids=["plain first", "stream first"])
async def test_an_answer_is_given_plainly_or_in_pieces_however_it_came(front, first):
    """A stream is stored when it is complete, and both forms are given of either."""
    made = await front.chat(stream=first)
    plain, streamed = await front.chat(), await front.chat(stream=True, stream_options={"include_usage": True})
    assert made.status_code == 200
    assert len(front.models.asked) == 1
    assert text(plain) == QUESTION.upper()
    deltas = [c["delta"].get("content", "") for e in events(streamed) for c in e["choices"]]
    assert "".join(deltas) == QUESTION.upper()
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert [e["usage"]["total_tokens"] for e in events(streamed) if e.get("usage")] == ([] if first else [17])


async def test_messages_of_anthropic_are_answered_likewise(front):
    """A message is stored from a stream, given plainly and in events, and not to the other protocol."""
    await front.message(stream=True)
    plain, streamed = await front.message(), await front.message(stream=True)
    assert plain.json()["content"] == [{"type": "text", "text": QUESTION.upper()}]
    kinds = [event["type"] for event in events(streamed)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    told = [e["delta"]["text"] for e in events(streamed) if e["type"] == "content_block_delta"]
    assert "".join(told) == QUESTION.upper()
    assert len(front.models.asked) == 1
    assert (await front.chat()).headers["x-parbake-cache"] == "miss"


async def test_what_shapes_the_answer_keeps_answers_apart(front):
    """Another key, model, system prompt, history, tool, parameter or namespace gets an answer of its own."""
    system = [{"role": "system", "content": "be brief"}, {"role": "user", "content": QUESTION}]
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, system[1]]
    tool = {"type": "function", "function": {"name": "look"}}
    ways = [
        {}, {"headers": {"authorization": "Bearer key-of-two"}}, {"headers": {}}, {"model": "large"},
        {"messages": system}, {"messages": history}, {"tools": [tool]}, {"temperature": 0.5},
        {"cache": {"namespace": "other"}},
    ]  # fmt: skip
    for _ in range(2):
        for way in ways:
            await front.chat(**way)
    assert len(front.models.asked) == len(ways)


async def test_keys_go_to_the_provider_and_are_not_kept(front):
    """The provider gets the caller's key and headers, but none of the proxy's; nothing in the store has the key."""
    await front.chat(headers=KEY | {"parbake-tags": "policy/returns", "openai-beta": "x"}, cache={"ttl": 60})
    sent = front.models.asked[0]
    assert sent["headers"]["authorization"] == "Bearer key-of-one"
    assert sent["headers"]["openai-beta"] == "x"
    assert "parbake-tags" not in sent["headers"]
    assert "cache" not in sent
    await front.chat()
    kept = front.app.engine.store._map
    rows = [row for first in b"nor" for row in kept.range(bytes([first]), bytes([first]), 1000)]
    assert len(rows) > 3
    assert not [name for name, value in rows if b"key-of-one" in name + value]


async def test_a_change_ends_what_its_tags_name(front):
    """An answer with a tag, from the header or the metadata, ends with a change of it; others stay."""
    tagged = {"parbake": {"tags": ["policy/returns"]}, "team": "shop"}
    await front.chat(headers=KEY | {"parbake-tags": "policy/returns"})
    await front.chat("what is topicbb", metadata=tagged)
    await front.chat("what is topiccc", headers=KEY | {"parbake-tags": "policy/shipping, policy/fees"})
    assert front.models.asked[1]["metadata"] == {"team": "shop"}
    await front.app.touch("policy/returns")
    seen = [await front.chat(one) for one in (QUESTION, "what is topicbb", "what is topiccc")]
    assert [one.headers["x-parbake-cache"] for one in seen] == ["miss", "miss", "hit"]
    assert "tag_changed" in seen[0].headers["cache-status"]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"cache": {"ttl": "soon"}}, "cache.ttl"),
        ({"cache": {"ttl": 10**400}}, "cache.ttl"),
        ({"cache": {"no-store": 1}}, "cache.no-store"),
        ({"cache": {"no_store": True}}, "cache.no_store"),
        ({"cache": "no-store"}, "cache"),
        ({"cache": {"namespace": 1}}, "cache.namespace"),
        ({"metadata": {"parbake": {"tags": "policy"}}}, "metadata"),
        ({"cache": {"s-maxage": 10**400}}, "cache.s-maxage"),
        ({"metadata": {"parbake": {"tags": ["unknown/x"]}}}, "tags"),
    ],
)
async def test_a_wish_that_means_nothing_is_refused(front, wish, field):
    """A wish about the cache that cannot be followed is a problem document that names it, and nothing is sent."""
    answer = await front.chat(**wish)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert front.models.asked == []


async def test_cache_controls_of_litellm_and_of_http_are_followed(front):
    """``no-store``, ``no-cache``, ``ttl`` and ``s-maxage`` in the body, and ``cache-control`` in the header."""
    await front.chat(cache={"no-store": True})
    assert (await front.chat(cache={"ttl": 0})).headers["x-parbake-cache"] == "miss"
    assert (await front.chat()).headers["x-parbake-cache"] == "miss"
    assert (await front.chat()).headers["x-parbake-cache"] == "hit"
    assert (await front.chat(cache={"s-maxage": 0})).headers["x-parbake-cache"] == "miss"
    assert (await front.chat(headers=KEY | {"cache-control": "no-cache"})).headers["x-parbake-cache"] == "miss"
    assert (await front.chat(headers=KEY | {"cache-control": "max-age=60"})).headers["x-parbake-cache"] == "hit"


async def test_what_is_no_question_is_passed_on(front):
    """Results of tools, several parts, several choices and personal questions go to the provider each time."""
    tool = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "1", "content": "42"}]
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    ways = [{"messages": tool}, {"text": parts}, {"n": 2}, {"text": "my phone is 555 123 4567"}]
    for _ in range(2):
        for way in ways:
            assert (await front.chat(**way)).headers["x-parbake-cache"] != "hit"
    assert len(front.models.asked) == 2 * len(ways)


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_with_tool_calls_pass_and_are_not_stored(front, stream):
    """A call of a tool reaches the caller as it came, and is asked for again the next time."""
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    front.models.reply = lambda _: [call]
    for _ in range(2):
        answer = await front.chat(stream=stream)
        assert '"look"' in answer.text
    assert len(front.models.asked) == 2


async def test_a_stream_that_breaks_off_is_not_stored(front):
    """After a stream that the provider has cut, the question is asked again."""
    front.models.cut = True
    with pytest.raises(Exception, match="provider"):
        await front.chat(stream=True)
    front.models.cut = False
    assert (await front.chat(stream=True)).headers["x-parbake-cache"] == "miss"


async def test_other_requests_and_errors_pass_as_they_are(front):
    """Requests for models and embeddings reach the provider, and its answers come back unchanged."""
    assert (await front.http.get("/v1/models")).json()["data"][0]["id"] == "small"
    made = await front.http.post("/v1/embeddings", json={"model": "e", "input": "x"}, headers=KEY)
    assert made.json()["data"][0]["embedding"] == [1.0]
    assert made.headers["cache-status"] == "parbake; fwd=bypass; detail=passed_on"


async def test_a_provider_that_is_gone_is_a_bad_gateway():
    """A provider that cannot be reached gives 502 with its address, and no key."""
    app = pb.App(pb.Registry(), plugins=[Proxy("http://127.0.0.1:9/v1")], worker="none")
    served = HttpApp(app)
    transport = httpx.ASGITransport(served)
    async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        body = {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}
        answer = await http.post("/v1/chat/completions", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["field"]) == (502, "upstream")
    assert "key-of-one" not in answer.text


async def test_an_operator_bypasses_withdraws_and_clears(front):
    """The cache can be bypassed and cleared while it serves, and one answer can be withdrawn by its id."""
    first = await front.chat()
    assert (await front.http.put("/v1/proxy/bypass", json={"on": True})).json() == {"on": True}
    assert (await front.chat()).headers["cache-status"] == "parbake; fwd=bypass; detail=bypassed"
    await front.http.put("/v1/proxy/bypass", json={"on": False})
    hit = await front.chat()
    assert hit.headers["x-parbake-answer"] == first.headers["x-parbake-answer"]
    complaint = {"answer": hit.headers["x-parbake-answer"]}
    assert (await front.http.post("/v1/proxy/complaints", json=complaint)).status_code == 200
    assert "demoted" in (await front.chat()).headers["cache-status"]
    await front.chat("what is topicbb")
    assert (await front.http.delete("/v1/proxy/answers")).status_code == 204
    assert (await front.chat("what is topicbb")).headers["x-parbake-cache"] == "miss"
    for wrong, status in (({"answer": "zz"}, 422), ({"answer": "00" * 16}, 404)):
        assert (await front.http.post("/v1/proxy/complaints", json=wrong)).status_code == status


SECRET_QUESTION = "what is topicrosalind"


async def test_clearing_leaves_no_question_in_the_file(tmp_path):
    """After an operator has cleared the answers, the store's folder has neither a question nor its answer."""

    def stored(word):
        return [path.name for path in tmp_path.rglob("*") if path.is_file() and word in path.read_bytes()]

    with ModelServer() as models:
        store = f"lmdb://{tmp_path}/store?map_size=32MiB"
        app = pb.App(pb.Registry(), plugins=[Proxy(models.url)], worker="none", store=store)
        served = HttpApp(app)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            proxied = Front(models, app, http)
            assert [(await proxied.chat(SECRET_QUESTION)).headers["x-parbake-cache"] for _ in range(2)] == [
                "miss",
                "hit",
            ]
            assert stored(b"rosalind") == ["data.mdb"]
            assert (await http.delete("/v1/proxy/answers")).status_code == 204
            assert (stored(b"rosalind"), stored(b"ROSALIND")) == ([], [])
            assert (await proxied.chat(SECRET_QUESTION)).headers["x-parbake-cache"] == "miss"


async def test_the_variable_bypasses_everything(monkeypatch):
    """With PARBAKE_PROXY_BYPASS every request goes to the provider."""
    monkeypatch.setenv("PARBAKE_PROXY_BYPASS", "1")
    with ModelServer() as models:
        app = pb.App(pb.Registry(), plugins=[Proxy(models.url)], worker="none")
        served = HttpApp(app)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            found = Front(models, app, http)
            assert {(await found.chat()).headers["x-parbake-cache"] for _ in range(2)} == {"bypass"}


async def test_what_is_spent_and_saved_is_counted(front):
    """Tokens of the provider's calls and of hits are told by model, as a statement and as metrics."""
    for _ in range(3):
        await front.chat()
    await front.message()
    await front.message()
    found = (await front.http.get("/v1/proxy")).json()
    assert found["outcomes"] == {"empty_cache": 2, "hit": 3}
    sums = {(side, one["provider"]): (one["calls"], one["tokens"]["output"]) for side in ("spent", "saved")
            for one in found[side]}  # fmt: skip
    assert sums[("spent", "openai")] == (1, 5)
    assert sums[("saved", "openai")] == (2, 10)
    assert sums[("saved", "anthropic")] == (1, 4)
    assert found["saved"][0]["tokens"]["cache_read"] == 100
    assert found["saved"][0]["usd"] is None
    metrics = (await front.http.get("/metrics")).text
    assert 'parbake_proxy_requests_total{outcome="hit"} 3.0' in metrics
    assert 'parbake_semantic_cache_answers{cache="proxy"} 2.0' in metrics
    of_calls = 'parbake_proxy_tokens_total{kind="output",model="small",provider="%s",side="spent"}'
    assert all(metrics.count(of_calls % one) == 1 for one in ("openai", "anthropic"))


async def test_a_ledger_records_what_is_spent_and_saved(tmp_path):
    """The ledger prices the provider's calls and, apart from them, what the hits would have cost."""
    rate = Rate(provider="openai", model="small", since=dt.date(2020, 1, 1), input=1.0, output=10.0, cache_read=0.5)
    other = msgspec.structs.replace(rate, provider="anthropic", input=90.0)  # one name at two providers
    prices = tmp_path / "prices.json"
    prices.write_bytes(msgspec.json.encode(Book(as_of=dt.date(2026, 11, 1), rates=(rate, other))))
    ledger = Ledger(tmp_path / "ledger.db", book=read_prices(prices, today=dt.date(2026, 11, 28)))
    async with fronted(plugins=[ledger], prices=prices) as found:
        for _ in range(3):
            await found.chat()
        assert (await found.chat("how long may topicbb be kept", stream=True)).text
        told = (await found.http.get("/v1/proxy")).json()
        await asyncio.to_thread(found.app.plugins[Ledger].file.settle)
        (cost,) = (await found.http.get("/v1/costs")).json()["costs"]
    assert (cost["task"], cost["lane"], cost["calls"], cost["saved"]) == ("proxy", "realtime", 2, 2)
    assert cost["unpriced"] == "requests of openai/small without reported tokens"
    assert cost["usd"] == pytest.approx(told["spent"][0]["usd"])
    assert cost["saved_usd"] == pytest.approx(told["saved"][0]["usd"])
    assert cost["saved_usd"] == pytest.approx(2 * cost["usd"])


async def test_a_repetition_waits_for_the_answer_that_is_being_stored(front):
    """Questions at once each ask the provider; one that follows an answer finds it stored."""
    await asyncio.gather(*(front.chat() for _ in range(3)))
    assert (await front.chat()).headers["x-parbake-cache"] == "hit"


async def test_a_store_that_is_down_costs_hits_only(front, monkeypatch):
    """While the store does not answer, every request goes to the provider."""
    await front.chat()

    async def down(*_):
        raise pb.errors.StoreError("down", field="store")

    store = front.app.engine.store
    for name in ("get", "read", "stamp"):
        monkeypatch.setattr(store, name, down)
    monkeypatch.setattr(front.app.plugins[Proxy].switch, "_looked_at", float("-inf"))
    answer = await front.chat()
    assert (answer.status_code, text(answer)) == (200, QUESTION.upper())
    assert answer.headers["cache-status"] == "parbake; fwd=bypass; detail=store_failed"


async def test_a_key_that_opens_the_proxy_does_not_go_to_the_provider():
    """The operator token is for the proxy: the provider does not get it."""
    token = "operator-token-0123456789"
    with ModelServer() as models:
        app = pb.App(pb.Registry(), plugins=[Proxy(models.url)], worker="none")
        served = HttpApp(app, token=token)
        transport = httpx.ASGITransport(served)
        async with served.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            found = Front(models, app, http)
            await found.chat(headers={"authorization": f"Bearer {token}"})
            assert (await http.put("/v1/proxy/bypass", json={"on": True})).status_code == 401
            await found.chat()
    assert "authorization" not in models.asked[0]["headers"]
    assert models.asked[1]["headers"]["authorization"] == KEY["authorization"]


def one_part(**members):
    """Return the messages of a question in one part with further members."""
    return [{"role": "user", "content": [{"type": "text", "text": QUESTION} | members]}]


@pytest.mark.parametrize(
    "messages",
    [one_part(language="fr"), one_part(cache_control={"type": "ephemeral"}), [one_part()[0] | {"name": "ann"}],
     [{"role": "user", "content": QUESTION, "language": "fr"}]],
)  # fmt: skip
@pytest.mark.parametrize("ask", [Front.chat, Front.message])
async def test_each_member_of_the_last_message_keeps_answers_apart(front, ask, messages):
    """A provider may shape its answer by what stands beside a question's text, in the message or in its part."""
    await ask(front, messages=[{"role": "user", "content": QUESTION}])
    assert (await ask(front, messages=messages)).headers["x-parbake-cache"] == "miss"
    assert (await ask(front, messages=messages)).headers["x-parbake-cache"] == "hit"


@pytest.mark.parametrize("ask", [Front.chat, Front.message])
async def test_a_text_in_one_part_is_the_same_question(front, ask):
    """A text and a single part with this text alone share their answer."""
    await ask(front, messages=[{"role": "user", "content": QUESTION}])
    assert (await ask(front, messages=one_part())).headers["x-parbake-cache"] == "hit"
