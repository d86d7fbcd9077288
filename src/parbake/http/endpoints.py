"""A route and what its handler declares: the types of the body and the query string, read from its signature.

The handler's arguments and the OpenAPI document come from one declaration. An invalid route is rejected when it is
added; otherwise, for example, a misspelt access would admit all requests.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from parbake.errors import DeclarationError
from parbake.ports.messages import JSON, Access, HttpRequest, JsonResponse, Response, Route

_BODY, _ARGUMENTS = "body", "arguments"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATH = re.compile(r"/|(?:/(?:[^/{}\s]+|\{[a-z_]\w*\}))+")


class Endpoint:
    """One route. Its handler takes the request and, by name, ``body`` and ``arguments`` if it declares them."""

    def __init__(self, route: Route) -> None:
        """Read the signature; raises :class:`DeclarationError` that names the invalid part of the route."""
        self.route = route
        self._check_route()
        declared = self._declared()
        hints = self._hints() if declared or self._tells_body() else {}
        for name in declared:
            if name not in hints:
                raise self._wrong(f"annotate {name} with a type", name)
        self.body = hints.get(_BODY) if _BODY in declared else None
        self.arguments = hints.get(_ARGUMENTS) if _ARGUMENTS in declared else None
        returned = hints.get("return")
        self.returns = get_args(returned)[0] if get_origin(returned) is JsonResponse else None
        self._check_types()

    @property
    def consumes(self) -> Mapping[str, Any]:
        """The types that a body may have, by media type; empty if no body is read."""
        return self.route.consumes or ({} if self.body is None else {JSON: self.body})

    async def answer(self, request: HttpRequest) -> Response:
        """Call the handler.

        Raises:
            BadInput: The body or the query string does not have the declared type.
            TypeError: The handler did not return a response.
        """
        given: dict[str, Any] = {}
        if self.arguments is not None:
            given[_ARGUMENTS] = request.query_as(self.arguments)
        if self.body is not None:
            given[_BODY] = request.json(self.body)
        response = await self.route.handler(request, **given)
        if not isinstance(response, Response) or not isinstance(response.body, bytes):
            raise TypeError(
                "a handler must return a Response, whose body is bytes; json_response() makes one from a value"
            )
        return response

    def _check_route(self) -> None:
        method, path, access = self.route.method, self.route.path, self.route.access
        if method not in METHODS:
            raise self._wrong(f"the method must be one of {', '.join(METHODS)}", "method")
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise self._wrong(
                "a path must be like /orders/{id}: names, or one placeholder in braces, after slashes", "path"
            )
        placeholders = re.findall(r"\{(\w+)\}", path)
        if len(placeholders) != len(set(placeholders)):
            raise self._wrong("each placeholder of a path must have a unique name", "path")
        if access not in get_args(Access):
            raise self._wrong(f"access must be one of {', '.join(get_args(Access))}; got {access!r}", "access")

    def _declared(self) -> list[str]:
        """The parameters of the handler besides the request."""
        handler: Callable[..., Any] = self.route.handler
        if not callable(handler) or not inspect.iscoroutinefunction(_function_of(handler)):
            raise self._wrong("the handler must be an 'async def' function", "handler")
        first, *others = [*inspect.signature(handler).parameters.values(), _NOTHING]
        needed = [p.name for p in others if p.default is p.empty and p.kind in _NAMED]
        unknown = [name for name in needed if name not in (_BODY, _ARGUMENTS)]
        if first is _NOTHING or first.kind not in _POSITIONAL or unknown:
            what = f"and cannot be given {', '.join(unknown)}" if unknown else "first of all"
            raise self._wrong(
                f"the handler must take the request, then {_BODY} and {_ARGUMENTS} by name, {what}", "handler"
            )
        return [p.name for p in others if p.name in (_BODY, _ARGUMENTS)]

    def _tells_body(self) -> bool:
        """Whether the handler's annotation names the type of its response's body."""
        told = getattr(_function_of(self.route.handler), "__annotations__", {}).get("return", "")
        return JsonResponse.__name__ in (told if isinstance(told, str) else repr(told))

    def _hints(self) -> dict[str, Any]:
        """The handler's annotations, including the limits in them."""
        try:
            return get_type_hints(_function_of(self.route.handler), include_extras=True)
        except (NameError, TypeError) as error:
            raise self._wrong(f"its annotations cannot be read where it is defined ({error})", "handler") from error

    def _check_types(self) -> None:
        """Reject types that the document cannot describe or the decoder cannot read."""
        if self.arguments is not None and not (
            isinstance(self.arguments, type) and issubclass(self.arguments, msgspec.Struct)
        ):
            raise self._wrong(
                f"{_ARGUMENTS} must be annotated with a msgspec.Struct with one field per parameter", _ARGUMENTS
            )
        bodies = [(_BODY, kind) for kind in self.consumes.values()]
        for name, kind in [(_ARGUMENTS, self.arguments), ("return", self.returns), *bodies]:
            try:
                msgspec.json.schema_components([kind])
            except TypeError as error:
                raise self._wrong(f"{error}", name) from error

    def _wrong(self, why: str, field: str) -> DeclarationError:
        return DeclarationError(f"route {self.route.method} {self.route.path}: {why}", field=field)


_NOTHING = inspect.Parameter("nothing", inspect.Parameter.VAR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _function_of(handler: Any) -> Any:
    """The function that is called in the end, for a ``functools.partial`` or a callable object."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler if inspect.isroutine(handler) else handler.__call__
