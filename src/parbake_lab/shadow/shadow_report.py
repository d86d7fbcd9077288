"""A run as a table for people and as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from rich.table import Table

from parbake_lab.shadow.findings import Finding, ShadowSummary, Spread

_KEY_AT_MOST = 60
LABELS = {
    "missing": "missing (gone since they were listed, or never there)",
    "undecodable": "undecodable",
    "failed": "recompute failed",
    "unsettled": "unsettled (the cache changed meanwhile)",
    "equal": "equal",
}


def tables(summary: ShadowSummary, *, keys: int) -> Iterator[Table]:
    """The result, then what could not be compared, then examples; empty tables are left out."""
    yield _result(summary, keys)
    if summary.problems:
        table = Table("could not be compared", "keys", "for example", "message")
        for problem in summary.problems:
            table.add_row(problem.what, str(problem.count), short(problem.first_key), short(problem.message, 120))
        yield table
    if summary.examples:
        yield _examples(summary.examples)


def _result(summary: ShadowSummary, keys: int) -> Table:
    table = Table("keys", "", title=f"{summary.sampled} of {keys} sampled keys looked at", title_justify="left")
    for outcome, label in LABELS.items():
        if count := summary.outcomes.get(outcome, 0):
            table.add_row(label, str(count))
    interval = f"{summary.stale_share:.2%} (95 % interval {summary.stale_low:.2%} to {summary.stale_high:.2%})"
    table.add_row("different: stale", f"{summary.outcomes.get('different', 0)} of {summary.compared}, {interval}")
    times = {
        "age of all entries": summary.age_all,
        "age of stale entries": summary.age_stale,
        "not read for (age is at least)": summary.idle,
        "stale entries: wrong for": summary.wrong_for,
        "one recompute": summary.recompute,
    }
    for label, spread in times.items():
        table.add_row(label, _spread(spread))
    for label, value in _costs(summary):
        table.add_row(label, value)
    return table


def _costs(summary: ShadowSummary) -> Iterator[tuple[str, str]]:
    unneeded = f"{summary.unneeded_share:.1%} of those compared"
    yield "recomputing all of them takes", f"{summary.recompute_total_s:.3g} s"
    if summary.cost_recompute_all is None:
        yield "recomputes that were not needed", unneeded
    else:
        yield "recomputing all of them costs", f"{summary.cost_recompute_all:.6g}"
        yield "recomputes that were not needed", f"{unneeded}, {summary.cost_unneeded:.6g}"
    if summary.cost_stale is not None:
        yield "reading each stale one once costs", f"{summary.cost_stale:.6g}"


def _examples(examples: Sequence[Finding]) -> Table:
    shows = any(e.cached or e.truth for e in examples)
    table = Table("differs: key", "at", "age", "wrong for", *(["cached", "recomputed"] if shows else []))
    for e in examples:
        values = [e.cached, e.truth] if shows else []
        table.add_row(short(e.key), short(e.detail), seconds(e.age_s), seconds(e.wrong_for_s), *values)
    return table


def as_json(summary: ShadowSummary, *, cache: str, keys: int) -> bytes:
    """The summary as one JSON object.

    Args:
        summary: The summary.
        cache: The cache's address without credentials.
        keys: Number of sampled keys.
    """
    document = {"cache": cache, "keys_drawn": keys, **msgspec.to_builtins(summary)}
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def short(text: str, limit: int = _KEY_AT_MOST) -> str:
    """A text on one line of at most ``limit`` characters."""
    line = "".join(c if c.isprintable() else "?" for c in itertools.islice(text, limit + 1))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def seconds(value: float | None) -> str:
    """A duration in words."""
    if value is None:
        return "not known"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1000:.3g} ms"


def _spread(spread: Spread) -> str:
    if not spread.count:
        return "not known"
    return f"p50 {seconds(spread.p50)}, p95 {seconds(spread.p95)}, max {seconds(spread.max)} ({spread.count} keys)"
