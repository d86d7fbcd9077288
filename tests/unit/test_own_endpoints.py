"""What an application puts around its own endpoints: requests that count, and errors as problem documents."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from parbake.errors import ComputeFailed, DeadlineExceeded, ParbakeError
from parbake.http import MeasuredRequests, answer_problem
from parbake.process.counters import Counters


@pytest.fixture
def counters():
    """Return counters that have counted nothing."""
    return Counters()


@pytest.fixture
def begun():
    """Return an event that is set once the endpoint hangs."""
    return asyncio.Event()


@pytest.fixture
def client(counters, begun):
    """Return a client of an application of Starlette whose endpoint raises what its path names."""
    errors = {"late": DeadlineExceeded("too late"), "failed": ComputeFailed("password=geheim", field="t")}

    async def endpoint(request):
        if (name := request.path_params["name"]) in errors:
            raise errors[name]
        if name == "bug":
            raise RuntimeError(name)
        if name == "hangs":
            begun.set()
            await asyncio.Event().wait()
        return PlainTextResponse(name)

    api = Starlette(routes=[Route("/{name}", endpoint)])
    api.add_middleware(MeasuredRequests, counters=counters)
    api.add_exception_handler(ParbakeError, answer_problem)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_every_answered_request_counts(client, counters):
    """An answer, a parbake error and a bug count, each once, in what the throttle reads."""
    for name, status in (("fine", 200), ("late", 504), ("bug", 500)):
        assert (await client.get(f"/{name}")).status_code == status
    assert counters.requests.recent()[0] == 3


async def test_a_cancelled_request_does_not_count(client, counters, begun):
    """A request that is cancelled has no duration that a client has waited for."""
    asking = asyncio.create_task(client.get("/hangs"))
    await begun.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert counters.requests.recent()[0] == 0


async def test_a_failed_computation_is_told_by_a_number(client, caplog):
    """What a task's function has raised stays in the log, masked, and the client gets a number."""
    answer = await client.get("/failed")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:parbake:compute-failed")
    assert "geheim" not in answer.text + caplog.text
    assert answer.json()["detail"].rpartition(" ")[2] in caplog.text


async def test_what_is_not_http_passes_through(counters):
    """The middleware leaves the lifespan alone."""
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    await MeasuredRequests(inner, counters)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
    assert counters.requests.recent()[0] == 0
