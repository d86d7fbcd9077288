"""The tokens that a call of a model has used: what a request or a task is charged with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one generation. ``None`` means that the engine did not report it, which is not 0.

    Attributes:
        uncached: Input tokens that were neither read from a cache nor written to one, as far as those are reported.
        output: Output tokens, with those of reasoning.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache that lives for minutes.
        cache_write_hour: Input tokens written to a cache that lives for an hour.
        reasoning: Output tokens that are not shown.
    """

    uncached: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_hour: int | None = None
    reasoning: int | None = None

    @property
    def input(self) -> int | None:
        """All input tokens; ``None`` if not reported."""
        if self.uncached is None:
            return None
        return self.uncached + (self.cache_read or 0) + (self.cache_write or 0) + (self.cache_write_hour or 0)

    def __add__(self, other: Usage) -> Usage:
        """The tokens of both generations; a count that one of them did not report is that of the other."""
        return Usage(**{name: _sum(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__})


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def is_generator(resource: object) -> bool:
    """Whether a resource generates text: it has a method ``stream`` that takes ``max_tokens`` and ``timeout_s``.

    Whatever the type by which tasks ask for it; see ``parbake_llm.ports.generator.Generator``.
    """
    stream = getattr(resource, "stream", None)
    return callable(stream) and _streams_text(getattr(stream, "__func__", stream))


@lru_cache(256)
def _streams_text(stream: Callable[..., Any]) -> bool:
    try:
        return {"max_tokens", "timeout_s"} <= inspect.signature(stream).parameters.keys()
    except ValueError:  # of a method that is not written in Python
        return False
