"""What the adapters share: the calls that wait for a fresh answer, tags for a block of code, and hashes of scopes."""

from __future__ import annotations

import hashlib
import json
import math
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from msgspec.structs import replace

from parbake_semantic.cache.asked import USUAL, Asked, Handling
from parbake_semantic.cache.driving import finish
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.text.audience import Scope

_Tags = Sequence[str]
_MOST = 1_024
"""How many calls wait at most. Beyond it, the answer of the call that waits longest is not stored."""
_TAGS: ContextVar[tuple[str, ...]] = ContextVar("parbake_adapter_tags", default=())

EXACT = "the stored result of one call"
"""The question of calls that only equal calls may share: what tells them apart is in their scope."""


@contextmanager
def tagged(*tags: str) -> Iterator[None]:
    """Let the answers that are asked for in the block depend on tags, such as ``policy/returns``."""
    token = _TAGS.set((*_TAGS.get(), *tags))
    try:
        yield
    finally:
        _TAGS.reset(token)


def by_text(same: Callable[[str, str], bool] = operator.eq) -> Callable[[Any, Any], bool]:
    """Make the ``same=`` of a cache in a slot: it compares the texts of two answers, and not their ids or counts.

    Args:
        same: Whether two texts say the same. Equality by default; use a judge in production.
    """
    return lambda known, fresh: same(known["text"], fresh["text"])


def digest(*parts: object) -> str:
    """The hash of what shapes an answer, for :class:`parbake_semantic.Scope`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> object:
    """What stands for an object of a request. An unknown one stands for itself, so that nothing else equals it."""
    name = "model_json_schema" if isinstance(value, type) else "model_dump"  # the form of an answer; a message
    return getattr(value, name)() if hasattr(value, name) else repr(value)


class Request(NamedTuple):
    """What a call asks the cache."""

    question: str
    scope: Scope
    tags: tuple[str, ...]
    handling: Handling = USUAL


class _Call(NamedTuple):
    """A call whose fresh answer is being computed; ``objects`` are those that it is known by."""

    asked: Asked[Any]
    tags: tuple[str, ...]
    objects: tuple[object, ...]
    is_alone: bool


class Calls:
    """The calls of a library that a cache answers, and those that wait for a fresh answer. Thread-safe.

    A call is known by objects that its library makes for it and passes to the lookup and to the update. An equal call
    has equal objects, but others, so that it never gets the stamp of this one.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: SemanticCache[Any]) -> None:
        """Begin without a call."""
        self._cache, self._lock = cache, threading.Lock()
        # A call keeps its objects, so that no other object gets the identity of one of them.
        self._waiting: dict[tuple[int, ...], _Call] = {}

    def tags(self, named: _Tags = ()) -> tuple[str, ...]:
        """The tags of the blocks around the caller, and further ones. Raises :class:`BadInput` for a wrong one."""
        for each in (named, _TAGS.get()):
            self._cache.check(each)
        return (*_TAGS.get(), *named)

    def holds(self, *objects: object) -> bool:
        """Whether the call of these objects waits."""
        return tuple(map(id, objects)) in self._waiting

    def look_up(self, request: Request | None, *objects: object) -> Any:
        """Return the stored answer. If there is none, ``None`` is returned, and the call waits for a fresh one.

        Args:
            request: What it asks; ``None`` for a call that is not to be answered from the cache.
            *objects: The objects of the call.
        """
        if request is None:
            return None
        asked = self._cache.begin_sync(
            request.question, scope=request.scope, handling=replace(request.handling, tags=request.tags)
        )
        return self._looked(asked, request, objects)

    async def look_up_async(self, request: Request | None, *objects: object) -> Any:
        """Like :meth:`look_up`, on an event loop.

        Args:
            request: What it asks; ``None`` for a call that is not to be answered from the cache.
            *objects: The objects of the call.
        """
        if request is None:
            return None
        asked = await self._cache.begin(
            request.question, scope=request.scope, handling=replace(request.handling, tags=request.tags)
        )
        return self._looked(asked, request, objects)

    def store(self, answer: Any, *objects: object, tags: _Tags = (), ttl_s: float = math.inf) -> None:
        """Store the fresh answer of a call that waits.

        Args:
            answer: The answer; ``None`` for one that must not be stored.
            *objects: The objects of the call.
            tags: What it depends on besides the tags of the request.
            ttl_s: For how many seconds it may be served.
        """
        finish(self.store_async(answer, *objects, tags=tags, ttl_s=ttl_s))

    async def store_async(self, answer: Any, *objects: object, tags: _Tags = (), ttl_s: float = math.inf) -> None:
        """Like :meth:`store`, on an event loop.

        Args:
            answer: The answer; ``None`` for one that must not be stored.
            *objects: The objects of the call.
            tags: What it depends on besides the tags of the request.
            ttl_s: For how many seconds it may be served.
        """
        call = self._take(objects)
        if call is not None and answer is not None:
            await call.asked.finish(answer, tags=(*call.tags, *tags), ttl_s=ttl_s)

    def _looked(self, asked: Asked[Any], request: Request, objects: tuple[object, ...]) -> Any:
        if asked.reply is not None:
            return asked.reply.value
        key = tuple(map(id, objects))
        with self._lock:
            # Two lookups with the same objects could not be told apart later, so neither of them is stored.
            self._waiting[key] = _Call(asked, request.tags, objects, is_alone=key not in self._waiting)
            if len(self._waiting) > _MOST:
                del self._waiting[next(iter(self._waiting))]
        return None

    def _take(self, objects: tuple[object, ...]) -> _Call | None:
        key = tuple(map(id, objects))
        with self._lock:
            found = self._waiting.get(key)
            return self._waiting.pop(key) if found is not None and found.is_alone else None
