"""Finds the handler for a method and a path."""

from __future__ import annotations

import re
from collections.abc import Iterable

from parbake.errors import DeclarationError, UnknownResource
from parbake.http.endpoints import Endpoint
from parbake.http.refusals import MethodNotAllowed
from parbake.ports.messages import HttpRequest, Route


class Router:
    """A table of routes. Fixed paths take precedence over those with ``{name}`` segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Sort the routes; raises :class:`DeclarationError` for two routes with the same method and path."""
        self.endpoints = [Endpoint(route) for route in routes]
        seen = set[tuple[str, str]]()
        for one in self.endpoints:
            place = (one.route.method, re.sub(r"\{\w+\}", "{}", one.route.path))
            if place in seen:
                raise DeclarationError(
                    f"two routes have the same {one.route.method} {one.route.path}; remove one of them", field="path"
                )
            seen.add(place)
        own = [(one.route, one) for one in self.endpoints]
        self._exact = {(route.method, route.path): one for route, one in own if "{" not in route.path}
        self._patterns = [(route.path.strip("/").split("/"), one) for route, one in own if "{" in route.path]

    def find(self, request: HttpRequest) -> Endpoint:
        """Find the endpoint, and put the path's parameters into the request.

        Raises:
            MethodNotAllowed: The path supports other methods only.
            UnknownResource: There is no such path.
        """
        exact = self._exact.get((request.method, request.path))
        if exact is not None:
            return exact
        segments = request.path.strip("/").split("/")
        methods = set[str]()
        for pattern, endpoint in self._patterns:
            parameters = _match(pattern, segments)
            if parameters is None:
                continue
            if endpoint.route.method == request.method:
                request.parameters = parameters
                return endpoint
            methods.add(endpoint.route.method)
        methods.update(m for m, p in self._exact if p == request.path)
        if methods:
            raise MethodNotAllowed(request.path, methods)
        raise UnknownResource(f"nothing is served at {request.path[:200]}", field="path")


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments) or (pattern[0] != segments[0] and not pattern[0].startswith("{")):
        return None
    parameters: dict[str, str] = {}
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            parameters[expected[1:-1]] = found
        elif expected != found:
            return None
    return parameters
