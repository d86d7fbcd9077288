"""How many generations of a task are kept to roll back to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from parbake.errors import ContractError
from parbake.values.checks import check_whole
from parbake.values.sizes import size_bytes

MOST = 16


@dataclass(frozen=True)
class Retention:
    """Keep at most ``generations`` (the current one included), and of those at most ``size`` (``"2GiB"``) in total.

    The current generation is kept whatever its size. Raises :class:`ContractError` for an invalid number or size.
    """

    generations: int = 3
    size: str | int | None = None

    def __post_init__(self) -> None:
        """Raise :class:`ContractError` for an invalid number of generations or size."""
        check_whole(self.generations, field="retention.generations", error=ContractError, most=MOST)
        _ = self.limit_bytes

    @cached_property
    def limit_bytes(self) -> float:
        """The limit on the total size of the kept generations, in bytes; infinite without ``size``."""
        if self.size is None:
            return float("inf")
        return size_bytes(self.size, field="retention.size", error=ContractError)

    def kept(self, sizes: Sequence[int]) -> int:
        """How many generations to keep, given the sizes of all of them in bytes, newest first."""
        total = 0
        for count, size in enumerate(sizes[: self.generations]):
            total += size
            if count and total > self.limit_bytes:
                return count
        return min(len(sizes), self.generations) or 1
