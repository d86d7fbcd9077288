"""Routes with declared types: handlers get them, and the OpenAPI document describes them."""

import enum
import functools
from typing import Annotated

import httpx
import msgspec
import pytest

import parbake as pb
from parbake.http import HeaderField, HttpApp, HttpRequest, JsonResponse, Response, Route, json_response


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    amount: Annotated[int, msgspec.Meta(ge=1)]
    note: str = ""


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """A query string."""

    dry: bool = False


class Ordered(msgspec.Struct):
    """An answer."""

    amount: int
    dry: bool


async def order(_: HttpRequest, *, body: Order, arguments: Options) -> JsonResponse[Ordered]:
    """Return the order."""
    return json_response(Ordered(body.amount, arguments.dry), 201)


async def old(request: HttpRequest) -> Response:
    """Read the body by hand."""
    return json_response(request.json(dict))


@pytest.fixture
async def client():
    """Return a client of an app with two custom routes."""
    app = pb.App(pb.Registry())
    routes = [
        Route(
            "POST",
            "/orders/{name}",
            order,
            statuses=(201,),
            headers={"x-tag": HeaderField("A tag.", Annotated[str, msgspec.Meta(max_length=9)])},
        ),
        ("PUT", "/old", old),
    ]
    transport = httpx.ASGITransport(HttpApp(app, routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
        yield found
    await app.close()


async def test_a_handler_is_given_what_it_declares(client):
    """Body and query string are decoded into the types that a handler annotates."""
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
    """A wrong member or parameter gets 422 with its name."""
    told = await client.post(f"/orders/a{query}", json=body)
    assert (told.status_code, told.json()["field"]) == (422, field)


async def test_the_document_tells_the_same(client):
    """The document has the path, query, headers, body and status of a route."""
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
    answered = told["responses"]["201"]["content"]["application/json"]["schema"]
    assert answered == {"$ref": "#/components/schemas/Ordered"}
    assert set(document["components"]["schemas"]["Ordered"]["properties"]) == {"amount", "dry"}
    (tag,) = (one["schema"] for one in told["parameters"] if one["name"] == "x-tag")
    assert tag == {"type": "string", "maxLength": 9}
    old_one = document["paths"]["/old"]["put"]
    assert "requestBody" not in old_one
    assert old_one["responses"]["200"]["content"] == {"application/json": {}}


async def test_every_answer_of_the_core_is_described(client):
    """Each of the core's own JSON answers has a schema, save for one of two kinds, and problems name their headers."""
    document = (await client.get("/v1/openapi.json")).json()
    bare = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, one in operations.items()
        if path.startswith("/v1") or path.endswith("z")
        for code, answer in one["responses"].items()
        if code != "default" and "schema" not in answer["content"].get("application/json", {})
    }
    assert bare == {("get", "/v1/openapi.json"), ("post", "/v1/feedback")}
    problem = document["paths"]["/v1/events"]["post"]["responses"]["default"]
    assert problem["headers"]["retry-after"]["schema"] == {"type": "integer", "minimum": 0}
    ce_time = next(one for one in document["paths"]["/v1/events"]["post"]["parameters"] if one["name"] == "ce-time")
    assert ce_time["schema"] == {"type": "string", "format": "date-time"}


async def test_the_document_tells_of_every_form_of_an_event(client):
    """The document has a single event and a batch, each under its media type."""
    document = (await client.get("/v1/openapi.json")).json()
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
    assert content["application/cloudevents-batch+json"]["schema"]["type"] == "array"


async def no_response(_: HttpRequest) -> Response:
    """Return a dictionary instead of a response."""
    return {"a": 1}


async def text_response(_: HttpRequest) -> Response:
    """Return a response whose body is text instead of bytes."""
    return Response("text")


async def two_lines(_: HttpRequest) -> Response:
    """Return a header with a line break in its value."""
    return Response(b"", headers=(("x-a", "b\r\nx-c: d"),))


@pytest.mark.parametrize("handler", [no_response, text_response, two_lines])
async def test_what_a_handler_returns_by_mistake_is_an_error_of_ours(handler):
    """A handler that returns no valid response gives the client a 500 problem document."""
    transport = httpx.ASGITransport(HttpApp(pb.App(pb.Registry()), [("GET", "/odd", handler)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        told = await asking.get("/odd")
    assert (told.status_code, told.headers["content-type"]) == (500, "application/problem+json")
    assert "x-c" not in told.headers


class Sorting(enum.Enum):
    """How results are sorted."""

    NEW = "new"
    OLD = "old"


class Many(msgspec.Struct):
    """A query string in which a name may come more than once."""

    tag: list[str] = []
    limit: int = 1
    few: Annotated[list[str], msgspec.Meta(max_length=2)] = []
    perhaps: list[str] | None = None
    order: Sorting = Sorting.NEW


class Bound:
    """A handler that is a callable object."""

    async def __call__(self, _: HttpRequest, *, body: Annotated[list[int], msgspec.Meta(max_length=2)]) -> Response:
        """Return the sum of the numbers."""
        return json_response(sum(body))


async def search(_: HttpRequest, *, arguments: Many) -> Response:
    """Search."""
    return json_response(arguments)


async def test_a_list_in_a_query_string_is_given_by_repeating_its_name():
    """A repeated parameter gives a list, a single value a list of one; repeating any other type is refused."""
    transport = httpx.ASGITransport(HttpApp(pb.App(pb.Registry()), [("GET", "/search", search)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        told = (await asking.get("/search?tag=a&tag=b&limit=2&few=x&perhaps=y&order=old")).json()
        assert told == {"tag": ["a", "b"], "limit": 2, "few": ["x"], "perhaps": ["y"], "order": "old"}
        parameters = (await asking.get("/v1/openapi.json")).json()["paths"]["/search"]["get"]["parameters"]
        assert {one["name"] for one in parameters} == {"tag", "limit", "few", "perhaps", "order", "parbake-after"}
        assert (await asking.get("/search?tag=a")).json()["tag"] == ["a"]
        twice = await asking.get("/search?limit=1&limit=2")
    assert (twice.status_code, twice.json()["field"]) == (422, "limit")


@pytest.mark.parametrize("handler", [Bound(), functools.partial(Bound())])
async def test_a_handler_may_be_an_object(handler):
    """A callable object works as a handler, and the limits in its annotations hold and are documented."""
    transport = httpx.ASGITransport(HttpApp(pb.App(pb.Registry()), [("POST", "/sum", handler)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        assert (await asking.post("/sum", json=[1, 2])).json() == 3
        assert (await asking.post("/sum", json=[1, 2, 3])).status_code == 422
        document = (await asking.get("/v1/openapi.json")).json()
    content = document["paths"]["/sum"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"]["maxItems"] == 2


async def test_a_handler_s_own_header_takes_the_place_of_ours():
    """A handler's header replaces the default of the same name in any case."""

    async def kept(_: HttpRequest) -> Response:
        """Return a response that may be cached."""
        return Response(b"", headers=(("Cache-Control", "max-age=60"),))

    transport = httpx.ASGITransport(HttpApp(pb.App(pb.Registry()), [("GET", "/kept", kept)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        assert (await asking.get("/kept")).headers.get_list("cache-control") == ["max-age=60"]


async def untyped(_, *, body):
    """Take a body without a type."""


async def with_more(_: HttpRequest, *, user: str) -> Response:
    """Take a parameter that no request provides."""


async def with_number(_: HttpRequest, *, arguments: int) -> Response:
    """Annotate the query string with a number instead of a struct."""


async def with_class(_: HttpRequest, *, body: type) -> Response:
    """Take a body of a type that JSON cannot represent."""


def plain(_: HttpRequest) -> Response:
    """Be a function that is not a coroutine."""


async def without_request() -> Response:
    """Take no request."""


@pytest.mark.parametrize(
    ("route", "field"),
    [
        (("POST", "/a", untyped), "body"),
        (("GET", "/a", with_more), "handler"),
        (("GET", "/a", with_number), "arguments"),
        (("POST", "/a", with_class), "body"),
        (("GET", "/a", plain), "handler"),
        (("GET", "/a", without_request), "handler"),
        (("GET", "/a", 5), "handler"),
        (("get", "/a", old), "method"),
        (("BREW", "/a", old), "method"),
        (("GET", "a", old), "path"),
        (("GET", "/a/{b", old), "path"),
        (("GET", "/{a}/{a}", old), "path"),
        (("GET", "/v1/tasks", old), "path"),
        (("GET", "/v1/runs/{other}", old), "path"),
        (("GET", "/a", old, "operator"), "access"),
    ],
)
def test_a_route_that_cannot_work_is_refused_when_it_is_added(route, field):
    """An invalid handler, method, path or access is refused when the route is added."""
    with pytest.raises(pb.errors.DeclarationError) as refused:
        HttpApp(pb.App(pb.Registry()), [Route(*route)])
    assert refused.value.field == field
