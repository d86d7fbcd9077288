"""The OpenAPI 3.1 document, from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from parbake.http.messages import AFTER, Route

_PROBLEM = {
    "description": "A problem document (RFC 9457) that names the field at fault.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_OPERATOR = {"type": "http", "scheme": "bearer", "description": "The operator token, where the server has one."}
_AFTER = "Tickets of events that were acknowledged to the caller, separated by commas: nothing older is served."


def document(routes: Iterable[Route], *, title: str = "parbake") -> dict[str, Any]:
    """Describe routes; a handler's docstring is its summary."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Problem": _problem_schema()}, "securitySchemes": {"operator": _OPERATOR}},
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters.append({"name": AFTER, "in": "header", "schema": {"type": "string"}, "description": _AFTER})
    operation: dict[str, Any] = {
        "summary": (route.handler.__doc__ or "").strip().partition("\n")[0],
        "parameters": parameters,
        "responses": {"200": {"description": "Done."}, "default": _PROBLEM},
    }
    if route.access != "anybody":
        operation["security"] = [{"operator": []}]
    if route.method in ("POST", "PUT"):
        operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return operation


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "field": text},
        "required": ["type", "title", "status", "detail", "field"],
    }
