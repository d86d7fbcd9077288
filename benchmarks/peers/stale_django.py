"""Django's cache framework under the forced race, with its backend in this process's memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from _race import Contestant, Truth, main
from django.core.cache.backends.locmem import LocMemCache


def _contestant(truth: Truth, ttl_s: int, used: str, update: Callable[..., object], note: str) -> Contestant:
    cache = LocMemCache(uuid.uuid4().hex, {"TIMEOUT": ttl_s})

    async def get(key: str) -> int:
        return await asyncio.to_thread(cache.get_or_set, key, truth.read)

    async def updated(key: str, value: int) -> None:
        await asyncio.to_thread(update, cache, key, value)

    return Contestant(used, get, updated, note)


def delete(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate one key by deleting it."""
    note = "the delete finds nothing yet; the creator adds afterwards"
    return _contestant(truth, ttl_s, "get_or_set, delete", lambda cache, key, _: cache.delete(key), note)


def write_through(truth: Truth, ttl_s: int) -> Contestant:
    """The update stores the new value itself."""
    note = "get_or_set only adds; the update must compute every value that depends on it"
    return _contestant(truth, ttl_s, "get_or_set, set(new value)", lambda cache, *pair: cache.set(*pair), note)


if __name__ == "__main__":
    main("Django", [delete, write_through])
