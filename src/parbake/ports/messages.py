"""Requests, responses and problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import fields

from parbake.errors import BadInput, BodyTooLarge, ParbakeError
from parbake.values.codecs import Codec
from parbake.values.codecs.value_types import json_hook
from parbake.values.redaction import field_of

T = TypeVar("T")
Body_co = TypeVar("Body_co", covariant=True)
MAX_BODY = 64 * 1024
WHOLE = "parbake.whole"
"""The ASGI extension with which our own server sends a one-part answer at once: status, headers and body."""
ARRIVED = "parbake.arrived"
"""The key of an ASGI scope that says when the request has arrived: a time of ``perf_counter``."""
AFTER = "parbake-after"
"""The header in which a client sends the tickets of its acknowledged events."""
PROTECTION = (
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)
"""Headers of every answer, unless a handler sets a header of that name itself."""
JSON = "application/json"
PROBLEM = "application/problem+json"


Scope = Literal["serve", "events", "feedback", "metrics", "operate", "console", "act_as"]
"""What a key may do: read values, publish events, complain about answers, read metrics, operate the app (runs, costs,
quarantine, parked events), look at the console, and act for any shopper of an application."""
Access = Literal["anybody", Scope]
"""Who may use a route: anybody, or who has a key with a scope. Without any key on the server, that is everybody."""


class Caller(NamedTuple):
    """Who sends a request: a name, which is empty for nobody in particular, and what that allows."""

    name: str
    scopes: frozenset[str]

    def may(self, access: str) -> bool:
        """Whether the caller may use what needs a scope, or what anybody may use."""
        return access == "anybody" or access in self.scopes


NOBODY = Caller("", frozenset())


@dataclass(slots=True)
class HttpRequest:
    """One request, with its body read.

    ``parameters`` are the path's placeholders. ``caller`` is who sends it, as far as that is known. ``root`` is the
    path under which another application has mounted this one. ``client`` is the address of whoever connected, which is
    the proxy's behind one; empty if the server does not tell it. ``route`` is the path of the route that answers, once
    it is found. ``raw_path`` is the path as the client has encoded it; empty if the server does not tell it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    caller: Caller = NOBODY
    root: str = ""
    client: str = ""
    route: str = ""
    raw_path: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """The query string's parameters."""
        return dict(parse_qsl(self.query))

    def query_as(self, kind: type[T]) -> T:
        """The query string's parameters as a type; raises :class:`BadInput` that names the invalid parameter."""
        many = {f.encode_name for f in fields(kind) if _is_many(f.type)}  # type: ignore[arg-type]  # endpoints accept only structs
        given: dict[str, Any] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            if name in many:
                given.setdefault(name, []).append(value)
            elif name in given:
                raise BadInput(f"{name[:60]} is given twice", field=name[:60])
            else:
                given[name] = value
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise BadInput(str(error), field=field_of(error)) from error

    def json(self, kind: type[T]) -> T:
        """The body as a type; raises :class:`BadInput` that names the invalid field."""
        try:
            found: T = _decoder(kind)(self.body)  # type: ignore[arg-type]  # a type is hashable, except to mypy
        except msgspec.ValidationError as error:
            raise BadInput(str(error), field=field_of(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"malformed JSON: {error}", field="body") from error
        except RecursionError as error:
            raise BadInput("the JSON is nested too deeply", field="body") from error
        return found


@lru_cache(256)
def _decoder(kind: Hashable) -> Callable[[bytes], Any]:
    """The decoder of a type. Without the hook, an untyped number such as 1e308 takes 12 us, which holds the loop."""
    return msgspec.json.Decoder(cast("Any", kind), float_hook=float).decode


def _is_many(kind: Any) -> bool:
    """Whether a type is or includes a list."""
    if get_origin(kind) is Annotated:
        return _is_many(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return any(map(_is_many, get_args(kind)))
    return (get_origin(kind) or kind) in (list, tuple, set, frozenset)


@dataclass(slots=True)
class Response:
    """A response: a whole body, or a stream of chunks."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    stream: AsyncIterator[bytes] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class JsonResponse(Response, Generic[Body_co]):
    """A response whose body is a value of a known type as JSON.

    A handler that returns ``JsonResponse[Reply]`` has ``Reply`` in the OpenAPI document.
    """


Handler = Callable[..., Awaitable[Response]]
"""Takes a request and, by name, its JSON ``body`` and its query string's ``arguments`` as the annotated types."""


class HeaderField(NamedTuple):
    """A header of a request or a response, for the OpenAPI document.

    Attributes:
        purpose: What it is for.
        kind: The type of its value, with limits as ``Annotated`` metadata of msgspec.
    """

    purpose: str
    kind: Any = str


class Route(NamedTuple):
    """A method, a path (with ``{name}`` segments, if any), a handler, and who has access.

    The other attributes are for the OpenAPI document.

    Attributes:
        method: The HTTP method.
        path: The path.
        handler: Answers the request.
        access: Who has access.
        statuses: The statuses of answers to valid requests.
        produces: The media types of those answers.
        consumes: The types of bodies by media type, for a handler that reads the body itself.
        headers: Request headers that the handler reads.
        max_body: The greatest size of a body, in bytes.
        accepts_any_type: Whether a body may have any content type, also one that an HTML form can send. The check of
            the origin stays.
        leads_away: Whether the path is one of a service behind the app. A path of the app's own is never that
            service's, whatever the method.
        awaits_tickets: Whether the handler itself waits for the tickets in ``parbake-after``, within a deadline that
            only it knows.
    """

    method: str
    path: str
    handler: Handler
    access: Access = "anybody"
    statuses: tuple[int, ...] = (200,)
    produces: tuple[str, ...] = (JSON,)
    consumes: Mapping[str, Any] = MappingProxyType({})
    headers: Mapping[str, HeaderField] = MappingProxyType({})
    max_body: int = MAX_BODY
    accepts_any_type: bool = False
    leads_away: bool = False
    awaits_tickets: bool = False


def json_response(value: T, status: int = 200, *, codecs: Iterable[Codec] = ()) -> JsonResponse[T]:
    """Encode a value as JSON: any type that msgspec encodes, pydantic models, arrays, and the codecs' types.

    Args:
        value: The value.
        status: The status.
        codecs: Codecs for further types.
    """
    return JsonResponse(msgspec.json.encode(value, enc_hook=json_hook(codecs)), status)


def _is_private(kind: type) -> bool:
    """Whether a class belongs to a private module, such as a driver's: clients know the class that it derives from."""
    return kind.__module__.rpartition(".")[2].startswith("_")


def problem(error: ParbakeError, /, **members: Any) -> Response:
    """An error as a problem document, with additional ``members``."""
    kind: type[ParbakeError] = next(each for each in type(error).__mro__ if not _is_private(each))
    document = {
        "type": "urn:parbake:" + "".join("-" + c.lower() if c.isupper() else c for c in kind.__name__).lstrip("-"),
        "title": kind.title,
        "status": error.status,
        "detail": str(error),
        "field": error.field,
        **members,
    }
    return Response(msgspec.json.encode(document), error.status, PROBLEM, headers=error.headers)


def too_large(limit: int = MAX_BODY) -> BodyTooLarge:
    """Make the error for a body over a limit in bytes."""
    return BodyTooLarge(f"the body is larger than {limit // 1024} KiB", field="body")
