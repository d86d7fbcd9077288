"""Which handler answers a method and a path."""

from __future__ import annotations

from collections.abc import Iterable

from parbake.errors import UnknownResource
from parbake.http.messages import Handler, HttpRequest, Route
from parbake.http.refusals import MethodNotAllowed


class Router:
    """A table of routes. Whole paths come before those with ``{name}`` segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Sort the routes."""
        self.routes = list(routes)
        self._exact = {(m, p): h for m, p, h in self.routes if "{" not in p}
        self._patterns = [(m, p.strip("/").split("/"), h) for m, p, h in self.routes if "{" in p]

    def find(self, request: HttpRequest) -> Handler:
        """The handler, once the path's parameters stand in the request.

        Raises:
            MethodNotAllowed: The path answers other methods.
            UnknownResource: Nothing answers at the path.
        """
        exact = self._exact.get((request.method, request.path))
        if exact is not None:
            return exact
        segments = request.path.strip("/").split("/")
        methods = {m for m, p in self._exact if p == request.path}
        for method, pattern, handler in self._patterns:
            parameters = _match(pattern, segments)
            if parameters is None:
                continue
            if method == request.method:
                request.parameters = parameters
                return handler
            methods.add(method)
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
