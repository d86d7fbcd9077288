"""What a networked store's driver provides: single items, ordered ranges, and one conditional commit.

The steps (``record_steps``, ``event_steps``) run on it through ``optimistic``: a step reads items, decides, and commits
its writes on the condition that the items it read have not changed. Every store therefore runs the same code, and a
driver stays small.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

FETCH_S = 1.0
"""For how many seconds a fetch waits for the server."""


class Commit(msgspec.Struct, frozen=True):
    """Writes that are made atomically, and only if every item of ``expected`` still has that value.

    ``None`` means "is absent" in ``expected`` and "delete" in ``writes``. If ``host`` is given, nothing is written on
    another copy of the data, because the items that were read may never have existed there.
    """

    expected: Mapping[bytes, bytes | None]
    writes: Mapping[bytes, bytes | None]
    host: str = ""


class Items(Protocol):
    """A map from byte names to byte values on a server. Writes are durable when they return.

    Every method raises :class:`parbake.errors.StoreError` within seconds if the server cannot answer.
    """

    is_snapshot: bool
    """Whether one ``fetch`` reads all its items from one snapshot."""

    commit_limit: int
    """The greatest number of items in one commit."""

    @property
    def host(self) -> str:
        """Which copy of the data the newest connection reached.

        It changes whenever acknowledged writes may have been lost: after a restart without proof of durability, a
        failover or a restore. It is known after :meth:`open`. A driver that reconnects asks for the host before it
        reads any item.
        """
        ...

    async def open(self) -> None:
        """Connect, and check that the data is parbake's (or empty) and that the server is suitable; idempotent."""
        ...

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read items, in order; names may repeat. Reads go to the primary and are never stale.

        Requests wait for it, and are answered without the store afterwards. So it fails after :data:`FETCH_S` seconds,
        if the driver's client can tell so soon.
        """
        ...

    async def commit(self, commit: Commit) -> bool:
        """Check and write in one atomic step; ``False`` if an expectation failed and nothing was written."""
        ...

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write many items without conditions and not atomically."""
        ...

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete many items, not atomically."""
        ...

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List items with a prefix in byte order.

        It is called only with prefixes for which :func:`parbake.stores.steps.item_names.is_listed` is true. The rows of
        one generation may come in another order, which is always the same. Then ``start`` is the prefix, or a name that
        was listed followed by a zero byte.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items; fewer items mean that there are no more.
        """
        ...

    async def count(self, prefix: bytes) -> int:
        """Count the items with a prefix; it is called only with the prefix of one generation's rows."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


def chunks(
    rows: Iterable[tuple[bytes, bytes]], *, most_rows: int, most_bytes: int
) -> Iterator[list[tuple[bytes, bytes]]]:
    """Cut rows into parts for one request each; a single row may be larger than a part.

    Args:
        rows: The rows.
        most_rows: The greatest number of rows in a part.
        most_bytes: The greatest sum of the lengths of their values.
    """
    chunk: list[tuple[bytes, bytes]] = []
    size = 0
    for name, value in rows:
        if chunk and (len(chunk) == most_rows or size + len(value) > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append((name, value))
        size += len(value)
    if chunk:
        yield chunk


def end_of(prefix: bytes) -> bytes | None:
    """The least name that is greater than every name with a prefix; ``None`` if there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None
