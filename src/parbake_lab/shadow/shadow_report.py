"""A run as a table for people and as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from rich.table import Table

from parbake_lab.shadow.findings import Finding, ShadowSummary, Spread

_KEY_AT_MOST = 60
LABELS = {
    "missing": "missing (the cache has no answer)",
    "undecodable": "could not be read or decoded",
    "failed": "recompute failed",
    "unsettled": "unsettled (the cache changed meanwhile)",
    "equal": "equal",
}


def tables(summary: ShadowSummary, *, keys: int, requests: int | None = None) -> Iterator[Table]:
    """The result, then what could not be compared, then examples; empty tables are left out.

    Args:
        summary: The summary.
        keys: Number of different keys that were drawn.
        requests: Number of requests that were drawn; ``None`` if keys were drawn.
    """
    yield _result(summary, keys, requests)
    if summary.problems:
        table = Table("could not be compared", "keys", "for example", "message")
        for problem in summary.problems:
            table.add_row(problem.what, str(problem.count), short(problem.first_key), short(problem.message, 120))
        yield table
    if summary.examples:
        yield _examples(summary.examples, in_requests=requests is not None)


def _result(summary: ShadowSummary, keys: int, requests: int | None) -> Table:
    if requests is None:
        table = Table("keys", "", title=f"{summary.sampled} of {keys} sampled keys looked at", title_justify="left")
    else:
        looked = f"{summary.sampled} of {requests} drawn requests looked at, and {sum(summary.key_outcomes.values())}"
        table = Table("", "requests", "keys", title=f"{looked} of their {keys} different keys", title_justify="left")
    for label, drawn, each in _rows(summary):
        table.add_row(label, *((drawn or each,) if requests is None else (drawn, each)))
    return table


def _rows(summary: ShadowSummary) -> Iterator[tuple[str, str, str]]:
    """What is shown: its name, what of it counts everything that was drawn, and what counts each key once."""
    total, of_keys = summary.outcomes, summary.key_outcomes
    for outcome, label in LABELS.items():
        if outcome in total:
            yield label, str(total[outcome]), str(of_keys[outcome])
    interval = f"{summary.stale_share:.2%} (95 % interval {summary.stale_low:.2%} to {summary.stale_high:.2%})"
    said = interval if summary.compared else "nothing could be compared"
    share, stale = f"{total.get('different', 0)} of {summary.compared}, {said}", of_keys.get("different", 0)
    yield "different: stale", share, f"{stale} of {stale + of_keys.get('equal', 0)}"
    times = {
        "age of all entries": summary.age_all,
        "age of stale entries": summary.age_stale,
        "not read for (age is at least)": summary.idle,
        "stale entries: wrong for": summary.wrong_for,
        "one recompute": summary.recompute,
    }
    for label, spread in times.items():
        yield label, "", _spread(spread)
    yield from _costs(summary)


def _costs(summary: ShadowSummary) -> Iterator[tuple[str, str, str]]:
    unneeded = f"{summary.unneeded_share:.1%} of those compared" if summary.compared else "not known"
    yield "recomputing each key once takes", "", f"{summary.recompute_total_s:.3g} s"
    if summary.cost_recompute_all is None:
        yield "recomputes that were not needed", "", unneeded
    else:
        yield "recomputing each key once costs", "", f"{summary.cost_recompute_all:.6g}"
        yield "recomputes that were not needed", "", f"{unneeded}, {summary.cost_unneeded:.6g}"
    if summary.cost_stale is not None:
        yield "the stale answers cost", f"{summary.cost_stale:.6g}", ""


def _examples(examples: Sequence[Finding], *, in_requests: bool) -> Table:
    shows = any(e.cached or e.truth for e in examples)
    heads = ["requests"] * in_requests, ["cached", "recomputed"] * shows
    table = Table("differs: key", *heads[0], "at", "age", "wrong for", *heads[1])
    for e in examples:
        often, values = [str(e.drawn)] * in_requests, [e.cached, e.truth] * shows
        table.add_row(short(e.key), *often, short(e.detail), seconds(e.age_s), seconds(e.wrong_for_s), *values)
    return table


def as_json(summary: ShadowSummary, *, cache: str, keys: int, requests: int | None = None) -> bytes:
    """The summary as one JSON object.

    Args:
        summary: The summary.
        cache: The cache's address without credentials.
        keys: Number of different keys that were drawn.
        requests: Number of requests that were drawn; ``None`` if keys were drawn.
    """
    counts = "keys" if requests is None else "requests"
    head = {"cache": cache, "counts": counts, "keys_drawn": keys, "requests_drawn": requests}
    document = {**head, **msgspec.to_builtins(summary)}
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
