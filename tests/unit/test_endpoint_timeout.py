"""An endpoint that sets no deadline does not hang with what it reads from."""

import asyncio
import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.errors import ParbakeError
from parbake.http import HttpApp, MeasuredRequests, Response, answer_problem


class Hanging:
    """An app whose task waits until it may go on, and its endpoints."""

    def __init__(self, **settings):
        """Declare them."""
        tasks = pb.Registry()
        self.gate = asyncio.Event()

        @tasks.artifact(**contract(invalidated_by=[]))
        async def letter(key: str) -> str:
            await self.gate.wait()
            return key

        self.letter = letter
        self.app = pb.App(tasks, **settings)

    async def own(self, _request):
        """Read in an endpoint of the program."""
        return Response((await self.app.serve(self.letter, "a")).value.encode(), content_type="text/plain")

    async def patient(self, _request):
        """Read within a deadline that the endpoint sets itself."""
        async with self.app.request("30s"):
            return await self.own(_request)


def client_of(application):
    """Return a client of an application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://localhost")


@pytest.fixture
async def served():
    """Return a function that serves endpoints of an app with some settings."""
    made = []

    def serve(**settings):
        shop = Hanging(**settings)
        made.append(shop)
        return shop, client_of(HttpApp(shop.app, [("GET", "/own", shop.own), ("GET", "/patient", shop.patient)]))

    yield serve
    for shop in made:
        shop.gate.set()
        await shop.app.close()


@pytest.mark.parametrize("path", ["/own", "/v1/serve/letter"])
async def test_a_read_ends_after_the_apps_timeout(served, path):
    """An endpoint of the program and one of parbake answer 504 when the time is up."""
    _, client = served(endpoint_timeout="50ms")
    answer = await (client.get(path) if path == "/own" else client.post(path, json={"key": "a"}))
    assert (answer.status_code, answer.json()["field"]) == (504, "letter")


@pytest.mark.parametrize(
    ("path", "settings"), [("/patient", {"endpoint_timeout": "10ms"}), ("/own", {"endpoint_timeout": None})]
)
async def test_an_endpoints_own_deadline_or_none_is_kept(served, path, settings):
    """Whoever sets a deadline has that one, and an app may have no limit."""
    shop, client = served(**settings)
    asking = asyncio.ensure_future(client.get(path))
    await asyncio.sleep(0.1)
    assert not asking.done()
    shop.gate.set()
    assert (await asking).text == "a"


async def test_a_read_in_another_framework_ends_likewise():
    """The middleware limits the reads of a program's endpoints."""
    shop = Hanging()

    async def endpoint(_):
        return PlainTextResponse((await shop.app.serve(shop.letter, "a")).value)

    api = Starlette(routes=[Route("/letters", endpoint)])
    api.add_middleware(MeasuredRequests, counters=shop.app.counters, timeout="50ms")
    api.add_exception_handler(ParbakeError, answer_problem)
    assert (await client_of(api).get("/letters")).status_code == 504
    shop.gate.set()
    await shop.app.close()


async def test_outside_of_endpoints_nothing_is_limited(served):
    """A script waits for what it asks for."""
    shop, _ = served(endpoint_timeout="10ms")
    asking = asyncio.ensure_future(shop.app.serve(shop.letter, "a"))
    await asyncio.sleep(0.05)
    shop.gate.set()
    assert (await asking).value == "a"


def test_a_timeout_that_is_not_a_duration_is_refused():
    """The error names the setting."""
    with pytest.raises(ParbakeError) as caught:
        pb.App(pb.Registry(), endpoint_timeout="soon")
    assert caught.value.field == "endpoint_timeout"


@pytest.fixture
async def hanging(world, monkeypatch):
    """Return a function that serves a fact of a source which hangs from then on."""
    gate, tasks, made = threading.Event(), pb.Registry(), []
    poll = world.source.poll

    @tasks.artifact(**contract())
    async def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    async def own(_request):
        return Response((await made[0].serve(fact, "a")).value.encode(), content_type="text/plain")

    async def serve(**settings):
        app = world.app(tasks, **settings)
        made.append(app)
        world.put("a", "30")
        await app.drain()
        monkeypatch.setattr(world.source, "poll", lambda *given: gate.wait() and poll(*given))
        return client_of(HttpApp(app, [("GET", "/own", own)]))

    yield serve
    gate.set()
    await made[0].close()


@pytest.mark.parametrize("path", ["/own", "/v1/serve/fact"])
@pytest.mark.parametrize("timeout_s", [None, 0.05])
async def test_a_wait_for_a_transaction_ends_like_a_read(hanging, path, timeout_s):
    """A request that waits for a transaction of a source that hangs ends with its deadline, or with the app's."""
    client = await hanging(endpoint_timeout="50ms" if timeout_s is None or path == "/own" else "1h")
    headers, body = {"parbake-after": "facts:99"}, {"key": "a"} | ({"timeout_s": timeout_s} if timeout_s else {})
    asking = client.get(path, headers=headers) if path == "/own" else client.post(path, json=body, headers=headers)
    answer = await asyncio.wait_for(asking, 10)
    assert (answer.status_code, answer.json()["field"]) == (504, "parbake-after")


async def test_the_wait_and_the_read_share_one_deadline(hanging):
    """What the wait for a transaction took is not added to the deadline of the read."""
    client = await hanging()
    waited = []

    async def carry(request, _texts, *, field):
        waited.append((request.deadline, field))

    client._transport.app.app.engine.tickets.carry = carry
    answer = await client.post(
        "/v1/serve/fact", json={"key": "a", "timeout_s": 60}, headers={"parbake-after": "facts:1"}
    )
    assert answer.status_code == 200
    ((deadline, field),) = waited
    assert deadline is not None
    assert field == "parbake-after"
