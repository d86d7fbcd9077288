"""What prefixes in the caches of providers have saved, by the tokens that the ledger has summed up and its prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from parbake_planner.ledger.costs import CostBook, Line, by_token_kind
from parbake_planner.ledger.rows import PREFIX, TOKEN_KINDS

_CACHED = ("cached", "written", "written_hour")


class PrefixSums(msgspec.Struct):
    """One generator: tokens read and written, what they cost and would have cost without a cache, in US dollars."""

    read: float = 0.0
    written: float = 0.0
    paid: float = 0.0
    uncached: float = 0.0
    unpriced: str = ""

    @property
    def saved(self) -> float | None:
        """What the cache has saved; ``None`` if something has no price."""
        return None if self.unpriced else self.uncached - self.paid


def prefix_savings(lines: Iterable[Line], book: CostBook) -> dict[str, PrefixSums]:
    """Price the tokens of caches, and the same tokens without a cache.

    Args:
        lines: The priced usage.
        book: The prices.

    Returns:
        The sums of each generator whose provider has read or written a cache, by its name.
    """
    of: defaultdict[str, PrefixSums] = defaultdict(PrefixSums)
    for line in lines:
        if line.kind == "tokens" and (cached := sum(line.used[kind] for kind in _CACHED)):
            _add(of[line.model], line, cached, book)
    return dict(sorted(of.items()))


def _add(sums: PrefixSums, line: Line, cached: float, book: CostBook) -> None:
    plain = msgspec.structs.replace(line, used=dict.fromkeys(TOKEN_KINDS, 0.0) | {"input": cached})
    ((_, alone),) = by_token_kind(plain, book)
    paid = (*_CACHED, "output") if line.lane == PREFIX else _CACHED  # what keeps a prefix warm also writes a word
    sums.read += line.used["cached"]
    sums.written += cached - line.used["cached"]
    sums.paid += sum(one.usd for kind, one in by_token_kind(line, book) if kind in paid)
    sums.uncached += alone.usd
    sums.unpriced = alone.unpriced or line.unpriced or sums.unpriced
