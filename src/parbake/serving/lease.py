"""Whose turn it is to compute a costly key, across processes: a lease in the store, after the leases of memcache.

A lease limits herds and nothing else: what may be served is for the fence to say. So nothing breaks where clocks
disagree, where a store forgets a lease, or where two processes hold one: a key is then computed twice.
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

PATIENCE = 3
"""After so many terms a process that waits computes without a lease."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.1
NAME = "lease/"
"""How the name of a lease begins, among a store's named values."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """Who holds a lease (a token of its own), and until when (epoch seconds)."""

    token: bytes
    until: float


_as_held = msgspec.msgpack.Decoder(Held).decode


def lease_name(ref: str, raw: bytes) -> str:
    """Where the lease of a task's key lies, among the store's named values."""
    return f"{NAME}{ref}/{blake2b(raw, digest_size=16).hexdigest()}"


def _end_of(raw: bytes) -> float:
    try:
        return _as_held(raw).until
    except msgspec.DecodeError:
        return 0.0  # nobody's


class Lease:
    """One process's wish to compute one key."""

    def __init__(self, store: Store, clock: Clock, name: str, term_s: float) -> None:
        """``term_s`` is how long a holder has; one that died is succeeded after that."""
        self._store = store
        self._clock = clock
        self._name = name
        self._term_s = term_s
        self._mine: bytes | None = None

    async def acquire(self) -> bool:
        """Take the lease, unless another holds it."""
        found = await self._store.get(self._name)
        now = self._clock.now()
        if found and now < _end_of(found) <= now + self._term_s:  # a later end is of a wrong clock, or another term
            return False
        mine = msgspec.msgpack.encode(Held(secrets.token_bytes(8), now + self._term_s))
        if not await self._store.swap(self._name, found, mine):
            return False
        self._mine = mine
        return True

    async def renew(self) -> None:
        """Hold it for another term, unless somebody has taken it over."""
        if self._mine is None:
            return
        later = msgspec.msgpack.encode(Held(secrets.token_bytes(8), self._clock.now() + self._term_s))
        if await self._store.swap(self._name, self._mine, later):
            self._mine = later

    async def release(self) -> None:
        """Let the next one have it, unless somebody has taken it over; where the store fails, it runs out."""
        if self._mine is not None:
            with contextlib.suppress(StoreError):
                await self._store.swap(self._name, self._mine, None)


class Turns:
    """The leases of one app. They lie in the store, so they hold for every process on it."""

    def __init__(self, store: Store, clock: Clock, counters: Counters) -> None:
        """Nothing is held."""
        self._store = store
        self._clock = clock
        self._outcomes = counters.leases

    @contextlib.asynccontextmanager
    async def now(self, bound: BoundTask, raw: bytes) -> AsyncIterator[bool]:
        """Say whether it is this process's turn, without waiting; always, for a task without a lease."""
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
            is_there: Looks whether a value that may be served is stored.

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
    """``held``, ``shared`` when another process computed it meanwhile, ``unleased`` when patience is at its end."""
    loop = asyncio.get_running_loop()
    until, pause_s = loop.time() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            is_held = await lease.acquire()
        except StoreFull:  # no room for a lease: the herd is not limited, and everybody is answered
            until, is_held = loop.time(), False
        if await is_there():  # looked at with the lease in hand, too: the last holder may just have stored it
            return "shared"
        if is_held:
            return "held"
        if loop.time() >= until:
            return "unleased"
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
