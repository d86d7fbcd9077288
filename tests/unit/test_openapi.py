"""Routes that say what they take: handlers are given it, and the OpenAPI document tells it."""

from typing import Annotated

import httpx
import msgspec
import pytest

import parbake as pb


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    amount: Annotated[int, msgspec.Meta(ge=1)]
    note: str = ""


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """A query string."""

    dry: bool = False


async def order(_: pb.HttpRequest, *, body: Order, arguments: Options) -> pb.Response:
    """Order something."""
    return pb.json_response({"amount": body.amount, "dry": arguments.dry}, 201)


async def old(request: pb.HttpRequest) -> pb.Response:
    """Read the body by hand."""
    return pb.json_response(request.json(dict))


@pytest.fixture
async def client():
    """Return a client of an app with two routes of its own."""
    app = pb.App(pb.Registry())
    routes = [
        pb.Route("POST", "/orders/{name}", order, statuses=(201,), headers={"x-tag": "A tag."}),
        ("PUT", "/old", old),
    ]
    transport = httpx.ASGITransport(pb.HttpApp(app, routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
        yield found
    await app.close()


async def test_a_handler_is_given_what_it_declares(client):
    """The body and the query string come as the types that it annotates."""
    told = await client.post("/orders/a?dry=true", json={"amount": 2})
    assert (told.status_code, told.json()) == (201, {"amount": 2, "dry": True})


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", {}, "amount"),
        ("", {"amount": 0}, "amount"),
        ("?dry=maybe", {"amount": 1}, "dry"),
        ("?wet=1", {"amount": 1}, "wet"),
    ],
)
async def test_what_is_of_another_type_is_refused_by_its_field(client, query, body, field):
    """The handler is not called, and the problem names the member or the parameter."""
    told = await client.post(f"/orders/a{query}", json=body)
    assert (told.status_code, told.json()["field"]) == (422, field)


async def test_the_document_tells_the_same(client):
    """Path, query, headers, body and status of a route are those that its handler works with."""
    document = (await client.get("/v1/openapi.json")).json()
    told = document["paths"]["/orders/{name}"]["post"]
    where = {one["name"]: one["in"] for one in told["parameters"]}
    assert where == {"name": "path", "dry": "query", "x-tag": "header", "parbake-after": "header"}
    schema = document["components"]["schemas"]["Order"]
    assert schema["properties"]["amount"] == {"type": "integer", "minimum": 1}
    assert (schema["required"], schema["additionalProperties"]) == (["amount"], False)
    content = told["requestBody"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    assert set(told["responses"]) == {"201", "default"}
    assert "requestBody" not in document["paths"]["/old"]["put"]


async def test_the_document_tells_of_every_form_of_an_event(client):
    """One event by itself, and many in a batch, each under its media type."""
    document = (await client.get("/v1/openapi.json")).json()
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
    assert content["application/cloudevents-batch+json"]["schema"]["type"] == "array"


def test_a_body_without_a_type_is_refused_when_the_route_is_added():
    """Nothing could be told of it, and nothing checked."""

    async def untyped(_, *, body):
        """Take anything."""

    with pytest.raises(pb.DeclarationError, match="annotate body"):
        pb.HttpApp(pb.App(pb.Registry()), [("POST", "/untyped", untyped)])
