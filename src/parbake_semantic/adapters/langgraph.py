"""A cache for the nodes of LangGraph: ``graph.compile(cache=LangGraphCache(cache))``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parbake.errors import MissingDependency
from parbake_semantic.adapters.calls import EXACT, Calls, Request, digest
from parbake_semantic.cache.semantic_cache import SemanticCache
from parbake_semantic.text.audience import Scope

try:
    from langgraph.cache.base import BaseCache  # pyright: ignore[reportMissingImports]  # an extra brings it
    from langgraph.checkpoint.serde import jsonplus  # pyright: ignore[reportMissingImports]  # (the same)
except ModuleNotFoundError as error:
    raise MissingDependency.of("the cache for LangGraph", "langgraph", field=str(error.name)) from error

_log = logging.getLogger(__name__)
_Key = tuple[tuple[str, ...], str]
_TagsOf = Callable[[str, dict[str, Any]], Sequence[str]]


class LangGraphCache(BaseCache):
    """Keeps what nodes with a ``CachePolicy`` have written, sync and async. Only equal calls share it.

    Values are stored as LangGraph's serializer packs them, but never as pickle.

    Args:
        cache: Where results are kept; it needs no embedder.
        tags: Returns what a result depends on, from the node's name and what it wrote, by channel.
        serde: The serializer; by default LangGraph's own, which does not fall back to pickle.
    """

    def __init__(self, cache: SemanticCache[Any], *, tags: _TagsOf | None = None, serde: Any = None) -> None:
        """Take the cache."""
        super().__init__(serde=serde or jsonplus.JsonPlusSerializer(pickle_fallback=False))
        self._cache, self._calls, self._tags_of = cache, Calls(cache), tags

    def get(self, keys: Sequence[_Key]) -> dict[_Key, Any]:
        """Return the stored results, by key."""
        new = self._new(keys)
        return self._unpacked({key: self._calls.look_up(request, key[1]) for key, request in new.items()})

    async def aget(self, keys: Sequence[_Key]) -> dict[_Key, Any]:
        """Like :meth:`get`, on an event loop."""
        new = self._new(keys)
        return self._unpacked({key: await self._calls.look_up_async(request, key[1]) for key, request in new.items()})

    def set(self, pairs: Mapping[_Key, tuple[Any, int | None]]) -> None:
        """Store fresh results, for a number of seconds if there is one. Raises :class:`BadInput` for a wrong tag."""
        for key, (written, ttl) in pairs.items():
            self._calls.store(self._packed(written), key[1], tags=self._tags(key, written), ttl_s=_seconds(ttl))

    async def aset(self, pairs: Mapping[_Key, tuple[Any, int | None]]) -> None:
        """Like :meth:`set`, on an event loop."""
        for key, (written, ttl) in pairs.items():
            packed, tags = self._packed(written), self._tags(key, written)
            await self._calls.store_async(packed, key[1], tags=tags, ttl_s=_seconds(ttl))

    def clear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        """Stop serving all results of the cache, in all processes, whatever namespaces are named."""
        del namespaces
        self._cache.clear()

    async def aclear(self, namespaces: Sequence[tuple[str, ...]] | None = None) -> None:
        """Like :meth:`clear`, on an event loop."""
        del namespaces
        await self._cache.clear_async()

    def _new(self, keys: Sequence[_Key]) -> dict[_Key, Request]:
        """What is asked of the cache. LangGraph asks again for the tasks that run, with the same text as key."""
        tags = self._calls.tags()
        new = [key for key in keys if not self._calls.holds(key[1])]
        return {key: Request(EXACT, Scope(extra=digest("langgraph", *key)), tags) for key in new}

    def _tags(self, key: _Key, written: Any) -> Sequence[str]:
        tags = self._tags_of(key[0][-1], dict(written)) if self._tags_of else ()
        self._cache.check(tags)
        return tags

    def _unpacked(self, found: Mapping[_Key, Any]) -> dict[_Key, Any]:
        return {key: self.serde.loads_typed(tuple(value)) for key, value in found.items() if value is not None}

    def _packed(self, written: Any) -> list[Any] | None:
        """A value as a kind and bytes; ``None`` for one that would have to be pickled."""
        try:
            kind, data = self.serde.dumps_typed(written)
        except TypeError as error:
            kind, data = "pickle", error
        if kind != "pickle":
            return [kind, data]
        _log.warning("what a node wrote cannot be stored without pickle, and is not: %s", str(data)[:200])
        return None


def _seconds(ttl: int | None) -> float:
    return math.inf if ttl is None else ttl
