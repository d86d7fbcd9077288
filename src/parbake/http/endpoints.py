"""A route with what its handler declares to take: the body and the query string as types, read from its signature.

What a handler is given and what the OpenAPI document says of it are one declaration.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from parbake.errors import DeclarationError
from parbake.http.messages import JSON, HttpRequest, Response, Route

BODY, ARGUMENTS = "body", "arguments"


class Endpoint:
    """One route; its handler takes the request and, by name, ``body`` and ``arguments`` if it declares them."""

    def __init__(self, route: Route) -> None:
        """Read the signature; raises :class:`DeclarationError` for a parameter without a type."""
        self.route = route
        declared = [name for name in (BODY, ARGUMENTS) if name in inspect.signature(route.handler).parameters]
        hints = get_type_hints(route.handler) if declared else {}
        for name in declared:
            if name not in hints:
                raise DeclarationError(f"{route.method} {route.path}: annotate {name} with a type", field=name)
        self.body = hints.get(BODY) if BODY in declared else None
        self.arguments = hints.get(ARGUMENTS) if ARGUMENTS in declared else None

    @property
    def consumes(self) -> Mapping[str, Any]:
        """The types that a body may have, by media type; empty where none is read."""
        return self.route.consumes or ({} if self.body is None else {JSON: self.body})

    async def answer(self, request: HttpRequest) -> Response:
        """Call the handler; raises :class:`parbake.errors.BadInput` for a body or a query string of another type."""
        if self.body is None and self.arguments is None:
            return await self.route.handler(request)
        given: dict[str, Any] = {}
        if self.arguments is not None:
            given[ARGUMENTS] = request.query_as(self.arguments)
        if self.body is not None:
            given[BODY] = request.json(self.body)
        return await self.route.handler(request, **given)
