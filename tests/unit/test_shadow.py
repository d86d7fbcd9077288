"""``parbake shadow``: comparison, statistics, and a run over a fake cache."""

import asyncio
import dataclasses
import math
import threading
import time
from collections import Counter

import msgspec
import pytest
from tests.waiting import HANGS_S

import parbake as pb
from parbake.values.statistics import percentile
from parbake_lab.shadow import CurrentValue
from parbake_lab.shadow.caches import CacheEntry, UndecodableError
from parbake_lab.shadow.compare import difference, normal
from parbake_lab.shadow.findings import Finding, Price, summarize, wilson
from parbake_lab.shadow.logged_requests import draw
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


HOT = [
    Finding("hot", "different", "$", recompute_s=1.0, age_s=5.0, drawn=90),
    *(Finding(f"cold {n}", "equal", recompute_s=1.0, age_s=7.0) for n in range(9)),
    Finding("later", "different", "$", recompute_s=1.0, drawn=1),
    Finding("gone", "missing", drawn=20),
    Finding("raises", "failed", "ValueError", recompute_s=1.0, drawn=3),
]
"""A hot key that is stale, and cold keys of which one is; 123 requests for 13 keys."""


def test_a_summary_of_requests_counts_answers_and_computations_apart():
    """Shares and the cost of stale answers count each request; times, recomputes and their costs count each key."""
    summary = summarize(HOT, Price(recompute=0.5, stale=2.0))
    assert (summary.sampled, summary.compared, summary.stale_share) == (123, 100, 0.91)
    assert (summary.stale_low, summary.stale_high) == wilson(91, 100)
    assert summary.outcomes == {"different": 91, "equal": 9, "missing": 20, "failed": 3}
    assert summary.key_outcomes == {"different": 2, "equal": 9, "missing": 1, "failed": 1}
    assert (summary.cost_stale, summary.cost_recompute_all, summary.cost_unneeded) == (182.0, 6.0, 4.5)
    assert (summary.unneeded_share, summary.recompute_total_s) == (pytest.approx(9 / 11), 12.0)
    assert (summary.age_all.count, summary.age_stale.count, summary.recompute.count) == (10, 1, 12)
    assert [problem.count for problem in summary.problems] == [1]
    assert [example.key for example in summarize(HOT[::-1], Price()).examples] == ["hot", "later"]


def test_a_report_of_requests_says_which_figure_counts_what():
    """The table has a column for requests and one for keys, and the JSON names what its counts are."""
    summary = summarize(HOT, Price(recompute=0.5, stale=2.0))
    rows = rows_of(summary, keys=14, requests=140)
    assert rows[0] == ["123 of 140 drawn requests looked at, and 13 of their 14 different keys"]
    assert ["", "requests", "keys"] in rows
    assert ["missing (the cache has no answer)", "20", "1"] in rows
    assert ["different: stale", "91 of 100, 91.00% (95 % interval 83.77% to 95.19%)", "2 of 11"] in rows
    assert ["recomputing each key once costs", "", "6"] in rows
    assert ["the stale answers cost", "182", ""] in rows
    assert ["hot", "90", "$", "5 s", "not known"] in rows
    found = msgspec.json.decode(as_json(summary, cache="redis://somewhere", keys=14, requests=140))
    assert (found["counts"], found["requests_drawn"], found["keys_drawn"]) == ("requests", 140, 14)


def test_a_report_of_keys_does_not_speak_of_requests():
    """Where keys were drawn, the table has one column of figures, and the JSON says that it counts keys."""
    summary = summarize([msgspec.structs.replace(finding, drawn=1) for finding in HOT], Price(stale=2.0))
    rows = rows_of(summary, keys=13)
    assert ["different: stale", "2 of 11, 18.18% (95 % interval 5.14% to 47.70%)"] in rows
    assert ["the stale answers cost", "4"] in rows
    assert "request" not in str(rows)
    found = msgspec.json.decode(as_json(summary, cache="redis://somewhere", keys=13))
    assert (found["counts"], found["requests_drawn"], found["outcomes"]) == ("keys", None, found["key_outcomes"])


def rows_of(summary, **drawn):
    """Return the title, the heads and the cells of every table."""
    found = []
    for table in tables(summary, **drawn):
        found += [[table.title], [column.header for column in table.columns]]
        found += map(list, zip(*(column.cells for column in table.columns), strict=True))
    return found


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
    """A cache in memory in which some keys have another value at the second read; it may have drawn requests."""

    def __init__(self, entries, *, moves=(), drawn=()):
        self.entries, self.moves, self.reads, self.drawn = entries, moves, [], drawn

    def sample(self, count, *, until):
        return list(self.drawn or self.entries)[:count]

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


async def test_a_key_of_many_requests_is_computed_once():
    """Each key is read and recomputed once, however often it was drawn, and its finding counts the draws."""
    drawn, computed = ["hot", "cold", *["hot"] * 8], []
    cache = Played({"hot": CacheEntry(1), "cold": CacheEntry("cold")}, drawn=drawn)

    def recompute(key):
        computed.append(key)
        return key

    run = await shadow(cache, recompute, msgspec.structs.replace(FAST, parallel=3), HIDDEN)
    assert (run.drawn, run.keys, sorted(computed)) == (10, 2, ["cold", "hot"])
    assert {finding.key: finding.drawn for finding in run.findings} == {"hot": 9, "cold": 1}
    assert Counter(cache.reads) == {"hot": 2, "cold": 1}  # the second read is for what differs


async def test_requests_beyond_the_time_do_not_count():
    """At the timeout only the draws before it count, so that keys that are drawn often do not weigh too much."""
    is_over = threading.Event()
    entries = {"hot": CacheEntry("hot"), "hangs": CacheEntry("hangs"), "cold": CacheEntry("cold")}
    cache = Played(entries, drawn=["hot", "hot", "hangs", "hot", "hot", "cold"])
    limits = ShadowLimits(sample=6, rate=1000, timeout_s=2)
    run = await shadow(cache, lambda key: is_over.wait(HANGS_S) if key == "hangs" else key, limits, HIDDEN)
    is_over.set()
    assert (run.drawn, run.keys) == (6, 3)
    assert [(finding.key, finding.drawn) for finding in run.findings] == [("hot", 2)]


def table_log(folder, *rows):
    """Write a log with a row every second: a key, or a key with a signal."""
    lines = (f"{row if ',' in row else row + ','},{1_700_000_000 + n}" for n, row in enumerate(rows))
    (folder / "log.csv").write_text("\n".join(["key,signal,timestamp", *lines]) + "\n")
    return folder / "log.csv"


def test_each_request_of_a_log_is_equally_likely(tmp_path):
    """The draw takes a key as often as the log requests it, with replacement, and leaves out the rows of signals."""
    log = table_log(tmp_path, *["hot"] * 9, "cold", *["silent,yes"] * 50)
    drawn = draw(log, 2000, key="faq:{key}", seed=1)
    counts = Counter(drawn.keys)
    assert set(counts) == {"faq:hot", "faq:cold"}
    assert (counts.total(), counts["faq:hot"]) == (2000, pytest.approx(1800, abs=70))
    assert not drawn.are_encoded
    assert draw(log, 2000, key="faq:{key}", seed=1) == drawn
    assert draw(log, 2000, key="faq:{key}", seed=2) != drawn


def test_a_gap_of_a_log_is_told_without_what_a_plan_does(tmp_path):
    """A note about a gap does not say that windows are left out, because every request can be drawn."""
    log = table_log(tmp_path, *["k"] * 10_000)
    log.write_text(log.read_text() + "k,,1700100000\n")
    assert draw(log, 1).notes == ("1 gaps without any request, 1.0 d in all",)
