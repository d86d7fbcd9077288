"""What prefixes in the caches of providers have saved, by the tokens that the ledger has summed up and its prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from parbake_console.wording import count, usd
from parbake_planner.ledger.costs import CostBook, Line, by_token_kind
from parbake_planner.ledger.rows import PREFIX, TOKEN_KINDS

_CACHED = ("cached", "written", "written_hour")


class PrefixLine(msgspec.Struct, frozen=True):
    """One generator, in words: tokens read and written, what they cost, what they would have cost, what that saves."""

    model: str
    read: str
    written: str
    paid: str
    uncached: str
    saved: str
    unpriced: str


class _Sums(msgspec.Struct):
    read: float = 0.0
    written: float = 0.0
    paid: float = 0.0
    uncached: float = 0.0
    unpriced: str = ""


def prefix_savings(lines: Iterable[Line], book: CostBook) -> tuple[Sequence[PrefixLine], float]:
    """Price the tokens of caches, and the same tokens without a cache.

    Args:
        lines: The priced usage.
        book: The prices.

    Returns:
        A line for each generator whose provider has read or written a cache, and what all have saved in US dollars.
    """
    of: defaultdict[str, _Sums] = defaultdict(_Sums)
    for line in lines:
        if line.kind == "tokens" and (cached := sum(line.used[kind] for kind in _CACHED)):
            _add(of[line.model], line, cached, book)
    return [_told(*one) for one in sorted(of.items())], sum(map(_saved, of.values()))


def _add(sums: _Sums, line: Line, cached: float, book: CostBook) -> None:
    plain = msgspec.structs.replace(line, used=dict.fromkeys(TOKEN_KINDS, 0.0) | {"input": cached})
    ((_, alone),) = by_token_kind(plain, book)
    paid = (*_CACHED, "output") if line.lane == PREFIX else _CACHED  # what keeps a prefix warm also writes a word
    sums.read += line.used["cached"]
    sums.written += cached - line.used["cached"]
    sums.paid += sum(one.usd for kind, one in by_token_kind(line, book) if kind in paid)
    sums.uncached += alone.usd
    sums.unpriced = alone.unpriced or line.unpriced or sums.unpriced


def _saved(sums: _Sums) -> float:
    return 0.0 if sums.unpriced else sums.uncached - sums.paid


def _told(model: str, sums: _Sums) -> PrefixLine:
    saved = "not known" if sums.unpriced else usd(_saved(sums))
    return PrefixLine(
        model, count(sums.read), count(sums.written), usd(sums.paid), usd(sums.uncached), saved, sums.unpriced,
    )  # fmt: skip
