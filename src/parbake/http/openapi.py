"""The OpenAPI 3.1 document, from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from parbake.http.messages import AFTER

_PROBLEM = {
    "description": "A problem document (RFC 9457) that names the field at fault.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_AFTER = "Tickets of events that were acknowledged to the caller, separated by commas: nothing older is served."


def document(routes: Iterable[tuple[str, str, str]], *, title: str = "parbake") -> dict[str, Any]:
    """Describe (method, path, summary) routes."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary in routes:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, summary)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Problem": _problem_schema()}},
    }


def _operation(method: str, path: str, summary: str) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters.append({"name": AFTER, "in": "header", "schema": {"type": "string"}, "description": _AFTER})
    operation: dict[str, Any] = {
        "summary": summary.strip().partition("\n")[0],
        "parameters": parameters,
        "responses": {"200": {"description": "Done."}, "default": _PROBLEM},
    }
    if method in ("POST", "PUT"):
        operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return operation


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "field": text},
        "required": ["type", "title", "status", "detail", "field"],
    }
