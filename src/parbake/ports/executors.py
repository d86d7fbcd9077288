"""The port for computing partitions of a batch run in other processes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Executor(Protocol):
    """Computes partitions of batch runs in other processes, which write the rows to the store themselves.

    Jobs and answers are bytes that hold names, keys and numbers; Python objects never pass between the processes.
    """

    width: int
    """How many partitions it works on at once."""

    is_local: bool
    """Whether all its processes run on this machine, so that they can open a store that lies on its disk."""

    async def run(self, job: bytes) -> bytes:
        """Compute one partition, again if the process that had it dies.

        Raises :class:`parbake.errors.ParbakeError` as the lane itself would.
        """
        ...

    async def close(self) -> None:
        """End its processes."""
        ...
