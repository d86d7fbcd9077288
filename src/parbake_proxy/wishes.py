"""How the sender of a request wants it to be handled: LiteLLM's cache controls, Cache-Control, tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from parbake.errors import BadInput
from parbake_proxy.wire.dialect import Document
from parbake_semantic.cache.asked import Handling

_TAGS = "parbake-tags"
"""The header with the tags of a request, separated by commas."""

_CONTROLS = frozenset({"ttl", "s-maxage", "s-max-age", "no-cache", "no-store", "namespace", "use-cache"})


class Wishes(msgspec.Struct, frozen=True):
    """How a request is to be handled.

    Attributes:
        handling: Whether it is looked up and stored, and for how long.
        namespace: Keeps its answers apart from those of other namespaces.
        body: The request without what is for the proxy only; ``None`` if it is as it was sent.
    """

    handling: Handling
    namespace: str
    body: Document | None


def wishes_of(body: Document, headers: Mapping[str, str]) -> Wishes:
    """Read the wishes in a request.

    ``cache`` of the body has LiteLLM's controls: ``ttl``, ``s-maxage``, ``no-cache``, ``no-store``, ``namespace``
    and ``use-cache``.
    ``metadata.parbake.tags`` and the header ``parbake-tags`` name tags. The header ``cache-control`` may say
    ``no-cache``, ``no-store`` and ``max-age`` (RFC 9111, 5.2.1).

    Args:
        body: The request.
        headers: Its headers.

    Raises:
        BadInput: A wish is not valid; the error names its field.
    """
    rest = dict(body)
    cache = _controls(rest.pop("cache", None))
    said = _cache_control(headers.get("cache-control", ""))
    tags = _header_tags(headers.get(_TAGS, "")) + _own_tags(rest)
    is_off = cache.get("use-cache") is not None and not _flag(cache, "use-cache")
    handling = Handling(
        looks_up=not (is_off or _flag(cache, "no-cache") or "no-cache" in said),
        stores=not (is_off or _flag(cache, "no-store") or "no-store" in said),
        max_age_s=min(_seconds(cache, "s-maxage"), _seconds(cache, "s-max-age"), _seconds(said, "max-age")),
        ttl_s=_seconds(cache, "ttl"),
        tags=tuple(tags),
    )
    namespace = cache.get("namespace", "")
    if not isinstance(namespace, str):
        raise BadInput("cache.namespace must be a text", field="cache.namespace")
    return Wishes(handling, namespace, None if rest == body else rest)


def _controls(cache: Any) -> Mapping[str, Any]:
    """The cache controls of a request: one that is misspelt must not be taken for none."""
    if cache is None:
        return {}
    if not isinstance(cache, dict):
        raise BadInput(f"cache must be an object, such as {{'ttl': 60}}; got {repr(cache)[:40]}", field="cache")
    if unknown := cache.keys() - _CONTROLS:
        name = min(unknown)
        raise BadInput(f"cache.{name[:40]} is none of {', '.join(sorted(_CONTROLS))}", field=f"cache.{name[:40]}")
    return cache


def _header_tags(sent: str) -> list[str]:
    """The tags in a header. Its bytes, which HTTP reads as Latin-1, are UTF-8, as in the JSON of an event."""
    try:
        text = sent.encode("latin-1").decode()
    except UnicodeError as error:
        raise BadInput(f"{_TAGS} must be UTF-8", field=_TAGS) from error
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def _own_tags(body: Document) -> list[str]:
    """Take ``metadata.parbake`` out of a request, and return its tags."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or "parbake" not in metadata:
        return []
    own, others = metadata["parbake"], {name: value for name, value in metadata.items() if name != "parbake"}
    if others:
        body["metadata"] = others
    else:
        del body["metadata"]
    tags = own.get("tags", []) if isinstance(own, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BadInput("metadata.parbake.tags must be a list of tags, such as ['policy/returns']", field="metadata")
    return tags


def _cache_control(header: str) -> dict[str, Any]:
    parts = (part.strip().partition("=") for part in header.lower().split(",") if part.strip())
    return {name.strip(): value.strip('" ') for name, _, value in parts}


def _flag(wishes: Mapping[str, Any], name: str) -> bool:
    found = wishes.get(name, False)
    if not isinstance(found, bool):
        raise BadInput(f"cache.{name} must be true or false; got {repr(found)[:40]}", field=f"cache.{name}")
    return found


def _seconds(wishes: Mapping[str, Any], name: str) -> float:
    found = wishes.get(name)
    if found is None:
        return math.inf
    try:
        seconds = math.nan if isinstance(found, bool) else float(found)
    except (OverflowError, TypeError, ValueError):  # an integer may be too large for a float
        seconds = math.nan
    if not seconds >= 0.0:
        raise BadInput(f"cache.{name} must be a number of seconds; got {repr(found)[:40]}", field=f"cache.{name}")
    return seconds
