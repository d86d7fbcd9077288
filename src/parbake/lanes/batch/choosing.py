"""Who chooses the keys that a batch run computes, if it is not ``keys=`` alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from parbake.serving.bound import BoundTask


class Pick(msgspec.Struct, frozen=True):
    """The keys that a plan computes ahead in one run, as store bytes: ``keys``, or all listed keys except ``but``.

    ``p_hat`` is the mean chance that the keys are requested. A key is computed ahead if its chance is at least
    ``theta``. Both are ``None`` if the keys were not chosen one by one.
    """

    strategy: str
    keys: Collection[bytes] | None
    but: Collection[bytes] = ()
    p_hat: float | None = None
    theta: float | None = None

    def wants(self, key: bytes) -> bool:
        """Whether a listed key is computed ahead."""
        return key not in self.but if self.keys is None else key in self.keys


class RefreshPolicy(Protocol):
    """Decides about tasks whose ``refresh=`` leaves that open."""

    async def is_idle(self, bound: BoundTask) -> bool:
        """Whether nothing of a task is computed ahead now."""
        ...

    async def picked(self, bound: BoundTask) -> Pick:
        """Return the keys to compute ahead in a run that starts now."""
        ...
