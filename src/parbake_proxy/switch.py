"""The switch by which all processes of a proxy stop using the cache, and what they share besides answers."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from parbake.ports.clock import Clock
from parbake.ports.store import Store

_BYPASS, _SALT = "proxy/bypass", "proxy/salt"
_LOOKED_S = 0.05
_ON = b"1"


class Switch:
    """Says whether the cache is used. Another process's decision is seen within 50 ms."""

    def __init__(self, store: Store, clock: Clock, *, is_always_on: bool) -> None:
        """Know nothing yet.

        Args:
            store: Where the decision is kept.
            clock: The source of wall time.
            is_always_on: Whether the cache is bypassed whatever the store says.
        """
        self._store, self._clock, self._is_always_on = store, clock, is_always_on
        self._is_on = False
        self._looked_at = float("-inf")

    async def is_on(self) -> bool:
        """Whether the cache is bypassed."""
        if self._is_always_on:
            return True
        now = self._clock.now()
        if not 0.0 <= now - self._looked_at < _LOOKED_S:
            self._is_on = await self._store.get(_BYPASS) == _ON
            self._looked_at = now
        return self._is_on

    async def set(self, *, on: bool) -> None:
        """Bypass the cache in all processes, or use it again."""
        while True:
            before = await self._store.get(_BYPASS)
            if await self._store.swap(_BYPASS, before, _ON if on else None):
                self._is_on, self._looked_at = on, self._clock.now()
                return


class Tenants:
    """Names those who ask by their credentials, which are not kept: by a hash with a secret of the store."""

    def __init__(self, store: Store) -> None:
        """Know nobody yet."""
        self._store = store
        self._salt = b""

    async def name(self, credentials: Sequence[str]) -> str:
        """The name of whoever has these credentials; empty for who has none."""
        if not credentials:
            return ""
        if not self._salt:
            await self._store.swap(_SALT, None, secrets.token_bytes(32))
            self._salt = await self._store.get(_SALT) or b""
        return hmac.digest(self._salt, "\0".join(credentials).encode(), "sha256").hex()[:32]
