"""What a networked store's driver gives the protocol: single items, ordered ranges, one conditional commit.

The protocol's steps (``engine``) then run on it through ``optimistic``: a step reads items, decides, and commits
its writes on condition that what it read has not changed. So every store runs the same code, and a driver is small.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec


class Commit(msgspec.Struct, frozen=True):
    """Writes that are made all together, and only if every item of ``expected`` still has that value.

    ``None`` means "is absent" in ``expected`` and "delete" in ``writes``. On another copy of the data than ``host``
    (when it is named) nothing is written: what was read may never have been true there.
    """

    expected: Mapping[bytes, bytes | None]
    writes: Mapping[bytes, bytes | None]
    host: str = ""


class Items(Protocol):
    """A map from byte names to byte values on a server. Writes are durable when they return.

    Every method raises :class:`parbake.errors.StoreError` when the server cannot answer, within seconds.
    """

    is_snapshot: bool
    """Whether one ``fetch`` sees all its items at one moment."""

    commit_limit: int
    """How many items one commit may name."""

    @property
    def host(self) -> str:
        """Which copy of the data the newest connection reached.

        It changes whenever acknowledged writes may have been lost: a restart without proof of durability, a failover,
        a restore. Known after :meth:`open`; a driver that reconnects learns it before anything is read.
        """
        ...

    async def open(self) -> None:
        """Connect, check that the data is parbake's (or empty) and the server fit to hold it; idempotent."""
        ...

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The values of some items, in order; names may repeat. Never stale: read from the primary."""
        ...

    async def commit(self, commit: Commit) -> bool:
        """Check and write in one atomic step; ``False`` when an expectation failed and nothing was written."""
        ...

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write many items without conditions and not as one step."""
        ...

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete many items, not as one step."""
        ...

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most ``limit`` items in byte order whose names have a prefix and are not before ``start``.

        Asked only for prefixes that :func:`parbake.stores.steps.engine.is_listed` says are listed.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
