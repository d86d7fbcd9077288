"""The OpenAPI 3.1 document, made from the routes and the types of their handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from parbake.http.endpoints import Endpoint
from parbake.ports.messages import AFTER, Route

_PROBLEM = {
    "description": "A problem document (RFC 9457) that names the field at fault.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_OPERATOR = {"type": "http", "scheme": "bearer", "description": "The operator token, if the server has one."}
_AFTER = "Tickets of acknowledged events, separated by commas: no value from before these events is served."


def document(endpoints: Iterable[Endpoint], *, title: str = "parbake", root: str = "") -> dict[str, Any]:
    """Describe endpoints, with the types of their handlers. A handler's docstring is its summary.

    Args:
        endpoints: The endpoints.
        title: The title of the API.
        root: The path under which another application has mounted it.
    """
    found = list(endpoints)
    kinds = [kind for one in found for kind in (*one.consumes.values(), *([one.arguments] if one.arguments else ()))]
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
            "securitySchemes": {"operator": _OPERATOR},
        },
    }


def _properties(by_type: Mapping[str, Any], schemas: Mapping[str, Any], kind: Any) -> Mapping[str, Any]:
    """The schema of a struct that is among the components."""
    found: Mapping[str, Any] = schemas[by_type[repr(kind)]["$ref"].rpartition("/")[2]]
    return found


def _operation(endpoint: Endpoint, schemas: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    route = endpoint.route
    answer = {"description": "Done.", "content": {kind.partition(";")[0]: {} for kind in route.produces}}
    operation: dict[str, Any] = {
        "summary": (route.handler.__doc__ or "").strip().partition("\n")[0],
        "parameters": [*_in_path(route), *_in_query(arguments), *_in_headers(route)],
        "responses": {**{str(status): answer for status in route.statuses}, "default": _PROBLEM},
    }
    if route.access != "anybody":
        operation["security"] = [{"operator": []}]
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
    for name, description in {**route.headers, AFTER: _AFTER}.items():
        yield {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "field": text},
        "required": ["type", "title", "status", "detail", "field"],
    }
