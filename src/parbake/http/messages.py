"""Requests, responses and problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import fields

from parbake.codecs import Codec
from parbake.codecs.value_types import json_hook
from parbake.errors import BadInput, BodyTooLarge, ParbakeError
from parbake.values.redaction import field_of

T = TypeVar("T")
MAX_BODY = 64 * 1024
WHOLE = "parbake.whole"
"""The ASGI extension by which our own server takes an answer of one part at once: its status, head and body."""
AFTER = "parbake-after"
"""The header in which a client sends the tickets of events that were acknowledged to it."""
PROTECTION = (
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)
"""What every answer tells a browser, unless a handler's own header of that name says otherwise."""
JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(slots=True)
class HttpRequest:
    """One request with its body read.

    ``parameters`` are the path's placeholders; ``is_operator`` says whether it came with the operator token, and
    ``root`` is the path under which another application has mounted this one.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    is_operator: bool = False
    root: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """The query string's parameters."""
        return dict(parse_qsl(self.query))

    def query_as(self, kind: type[T]) -> T:
        """The query string's parameters as a type; raises :class:`BadInput` naming the parameter at fault."""
        many = {f.encode_name for f in fields(kind) if _is_many(f.type)}  # type: ignore[arg-type]  # endpoints take structs only
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
        """The body as a type; raises :class:`BadInput` naming the field at fault."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise BadInput(str(error), field=field_of(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"malformed JSON: {error}", field="body") from error
        except RecursionError as error:
            raise BadInput("the JSON is nested too deeply", field="body") from error


def _is_many(kind: Any) -> bool:
    """Whether a type is a list, or may be one."""
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


Handler = Callable[..., Awaitable[Response]]
"""Takes a request and, by name, its JSON ``body`` and its query string's ``arguments`` as the types it annotates."""
Access = Literal["anybody", "operators"]
"""``operators`` is everybody while no operator token is set."""


class Route(NamedTuple):
    """A method, a path that may hold ``{name}`` segments, what answers, and for whom.

    The rest is for the OpenAPI document.

    Attributes:
        statuses: With which a request that is in order may be answered.
        produces: The media types of those answers.
        consumes: The types of bodies by media type, for a handler that reads the body itself.
        headers: Request headers that it looks at, with what they are for.
    """

    method: str
    path: str
    handler: Handler
    access: Access = "anybody"
    statuses: tuple[int, ...] = (200,)
    produces: tuple[str, ...] = (JSON,)
    consumes: Mapping[str, Any] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})


def json_response(value: Any, status: int = 200, *, codecs: Iterable[Codec] = ()) -> Response:
    """Any value that msgspec encodes as JSON; models of pydantic, arrays, and what the codecs know, too."""
    return Response(msgspec.json.encode(value, enc_hook=json_hook(codecs)), status)


def problem(error: ParbakeError, /, **members: Any) -> Response:
    """An error as a problem document; ``members`` are added to it."""
    kind = "".join("-" + c.lower() if c.isupper() else c for c in type(error).__name__).lstrip("-")
    document = {
        "type": f"urn:parbake:{kind}",
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "field": error.field,
        **members,
    }
    return Response(msgspec.json.encode(document), error.status, PROBLEM, headers=error.headers)


def too_large() -> BodyTooLarge:
    """The error for a body over the limit."""
    return BodyTooLarge(f"the body is larger than {MAX_BODY // 1024} KiB", field="body")
