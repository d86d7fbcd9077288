"""An audit as a table for people, as JSON, and as OpenMetrics text."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.table import Table

from parbake_lab.audit.read_judge import AuditSummary

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def tables(summary: AuditSummary) -> Iterator[Table]:
    """The result, then examples of violations and of reads without an answer."""
    table = Table("audit", "", title_justify="left")
    table.add_row("acknowledged changes", f"{summary.changes} ({summary.unacknowledged} more were not acknowledged)")
    table.add_row("reads", f"{summary.reads}, {summary.answered} of them returned a value")
    table.add_row("violations", str(summary.violations))
    table.add_row("consistency", consistency(summary))
    table.add_row("time to fresh", _times(summary))
    never = f"{summary.never_fresh} of {summary.fresh_count + summary.never_fresh} waits"
    table.add_row("not fresh within the patience", never)
    table.add_row("unavailable", f"{summary.unavailable_share:.2%} of the reads ({summary.failed} of them failed)")
    yield table
    if summary.examples:
        broken = Table("violations, for example", "expected", "seen", "read began, ms after the ack")
        for read in summary.examples:
            broken.add_row(read.server, read.expected, read.seen, f"{read.began_s * 1000:.1f}")
        yield broken
    if summary.refusals:
        refused = Table("changes that were not acknowledged, for example")
        for why in summary.refusals:
            refused.add_row(why)
        yield refused
    if summary.unanswered:
        unanswered = Table("reads without a value, for example", "why")
        for read in summary.unanswered:
            unanswered.add_row(read.server, read.seen)
        yield unanswered


def consistency(summary: AuditSummary) -> str:
    """The nines, in words."""
    if summary.nines is None:
        return "nothing was judged"
    if summary.is_bound:
        return f"at least {summary.nines:.1f} nines (no violation in {summary.answered}; 95 % confidence)"
    return f"{summary.nines:.1f} nines"


def _times(summary: AuditSummary) -> str:
    return ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in summary.fresh_s.items()) or "never"


def as_json(summary: AuditSummary) -> bytes:
    """The whole summary as JSON."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"


def open_metrics(summary: AuditSummary, fresh_s: list[float]) -> bytes:
    """Two metrics as OpenMetrics text, for a collector that reads files."""
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.openmetrics.exposition import generate_latest

    registry = CollectorRegistry()
    stale = Counter("parbake_stale_reads", "Reads that broke the promise.", registry=registry)
    stale.inc(summary.violations)
    seconds = Histogram(
        "parbake_time_to_fresh_seconds", "From an acknowledgement to a fresh read, per server.",
        buckets=_BUCKETS_S, registry=registry,
    )  # fmt: skip
    for value in fresh_s:
        seconds.observe(value)
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # this function of the library has no types
    return text
