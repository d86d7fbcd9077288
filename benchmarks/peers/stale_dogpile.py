"""dogpile.cache under the forced race. Its per-key lock is on: that is how ``get_or_create`` always works."""

from __future__ import annotations

import asyncio
from typing import Any

from _race import Contestant, Truth, main
from dogpile.cache import make_region


def region(ttl_s: int) -> Any:
    """A region in this process's memory."""
    return make_region().configure("dogpile.cache.memory", expiration_time=ttl_s)


def _contestant(truth: Truth, cache: Any, used: str, update: Any, note: str) -> Contestant:
    async def get(key: str) -> int:
        return await asyncio.to_thread(cache.get_or_create, key, truth.read)

    async def updated(key: str, value: int) -> None:
        await asyncio.to_thread(update, key, value)

    return Contestant(used, get, updated, note)


def delete(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate one key by deleting it."""
    cache = region(ttl_s)
    note = "the delete finds nothing yet; the creator stores afterwards"
    return _contestant(truth, cache, "get_or_create, delete", lambda key, _: cache.delete(key), note)


def invalidate(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate the whole region, hard."""
    cache = region(ttl_s)
    note = "a value's creation time is taken after its creator returned"
    return _contestant(truth, cache, "get_or_create, invalidate(hard)", lambda *_: cache.invalidate(hard=True), note)


def write_through(truth: Truth, ttl_s: int) -> Contestant:
    """The update stores the new value itself."""
    cache = region(ttl_s)
    return _contestant(truth, cache, "get_or_create, set(new value)", cache.set, "the creator stores over it")


if __name__ == "__main__":
    main("dogpile.cache", [delete, invalidate, write_through])
