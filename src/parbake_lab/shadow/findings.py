"""The findings, per key and in total. No I/O, no clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from parbake.values.statistics import percentile

Outcome = Literal["missing", "undecodable", "failed", "unsettled", "equal", "different"]
EXAMPLES = 5
_Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal, for a two-sided 95 % interval."""


class Finding(msgspec.Struct, frozen=True):
    """The finding for one key. Times are in seconds, ``None`` if there is no evidence.

    ``age_s`` is how long the entry has been in the cache. ``idle_s`` is how long it was not read, so it is at least
    that old. ``wrong_for_s`` is how long the truth has been different. ``detail`` says where the values differ, or why
    one is missing. ``cached`` and ``truth`` are recorded for a differing key if values may be shown. ``drawn`` is how
    often the key was drawn, which is more than once only if requests were drawn.
    """

    key: str
    outcome: Outcome
    detail: str = ""
    age_s: float | None = None
    idle_s: float | None = None
    recompute_s: float | None = None
    wrong_for_s: float | None = None
    message: str = ""
    cached: str = ""
    truth: str = ""
    drawn: int = 1


class Problem(msgspec.Struct, frozen=True):
    """One kind of problem: how many keys have it, and the first of them with its message."""

    what: str
    count: int
    first_key: str
    message: str


class Spread(msgspec.Struct, frozen=True):
    """The distribution of some times in seconds; ``count`` is their number."""

    count: int
    p50: float | None
    p95: float | None
    max: float | None


class Price(msgspec.Struct, frozen=True):
    """The cost of one recompute and of one stale answer, in any currency; ``None`` if unknown."""

    recompute: float | None = None
    stale: float | None = None


class ShadowSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run. Shares are 0 to 1.

    ``sampled``, ``outcomes``, ``compared``, the stale share with its interval, and ``cost_stale`` count what was drawn,
    which may be requests. Everything else counts each key once, because it is computed once. ``stale_share`` is
    relative to ``compared``, and ``unneeded_share`` to the keys that could be compared.
    """

    sampled: int
    outcomes: dict[str, int]
    key_outcomes: dict[str, int]
    compared: int
    stale_share: float
    stale_low: float
    stale_high: float
    age_all: Spread
    age_stale: Spread
    idle: Spread
    wrong_for: Spread
    recompute: Spread
    recompute_total_s: float
    unneeded_share: float
    cost_recompute_all: float | None
    cost_unneeded: float | None
    cost_stale: float | None
    problems: list[Problem]
    examples: list[Finding]


def spread(values: Sequence[float | None]) -> Spread:
    """The distribution of the known times."""
    known = [value for value in values if value is not None]
    return Spread(len(known), percentile(known, 50), percentile(known, 95), max(known, default=None))


def summarize(findings: Sequence[Finding], price: Price) -> ShadowSummary:
    """Count the outcomes of a comparison, and estimate from them the share of stale answers and what they cost.

    Args:
        findings: What each sampled key came to.
        price: What a recomputation and a stale answer cost.
    """
    outcomes, keys = Counter[str](), Counter[str]()
    for f in findings:
        outcomes[f.outcome] += f.drawn
        keys[f.outcome] += 1
    stale = sorted((f for f in findings if f.outcome == "different"), key=lambda f: -f.drawn)
    compared = outcomes["equal"] + outcomes["different"]
    low, high = wilson(outcomes["different"], compared)
    took = [f.recompute_s for f in findings if f.recompute_s is not None]
    return ShadowSummary(
        sampled=outcomes.total(),
        outcomes=dict(outcomes),
        key_outcomes=dict(keys),
        compared=compared,
        stale_share=_share(outcomes["different"], compared),
        stale_low=low,
        stale_high=high,
        age_all=spread([f.age_s for f in findings]),
        age_stale=spread([f.age_s for f in stale]),
        idle=spread([f.idle_s for f in findings]),
        wrong_for=spread([f.wrong_for_s for f in stale]),
        recompute=spread(took),
        recompute_total_s=sum(took),
        unneeded_share=_share(keys["equal"], keys["equal"] + len(stale)),
        cost_recompute_all=_times(price.recompute, len(took)),
        cost_unneeded=_times(price.recompute, keys["equal"]),
        cost_stale=_times(price.stale, outcomes["different"]),
        problems=_problems(findings),
        examples=stale[:EXAMPLES],
    )


def _problems(findings: Sequence[Finding]) -> list[Problem]:
    """Problems by kind, the most frequent first."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.outcome in ("undecodable", "failed"):
            kinds.setdefault(finding.detail, []).append(finding)
    ordered = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    return [Problem(what, len(of), of[0].key, of[0].message) for what, of in ordered]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _times(price: float | None, count: int) -> float | None:
    return None if price is None else price * count


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (0 to 1); without observations, the whole range."""
    if of == 0:
        return 0.0, 1.0
    share, scale = hits / of, 1 + _Z95**2 / of
    middle = share + _Z95**2 / (2 * of)
    spread = _Z95 * math.sqrt(share * (1 - share) / of + _Z95**2 / (4 * of**2))
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
