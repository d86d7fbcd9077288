"""Finds the handler for a method and a path."""

from __future__ import annotations

import re
from collections import defaultdict
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
        self._methods = defaultdict[str, set[str]](set)
        for method, path in self._exact:
            if not self._exact[method, path].route.leads_away:
                self._methods[path].add(method)
        self._patterns = defaultdict[int, list[_Pattern]](list)
        for route, one in own:
            if "{" in route.path:
                pattern = _Pattern(one)
                self._patterns[pattern.length].append(pattern)

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
        methods = set(self._methods.get(request.path, ()))
        away: tuple[Endpoint, dict[str, str]] | None = None
        for pattern in self._patterns.get(len(segments), ()):
            parameters = pattern.match(segments)
            if parameters is None:
                continue
            if pattern.endpoint.route.leads_away:
                if pattern.method == request.method:
                    away = away or (pattern.endpoint, parameters)
            elif pattern.method == request.method:
                request.parameters = parameters
                return pattern.endpoint
            else:
                methods.add(pattern.method)
        if methods:
            raise MethodNotAllowed(request.path, methods)
        if away is None:
            raise UnknownResource(f"nothing is served at {request.path[:200]}", field="path")
        endpoint, request.parameters = away
        return endpoint


class _Pattern:
    """A path with ``{name}`` segments, split once: most requests of tasks are found here."""

    __slots__ = ("_fixed", "_named", "endpoint", "length", "method")

    def __init__(self, endpoint: Endpoint) -> None:
        segments = endpoint.route.path.strip("/").split("/")
        self.endpoint, self.method, self.length = endpoint, endpoint.route.method, len(segments)
        self._fixed = [(at, one) for at, one in enumerate(segments) if not one.startswith("{")]
        self._named = [(at, one[1:-1]) for at, one in enumerate(segments) if one.startswith("{")]

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the names, if the other segments of a path of this length are the same."""
        for at, expected in self._fixed:
            if segments[at] != expected:
                return None
        return {name: segments[at] for at, name in self._named}
