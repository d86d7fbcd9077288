"""cashews under the forced race, with its lock against stampedes on, and its backend in this process's memory."""

from __future__ import annotations

import itertools
from typing import Any

from _race import Contestant, Truth, main
from cashews import Cache, TransactionMode

_names = itertools.count()


def fresh() -> Cache:
    """A cache of its own."""
    cache = Cache(name=f"race{next(_names)}")
    cache.setup("mem://")
    return cache


def _cached(cache: Cache, truth: Truth, ttl_s: int, **options: Any) -> Any:
    @cache(ttl=ttl_s, key="value:{key}", lock=True, **options)
    async def value(key: str) -> int:  # noqa: ARG001  # the key is what it is cached by
        return await truth.aread()

    return value


def delete(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate one key by deleting it."""
    cache = fresh()
    note = "the delete finds nothing yet; the creator stores afterwards"
    get = _cached(cache, truth, ttl_s)
    return Contestant("@cache(lock=True), delete", get, lambda key, _: cache.delete(f"value:{key}"), note)


def tags(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate by tag."""
    cache = fresh()
    note = "a key joins its tag only when it is stored"
    get = _cached(cache, truth, ttl_s, tags=("tag:{key}",))
    return Contestant(
        "@cache(lock=True, tags=), delete_tags", get, lambda key, _: cache.delete_tags(f"tag:{key}"), note
    )


def transaction(truth: Truth, ttl_s: int) -> Contestant:
    """The computation and the invalidation each in a transaction of the strictest mode."""
    cache = fresh()
    cached = _cached(cache, truth, ttl_s)

    async def get(key: str) -> int:
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            found: int = await cached(key)
            return found

    async def update(key: str, _: int) -> None:
        async with cache.transaction(TransactionMode.SERIALIZABLE):
            await cache.delete(f"value:{key}")

    note = "a transaction locks from its first write on, after the computation"
    return Contestant("@cache(lock=True), delete, both in transaction(SERIALIZABLE)", get, update, note)


def write_through(truth: Truth, ttl_s: int) -> Contestant:
    """The update stores the new value itself."""
    cache = fresh()
    get = _cached(cache, truth, ttl_s)

    async def update(key: str, value: int) -> None:
        await cache.set(f"value:{key}", value, expire=ttl_s)

    return Contestant("@cache(lock=True), set(new value)", get, update, "the creator stores over it")


if __name__ == "__main__":
    main("cashews", [delete, tags, transaction, write_through])
