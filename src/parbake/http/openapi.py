"""The OpenAPI 3.1 document, made from the routes and the types of their handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from parbake.http.access.callers import OPEN
from parbake.http.endpoints import Endpoint
from parbake.ports.messages import AFTER, JSON, PROBLEM, HeaderField, Route
from parbake.protocol.acks import MAX_TICKET

_KEY = {"type": "http", "scheme": "bearer", "description": "The operator token, or a key with the scope."}
_AFTER = HeaderField(
    "Tickets of acknowledged events, separated by commas: no value from before these events is served.",
    Annotated[str, Meta(pattern=r"^[\w=-]*( *, *[\w=-]*)*$", max_length=MAX_TICKET)],
)
_REFUSED = {
    "retry-after": HeaderField("After how many seconds another attempt may succeed.", Annotated[int, Meta(ge=0)]),
    "www-authenticate": HeaderField("How to authenticate, if the token is missing or wrong (RFC 9110, 11.6.1)."),
    "allow": HeaderField("The methods that the path supports, if this one is not among them (RFC 9110, 10.2.1)."),
}
"""Headers of problem documents, each only where it applies."""


def document(endpoints: Iterable[Endpoint], *, title: str = "parbake", root: str = "") -> dict[str, Any]:
    """Describe endpoints, with the types of their handlers. A handler's docstring is its summary.

    Args:
        endpoints: The endpoints.
        title: The title of the API.
        root: The path under which another application has mounted it.
    """
    found = list(endpoints)
    kinds = [kind for one in found for kind in (one.arguments, one.returns, *one.consumes.values()) if kind is not None]
    made, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(map(repr, kinds), made, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in found:
        parameters = _properties(by_type, schemas, one.arguments) if one.arguments else {}
        paths.setdefault(one.route.path, {})[one.route.method.lower()] = _operation(one, by_type, parameters)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _problem_schema(), **schemas},
            "securitySchemes": {"key": _KEY},
        },
    }


def _properties(by_type: Mapping[str, Any], schemas: Mapping[str, Any], kind: Any) -> Mapping[str, Any]:
    """The schema of a struct that is among the components."""
    found: Mapping[str, Any] = schemas[by_type[repr(kind)]["$ref"].rpartition("/")[2]]
    return found


def _operation(endpoint: Endpoint, schemas: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    route = endpoint.route
    told = {} if endpoint.returns is None else {"schema": schemas[repr(endpoint.returns)]}
    produced = {kind.partition(";")[0]: told if kind == JSON else {} for kind in route.produces}
    answer = {"description": "Done.", "content": produced}
    operation: dict[str, Any] = {
        "summary": (route.handler.__doc__ or "").strip().partition("\n")[0],
        "parameters": [*_in_path(route), *_in_query(arguments), *_in_headers(route)],
        "responses": {**{str(status): answer for status in route.statuses}, "default": _problem()},
    }
    if route.access != "anybody":
        needed = {"key": [route.access]}
        operation["security"] = [{}, needed] if route.access in OPEN else [needed]
    if consumed := endpoint.consumes:
        content = {kind: {"schema": schemas[repr(body)]} for kind, body in consumed.items()}
        operation["requestBody"] = {"content": content, "required": True}
    return operation


def _in_path(route: Route) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, kind in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": kind}


def _in_headers(route: Route) -> Iterator[dict[str, Any]]:
    for name, header in {**route.headers, AFTER: _AFTER}.items():
        yield {"name": name, "in": "header", **_described(header)}


def _described(header: HeaderField) -> dict[str, Any]:
    return {"description": header.purpose, "schema": msgspec.json.schema(header.kind)}


def _problem() -> dict[str, Any]:
    return {
        "description": "A problem document (RFC 9457) that names the field at fault.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "headers": {name: _described(header) for name, header in _REFUSED.items()},
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "field": text},
        "required": ["type", "title", "status", "detail", "field"],
    }
