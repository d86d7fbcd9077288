"""Every door at which outsiders' text comes in: none holds the event loop, whatever the text and however long it is."""

import json
from urllib.parse import quote

from tests.loop_turns import longest_turn, send, unit_s
from tests.model_server import _Handler
from tests.unit.console.conftest import Shop
from tests.unit.test_proxy import fronted

from parbake.http import HttpApp
from parbake_console import Console
from parbake_planner import Ledger, Planner

WORST = {
    "ligatures": "\ufdfa", "marks": "\u0301\u0327", "commas": ",", "spaces": " ", "digits": "1", "brackets": "[",
    "braces": '{"a":', "letters": "a", "words": "where my ", "mail": "a@", "quotes": '\\"', "slashes": "/",
    "percent": "%41", "pairs": "a=b&", "semicolons": "a=b;", "dots": "a.",
}  # fmt: skip
MOST_UNITS = 2.0
"""The longest turn, in units of work of about 25 ms; ordinary turns take a tenth of one."""
SIZES = (60_000, 1_000_000)
"""What a body of 64 KiB can hold, and far more, in bytes."""
MESSAGE = 8_000
"""What a message of the shop's chat can hold, in bytes."""
LARGEST = 16_000_000
LARGEST_OF = {name: WORST[name] for name in ("brackets", "letters", "quotes")}
LARGE_DOORS = ("question", "earlier messages", "any body", "passed on", "uploaded")
"""The doors of the proxy that are tried with the largest texts, and the letters of these."""


def member(name, **others):
    """Return what makes a body of JSON with the text in one member; a dot leads into an inner one."""

    def make(text):
        outer, _, inner = name.partition(".")
        return {"body": json.dumps(others | {outer: {inner: text} if inner else text}, ensure_ascii=False).encode()}

    return make


def raw(text):
    """Return the text as the body."""
    return {"body": text.encode()}


def message(text):
    """Return a conversation that ends with the text."""
    return member("messages")([{"role": "user", "content": text}])


def earlier(text):
    """Return a conversation with the text before its end."""
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    return member("messages", model="m", max_tokens=9)([*said, {"role": "user", "content": "how are books returned"}])


def query(name):
    """Return what makes a query string."""
    return lambda text: {"query": f"{name}={quote(text)}"}


def bare(text):
    """Return the text as the query string."""
    return {"query": text}


def header(name, before="", **others):
    """Return what makes a request with the text in a header."""
    return lambda text: {"headers": {name: before + text}} | others


def event(name):
    """Return what makes an event with the text in one attribute."""
    attributes = {"specversion": "1.0", "id": "1", "source": "s", "type": "a.changed", "subject": "a/b"}
    return member(name, **attributes)


def batch(text):
    """Return many events in a batch, with the text in the last."""
    attributes = {"specversion": "1.0", "id": "1", "source": "s", "type": "a.changed", "subject": "a/b"}
    body = json.dumps([attributes] * 200 + [attributes | {"subject": text}], ensure_ascii=False).encode()
    return {"body": body, "headers": {"content-type": "application/cloudevents-batch+json"}}


BINARY = {"ce-id": "1", "ce-source": "s", "ce-type": "a.changed", "ce-specversion": "1.0"}


def binary(text):
    """Return an event in binary mode, with the text in a header."""
    return {"headers": BINARY | {"ce-subject": text}, "body": b"{}"}


CORE = {
    "events": ("POST", "/v1/events", raw),
    "subject of an event": ("POST", "/v1/events", event("subject")),
    "type of an event": ("POST", "/v1/events", event("type")),
    "id of an event": ("POST", "/v1/events", event("id")),
    "time of an event": ("POST", "/v1/events", event("time")),
    "trace of an event": ("POST", "/v1/events", event("traceparent")),
    "batch of events": ("POST", "/v1/events", batch),
    "event in headers": ("POST", "/v1/events", binary),
    "key of a task": ("POST", "/v1/serve/ahead", member("key")),
    "nested key of a task": ("POST", "/v1/serve/ahead", lambda text: {"body": b'{"key": ' + text.encode() + b"}"}),
    "live input of a task": ("POST", "/v1/serve/ahead", member("live.a", key="a")),
    "unknown member": ("POST", "/v1/serve/ahead", lambda text: {"body": json.dumps({text: 1}).encode()}),
    "name of a task": ("POST", "/v1/serve/{text}", lambda _: {"body": b'{"key": 1}'}),
    "runs of a task": ("GET", "/v1/runs/{text}", lambda _: {}),
    "reason of feedback": ("POST", "/v1/feedback", member("reason", answer_id="x")),
    "answer of feedback": ("POST", "/v1/feedback", member("answer_id")),
    "task of feedback": ("POST", "/v1/feedback", member("task")),
    "cleared task": ("DELETE", "/v1/feedback/{text}", lambda _: {}),
    "answer": ("GET", "/v1/answers/{text}", lambda _: {}),
    "sign-in": ("POST", "/v1/session", member("token")),
    "key": ("GET", "/v1/tasks", header("authorization", "Bearer ")),
    "session": ("GET", "/v1/tasks", header("cookie", "parbake-session=")),
    "cookies": ("GET", "/v1/tasks", header("cookie")),
    "tickets": ("GET", "/v1/tasks", header("parbake-after")),
    "host": ("GET", "/v1/tasks", header("host")),
    "origin": ("POST", "/v1/events", header("origin")),
    "type of a body": ("POST", "/v1/events", header("content-type", body=b"{}")),
    "id of a request": ("GET", "/v1/none", header("x-request-id")),
    "parked events": ("GET", "/v1/events/parked", query("limit")),
    "query": ("GET", "/v1/events/parked", bare),
    "unknown path": ("GET", "/{text}", lambda _: {}),
    "looked up answer": ("GET", "/console/answers", query("word")),
    "time of answers": ("GET", "/console/answers", query("before")),
    "time of costs": ("GET", "/console/economics", query("since")),
    "time of a ledger": ("GET", "/v1/costs", query("since")),
    "applied proposal": ("POST", "/console/triggers", member("trigger", task="ahead")),
    "task of a proposal": ("POST", "/console/triggers", member("task", trigger="x")),
    "followed plan": ("DELETE", "/console/plans/{text}", lambda _: {}),
    "compared plan": ("POST", "/console/plans/{text}/comparison", lambda _: {}),
    "file of the console": ("GET", "/console/static/{text}", lambda _: {}),
}
PROXY = {
    "question": ("POST", "/v1/chat/completions", message),
    "earlier messages": ("POST", "/v1/chat/completions", earlier),
    "question of Anthropic's": ("POST", "/v1/messages", earlier),
    "any body": ("POST", "/v1/chat/completions", raw),
    "namespace": ("POST", "/v1/chat/completions", member("cache.namespace", messages=[], model="m")),
    "tags": ("POST", "/v1/chat/completions", member("metadata.parbake", messages=[], model="m")),
    "user": ("POST", "/v1/chat/completions", member("user", model="m", messages=[{"role": "user", "content": "hi"}])),
    "model": ("POST", "/v1/chat/completions", member("model", messages=[{"role": "user", "content": "hi"}])),
    "tools": ("POST", "/v1/chat/completions", lambda text: {"body": b'{"tools": ' + text.encode() + b"}"}),
    "wishes of a passed on body": ("POST", "/v1/embeddings", member("cache.ttl", input="a")),
    "passed on": ("POST", "/v1/embeddings", member("input", cache={"no-store": True})),
    "uploaded": ("POST", "/v1/files", lambda text: {"body": text.encode(), "headers": {"content-type": "a/b"}}),
    "header with tags": ("POST", "/v1/chat/completions", lambda text: message("hi") | header("parbake-tags")(text)),
    "header of a cache": ("POST", "/v1/chat/completions", lambda text: message("hi") | header("cache-control")(text)),
    "header of a person": ("POST", "/v1/chat/completions", lambda text: message("hi") | header("baggage")(text)),
    "passed on path": ("GET", "/v1/files/{text}", lambda _: {}),
    "passed on query": ("GET", "/v1/files", bare),
    "complaint": ("POST", "/v1/proxy/complaints", member("answer")),
}
SHOP = {
    "message": ("POST", "/v1/chat/completions", message),
    "history": ("POST", "/v1/chat/completions", earlier),
    "named user": ("POST", "/v1/chat/completions", lambda text: {"body": member("user", messages=[
        {"role": "user", "content": "hi"}])(text)["body"]}),
    "session of a chat": ("POST", "/v1/chat/completions", member("metadata.session", messages=[
        {"role": "user", "content": "hi"}])),
    "page of a chat": ("POST", "/v1/chat/completions", member("metadata.page", messages=[
        {"role": "user", "content": "hi"}])),
    "locale of a chat": ("POST", "/v1/chat/completions", member("metadata.locale", messages=[
        {"role": "user", "content": "hi"}])),
    "forgotten shopper": ("DELETE", "/v1/chat/shoppers/{text}", lambda _: {}),
    "search": ("GET", "/shop/products", query("search")),
    "genre": ("GET", "/shop/products", query("genre")),
    "asin": ("GET", "/shop/products", query("asin")),
    "shop's query": ("GET", "/shop/products", bare),
    "suggestions": ("GET", "/shop/suggestions", query("user")),
    "suggestions of a product": ("GET", "/shop/products/{text}/suggestions", lambda _: {}),
    "product": ("GET", "/shop/products/{text}/page", lambda _: {}),
    "orders": ("GET", "/shop/orders/{text}", lambda _: {}),
    "notices": ("DELETE", "/shop/notices/u00003/policy/{text}", lambda _: {}),
    "shopper who signs in": ("POST", "/shop/sign-in", member("shopper", passphrase="x")),
    "passphrase": ("POST", "/shop/sign-in", member("passphrase", shopper="u00003")),
    "shop's session": ("POST", "/shop/sign-in", member("session")),
    "arrival": ("POST", "/shop/sessions", member("shopper")),
    "review": ("POST", "/shop/reviews", member("body", shopper="u00003", asin="x", rating=5)),
    "complaint of a shopper": ("POST", "/shop/complaints", member("reason", answer="x")),
    "cookie of a shopper": ("GET", "/shop/session", header("cookie", "shopper=")),
    "quoted cookie": ("GET", "/shop/session", header("cookie", 'shopper="')),
}  # fmt: skip


async def longest_s(app, door, text, **headers):
    """Return the CPU time of the loop's longest turn while a text comes in at a door."""
    method, path, make = door
    request = make(text)
    request["headers"] = headers | dict(request.get("headers", {}))
    with longest_turn() as longest:
        await send(app, method, path.replace("{text}", text), **request)
    return longest[0]


async def slow_doors(app, doors, sizes, **headers):
    """Return the doors that hold the loop for more than the limit in each of three tries, with the text."""
    limit_s, slow = MOST_UNITS * unit_s(), {}
    for name, door in doors.items():
        for size in sizes:
            for kind, letters in WORST.items() if size < LARGEST else LARGEST_OF.items():
                text = letters * (size // len(letters.encode()))
                for _ in range(3):
                    taken_s = await longest_s(app, door, text, **headers)
                    if taken_s <= limit_s:
                        break
                else:
                    slow[name, kind, size] = round(1000 * taken_s)
    return slow


async def test_a_door_that_holds_the_loop_is_noticed():
    """A door that works on each letter of a long text holds the loop for longer than the limit."""

    async def app(scope, receive, send):
        await receive()
        for _ in range(len(scope["query_string"]) * 15):
            """Read each letter again and again."""
        await send({"type": "http.response.start", "status": 200})

    quick_s, slow_s = [await longest_s(app, ("GET", "/", bare), "a" * size) for size in (10, 1_000_000)]
    assert quick_s < MOST_UNITS * unit_s() < slow_s


async def test_no_door_of_an_app_holds_the_loop(world, tmp_path, monkeypatch):
    """Events, keys, tasks, feedback, sessions, headers and the console's forms take a text of any length shortly."""
    monkeypatch.setenv("PARBAKE_TOKEN", "correct-horse-battery")
    shop = Shop(world, tmp_path)
    served = HttpApp(shop.app)
    async with served.lifespan():
        slow = await slow_doors(served, CORE, SIZES, authorization="Bearer correct-horse-battery")
    assert slow == {}


def receive(handler):
    """Read a request and answer with no model's answer."""
    handler.rfile.read(int(handler.headers.get("content-length", "0")))
    handler._whole({})


async def test_no_door_of_the_proxy_holds_the_loop(tmp_path, monkeypatch):
    """Questions, conversations, uploads and wishes of up to 16 MB go through the proxy, or are refused, shortly."""
    monkeypatch.setattr(_Handler, "do_POST", receive)
    async with fronted(plugins=[Ledger(tmp_path / "ledger.db"), Planner(), Console()]) as front:
        served = front.http._transport.app
        slow = await slow_doors(served, PROXY, SIZES)
        slow |= await slow_doors(served, {name: PROXY[name] for name in LARGE_DOORS}, [LARGEST])
    assert slow == {}


async def test_no_door_of_the_shop_holds_the_loop(desk):
    """Messages, searches, suggestions, sign-ins and reviews take a text of any length shortly."""
    await desk.ask("How long may I return a book?")
    slow = await slow_doors(desk.http, SHOP, (MESSAGE, *SIZES), authorization=f"Bearer {desk.key}")
    assert slow == {}
