"""Which handler answers a method and a path."""

from __future__ import annotations

from collections.abc import Iterable

from parbake.errors import UnknownResource
from parbake.http.messages import HttpRequest, Route
from parbake.http.refusals import MethodNotAllowed


class Router:
    """A table of routes. Whole paths come before those with ``{name}`` segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Sort the routes."""
        self.routes = list(routes)
        self._exact = {(r.method, r.path): r for r in self.routes if "{" not in r.path}
        self._patterns = [(r.path.strip("/").split("/"), r) for r in self.routes if "{" in r.path]

    def find(self, request: HttpRequest) -> Route:
        """The route, once the path's parameters stand in the request.

        Raises:
            MethodNotAllowed: The path answers other methods.
            UnknownResource: Nothing answers at the path.
        """
        exact = self._exact.get((request.method, request.path))
        if exact is not None:
            return exact
        segments = request.path.strip("/").split("/")
        methods = {m for m, p in self._exact if p == request.path}
        for pattern, route in self._patterns:
            parameters = _match(pattern, segments)
            if parameters is None:
                continue
            if route.method == request.method:
                request.parameters = parameters
                return route
            methods.add(route.method)
        if methods:
            raise MethodNotAllowed(request.path, methods)
        raise UnknownResource(f"nothing is served at {request.path[:200]}", field="path")


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    parameters: dict[str, str] = {}
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            parameters[expected[1:-1]] = found
        elif expected != found:
            return None
    return parameters
