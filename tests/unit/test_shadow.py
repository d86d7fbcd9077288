"""``parbake shadow``: comparison, statistics, and a run over a fake cache."""

import asyncio
import dataclasses
import math
import threading
import time

import msgspec
import pytest
from tests.waiting import HANGS_S

import parbake as pb
from parbake.values.statistics import percentile
from parbake_lab.shadow import CurrentValue
from parbake_lab.shadow.caches import CacheEntry, UndecodableError
from parbake_lab.shadow.compare import difference, normal
from parbake_lab.shadow.findings import Finding, Price, summarize, wilson
from parbake_lab.shadow.shadow_report import as_json, seconds, short, tables
from parbake_lab.shadow.shadow_run import ShadowLimits, Style, shadow

FAST = ShadowLimits(sample=100, rate=10_000, timeout_s=HANGS_S)
HIDDEN = Style()


@pytest.mark.parametrize(
    ("cached", "truth", "where"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "$.a[1].b"),
        ({"a": 1}, {"a": 1, "b": None}, "$.b"),
        ([1, 2], [1], "$[1]"),
        ("14 days", "30 days", "$"),
        (1, True, "$"),
        (1, "1", "$"),
        (None, 0, "$"),
        (1, 1.0, None),
        (math.nan, math.nan, None),
        ({"a": 1, "b": (2,)}, {"b": [2], "a": 1}, None),
    ],
)
def test_the_first_difference_is_located(cached, truth, where):
    """Values are compared by content, and the first difference is reported by its path."""
    assert difference(cached, truth) == where


def test_a_tolerance_is_absolute_or_relative():
    """Numbers within the absolute or relative tolerance are equal."""
    assert difference([0.0, 1000.0], [0.009, 1009.0], tolerance=0.01) is None
    assert difference([0.0], [0.02], tolerance=0.01) == "$[0]"
    assert difference([1000.0], [1011.0], tolerance=0.01) == "$[0]"


def test_recomputed_values_take_their_plain_form():
    """Structs, dataclasses, tuples and sets are converted to the types that a decoder returns."""

    class Offer(msgspec.Struct):
        price: int

    @dataclasses.dataclass
    class Page:
        offers: tuple[Offer, ...]

    assert difference({"offers": [{"price": 1}]}, normal(Page((Offer(1),)))) is None
    assert normal({3, 1, 2}) == [1, 2, 3]
    assert normal({1: "one"}) == {"1": "one"}
    assert normal(b"\0", keep_bytes=True) == b"\0"
    with pytest.raises(TypeError):
        normal(object())


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (1, 500, 0.00035, 0.01125),
    ],
)
def test_wilson_intervals_are_the_published_ones(hits, of, low, high):
    """The intervals match published values, including those of 0 % and 100 %."""
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_percentiles_are_nearest_rank():
    """The nearest rank is used, and an empty list has no percentile."""
    assert percentile(range(1, 101), 95) == 95
    assert percentile([7.0], 50) == 7.0
    assert percentile([], 50) is None


def test_a_summary_counts_only_what_could_be_compared():
    """The stale share counts only compared keys, and costs follow from the given prices."""
    findings = [
        Finding("a", "equal", recompute_s=1.0, age_s=10.0),
        Finding("b", "equal", recompute_s=1.0, age_s=20.0),
        Finding("c", "equal", recompute_s=1.0),
        Finding("d", "different", "$.x", recompute_s=3.0, age_s=40.0, wrong_for_s=5.0),
        Finding("e", "missing"),
        Finding("f", "undecodable", "not decodable: DecodeError"),
        Finding("g", "failed", "ValueError", recompute_s=1.0, message="no such key"),
        Finding("h", "unsettled", recompute_s=1.0),
    ]
    summary = summarize(findings, Price(recompute=0.5, stale=2.0))
    assert (summary.sampled, summary.compared, summary.stale_share) == (8, 4, 0.25)
    assert (summary.age_all.max, summary.age_stale.p50, summary.wrong_for.count) == (40.0, 40.0, 1)
    assert (summary.cost_recompute_all, summary.cost_unneeded, summary.cost_stale) == (3.0, 1.5, 2.0)
    assert summary.unneeded_share == 0.75
    assert [(p.what, p.count, p.first_key) for p in summary.problems] == [
        ("not decodable: DecodeError", 1, "f"),
        ("ValueError", 1, "g"),
    ]


def test_a_summary_of_nothing_claims_nothing():
    """Without findings the interval is 0 to 1, and the tables and the JSON can be made."""
    summary = summarize([], Price())
    assert (summary.stale_low, summary.stale_high, summary.age_all.count) == (0.0, 1.0, 0)
    assert len(list(tables(summary, keys=0))) == 1
    assert msgspec.json.decode(as_json(summary, cache="redis://somewhere", keys=0))["stale_share"] == 0.0


def test_times_and_keys_are_shown_shortly():
    """Times are shown in a fitting unit; keys are cut, and control characters are replaced."""
    assert [seconds(v) for v in (None, 0.0123, 5, 90, 7200, 200_000)] == [
        "not known", "12.3 ms", "5 s", "1.5 min", "2 h", "2.31 d",
    ]  # fmt: skip
    assert short("k" * 100) == "k" * 59 + "…"
    assert short("a\x1b[31m") == "a?[31m"


class Played:
    """A cache in memory in which some keys have another value at the second read."""

    def __init__(self, entries, *, moves=()):
        self.entries, self.moves, self.reads = entries, moves, []

    def sample(self, count, *, until):
        return list(self.entries)[:count]

    def read(self, key):
        self.reads.append(key)
        entry = self.entries[key]
        if isinstance(entry, Exception):
            raise entry
        if key in self.moves and self.reads.count(key) > 1:
            return CacheEntry("moved")
        return entry

    def close(self):
        """Close nothing."""


async def outcomes(cache, recompute, limits=FAST, style=HIDDEN):
    """Run the comparison, and return the findings by key."""
    run = await shadow(cache, recompute, limits, style)
    return {finding.key: finding for finding in run.findings}


async def test_every_outcome_is_told_apart():
    """Every outcome is reported with its detail, and no failure ends the run."""
    cache = Played(
        {
            "missing": None,
            "broken": UndecodableError("not decodable: DecodeError"),
            "raises": CacheEntry(1),
            "odd": CacheEntry(1),
            "moved": CacheEntry("old"),
            "equal": CacheEntry({"a": 1}, age_s=4.0),
            "gone": CacheEntry({"a": 1}),
            "different": CacheEntry({"a": 1}, age_s=9.0),
        },
        moves={"moved"},
    )

    def recompute(key):
        if key == "raises":
            raise KeyError("no such policy")
        values = {
            "odd": object(),
            "gone": pb.Absent(),
            "different": CurrentValue({"a": 2}, changed_at=time.time() - 60),
        }
        return values.get(key, {"a": 1})

    found = await outcomes(cache, recompute)
    assert {key: finding.outcome for key, finding in found.items()} == {
        "missing": "missing", "broken": "undecodable", "raises": "failed", "odd": "failed",
        "moved": "unsettled", "equal": "equal", "gone": "different", "different": "different",
    }  # fmt: skip
    assert found["raises"].detail == "KeyError"
    assert found["different"].detail == "$.a"
    assert found["different"].wrong_for_s == pytest.approx(60, abs=5)
    assert (found["different"].cached, found["different"].age_s) == ("", 9.0)


async def test_values_are_kept_only_when_they_may_be_shown():
    """Findings hold values, cut to a length, only with ``show_values``."""
    cache = Played({"k": CacheEntry("x" * 1000)})
    shown = (await outcomes(cache, lambda key: "new", style=Style(show_values=True)))["k"]
    assert (len(shown.cached), shown.truth) == (200, "'new'")


async def test_an_async_recompute_is_awaited():
    """The recompute function may be a coroutine function, or may return an awaitable."""

    async def recompute(key):
        await asyncio.sleep(0)
        return key

    def returns_an_awaitable(key):
        return recompute(key)

    for function in (recompute, returns_an_awaitable):
        found = await outcomes(Played({"k": CacheEntry("k")}), function)
        assert found["k"].outcome == "equal"


async def test_the_rate_bounds_the_run():
    """Ten recomputes at fifty a second take at least nine fiftieths of a second, also in parallel."""
    started = time.monotonic()
    await outcomes(
        Played({str(n): CacheEntry(n) for n in range(10)}), int, ShadowLimits(sample=10, rate=50, parallel=5)
    )
    assert time.monotonic() - started >= 9 / 50


async def test_a_hung_recompute_ends_with_the_time():
    """At the timeout the run returns the findings so far, although a recompute hangs."""
    hangs, is_over = Played({"a": CacheEntry("a"), "b": CacheEntry("b")}), threading.Event()
    run = await shadow(
        hangs,
        lambda key: is_over.wait(HANGS_S) if key == "b" else key,
        ShadowLimits(sample=2, rate=1000, timeout_s=2),
        HIDDEN,
    )
    is_over.set()
    assert (run.keys, [finding.key for finding in run.findings]) == (2, ["a"])
