"""aiocache under the forced race, with and without its lock, and its backend in this process's memory."""

from __future__ import annotations

from typing import Any

from _race import Contestant, Truth, main
from aiocache import cached, cached_stampede


def _contestant(decorator: Any, used: str, truth: Truth, *, writes: bool = False, note: str) -> Contestant:
    async def value(key: str) -> int:  # noqa: ARG001  # the key is what it is cached by
        return await truth.aread()

    get = decorator(value)

    async def update(key: str, new: int) -> None:
        await (get.cache.set(key, new) if writes else get.cache.delete(key))

    return Contestant(used, get, update, note)


def _options(ttl_s: int) -> dict[str, Any]:
    return {"ttl": ttl_s, "key_builder": lambda _, key: key}


def delete(truth: Truth, ttl_s: int) -> Contestant:
    """Invalidate one key by deleting it."""
    note = "the delete finds nothing yet; the creator stores afterwards"
    return _contestant(cached(**_options(ttl_s)), "@cached, delete", truth, note=note)


def locked(truth: Truth, ttl_s: int) -> Contestant:
    """The same with the lock against stampedes."""
    note = "the lock keeps other creators away, not the invalidation"
    decorator = cached_stampede(lease=30, **_options(ttl_s))
    return _contestant(decorator, "@cached_stampede, delete", truth, note=note)


def write_through(truth: Truth, ttl_s: int) -> Contestant:
    """The update stores the new value itself."""
    note = "the creator stores over it"
    return _contestant(cached(**_options(ttl_s)), "@cached, set(new value)", truth, writes=True, note=note)


if __name__ == "__main__":
    main("aiocache", [delete, locked, write_through])
