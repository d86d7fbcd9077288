"""An endpoint that sets no deadline does not hang with what it reads from."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.unit.shopfloor import contract

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
