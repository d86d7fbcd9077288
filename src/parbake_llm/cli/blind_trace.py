"""What can be said about a trace that does not tell which requests begin alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from parbake_llm.caching.asked import PromptTrace
    from parbake_llm.caching.pricing import CachePrices

_REASON = (
    "nothing can be planned about prefixes: the trace has neither sessions nor ids of blocks (hash_ids), nor whole "
    "messages, so it is not known which requests begin alike"
)


def show_blind(trace: PromptTrace, prices: CachePrices, *, minimum: int, is_example: bool) -> dict[str, Any]:
    """Print what can be said without prefixes, and return it as JSON data.

    Args:
        trace: The trace.
        prices: The prices.
        minimum: The least number of tokens of a prefix that the model caches.
        is_example: Whether the prices are the example's, at which no amount is shown.
    """
    short = sum(one.tokens < minimum for one in trace.requests)
    usd = None if is_example else trace.tokens * prices.token_usd
    count = len(trace.requests)
    for note in trace.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{count:,} requests in {trace.span_s / 60:,.1f} min, with {trace.tokens:,} input tokens")
    typer.echo(f"{short:,} of them are shorter than {minimum:,} tokens, the least that is cached")
    if usd is not None:
        typer.echo(f"without a cache their input costs ${usd:,.2f}")
        least = prices.break_even(hour=False)
        if math.isfinite(least):
            typer.echo(f"break-even 5m: marking a prefix pays from {max(least, 0):.2f} expected reads on")
    typer.echo(_REASON)
    return {
        "adopted": None, "reason": _REASON, "missing": ["prefixes", *(["prices"] if is_example else [])],
        "requests": count, "span_s": trace.span_s, "input_tokens": trace.tokens, "shorter_than_minimum": short,
        "input_usd": usd, "notes": list(trace.notes),
    }  # fmt: skip
