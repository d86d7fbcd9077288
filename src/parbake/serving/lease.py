"""Leases in the store, after those of memcache: they decide which process computes a costly key.

A lease only limits herds; the fence decides what may be served. If clocks disagree, if the store loses a lease, or if
two processes hold the same one, the only consequence is that a key is computed twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import blake2b

import msgspec

from parbake.errors import StoreError, StoreFull
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.serving.bound import BoundTask
from parbake.values.backoff import Backoff

PATIENCE = 3
"""The number of terms after which a waiting process computes without a lease."""
BACKOFF = Backoff(0.005, 0.1)
NAME = "lease/"
"""The prefix of a lease's name among a store's named values."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """The holder of a lease (by a random token), and the end of the lease (epoch seconds)."""

    token: bytes
    until: float


_as_held = msgspec.msgpack.Decoder(Held).decode


def lease_name(ref: str, raw: bytes) -> str:
    """The name of the lease on a task's key, among the store's named values."""
    return f"{NAME}{ref}/{blake2b(raw, digest_size=16).hexdigest()}"


def _end_of(raw: bytes) -> float:
    try:
        return _as_held(raw).until
    except msgspec.DecodeError:
        return 0.0  # nobody's


class Lease:
    """The lease on one key, as one process acquires, renews and releases it."""

    def __init__(self, store: Store, clock: Clock, name: str, term_s: float) -> None:
        """``term_s`` is the term in seconds; after it another process may take over the lease of a dead holder."""
        self._store = store
        self._clock = clock
        self._name = name
        self._term_s = term_s
        self._mine: bytes | None = None

    async def acquire(self) -> bool:
        """Take the lease; ``False`` if another process holds it."""
        found = await self._store.get(self._name)
        now = self._clock.now()
        if found and now < _end_of(found) <= now + self._term_s:  # a later end comes from a wrong clock or another term
            return False
        mine = msgspec.msgpack.encode(Held(secrets.token_bytes(8), now + self._term_s))
        if not await self._store.swap(self._name, found, mine):
            return False
        self._mine = mine
        return True

    async def renew(self) -> None:
        """Extend the lease by a term, unless another process has taken it over."""
        if self._mine is None:
            return
        later = msgspec.msgpack.encode(Held(secrets.token_bytes(8), self._clock.now() + self._term_s))
        if await self._store.swap(self._name, self._mine, later):
            self._mine = later

    async def release(self) -> None:
        """Give the lease up, unless another process has taken it over. If the store fails, the lease expires."""
        if self._mine is not None:
            with contextlib.suppress(StoreError):
                await self._store.swap(self._name, self._mine, None)


class Turns:
    """The leases of one app. They are in the store, and so apply to every process that uses it."""

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        """Hold no lease yet."""
        self._store = store
        self._clock = clock
        self._outcomes = counters.leases

    @contextlib.asynccontextmanager
    async def now(self, bound: BoundTask, raw: bytes) -> AsyncIterator[bool]:
        """Yield whether this process got the lease, without waiting; always ``True`` for a task without leases."""
        if bound.lease_s is None:
            yield True
            return
        lease = self._lease(bound, raw, bound.lease_s)
        try:
            yield await lease.acquire()
        finally:
            await lease.release()

    @contextlib.asynccontextmanager
    async def wait(self, bound: BoundTask, raw: bytes, is_there: Callable[[], Awaitable[bool]]) -> AsyncIterator[bool]:
        """Wait for the lease on a key.

        Args:
            bound: The key's task.
            raw: The key's bytes.
            is_there: Returns whether the store has a value that may be served.

        Returns:
            Whether this process holds the lease; ``False`` when another has stored a value that may be served.
        """
        if bound.lease_s is None:
            yield True
            return
        lease = self._lease(bound, raw, bound.lease_s)
        try:
            outcome = await _outcome(lease, PATIENCE * bound.lease_s, is_there)
            self._outcomes[bound.name, outcome] += 1
            yield outcome != "shared"
        finally:
            await lease.release()

    def _lease(self, bound: BoundTask, raw: bytes, term_s: float) -> Lease:
        return Lease(self._store, self._clock, lease_name(bound.ref, raw), term_s)


async def _outcome(lease: Lease, patience_s: float, is_there: Callable[[], Awaitable[bool]]) -> str:
    """``held``, ``shared`` if another process computed the key meanwhile, ``unleased`` if the patience is over."""
    loop = asyncio.get_running_loop()
    until, attempt = loop.time() + patience_s, 0
    while True:
        try:
            is_held = await lease.acquire()
        except StoreFull:  # no room for a lease: all processes compute at once, and every request gets an answer
            until, is_held = loop.time(), False
        if await is_there():  # also look with the lease held: the last holder may just have stored it
            return "shared"
        if is_held:
            return "held"
        if loop.time() >= until:
            return "unleased"
        await asyncio.sleep(BACKOFF.pause_s(attempt))
        attempt += 1
