"""Words that the output and the page of a plan share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parbake_planner.breakeven import Prices
    from parbake_planner.plan import Decision

_NEEDED = {
    "prices": "your prices (add --prices FILE, JSON as in docs/explanation/economics.md)",
    "keys": "the number of keys, including those without a request (add --keys N; the log names {keys:,})",
}
"""What a recommendation needs besides the log, and the option that provides it."""


def unready(plan: Decision, missing: Sequence[str]) -> str:
    """Why nothing is recommended, and which options change that."""
    return "nothing is recommended without " + " and ".join(_NEEDED[name].format(keys=plan.keys) for name in missing)


def unit_prices(prices: Prices) -> str:
    """The prices of one unit, for people."""
    parts = (("on request", prices.on_demand), ("a serve", prices.serve), ("in batch", prices.batch))
    return ", ".join(f"${value:g} {name}" for name, value in (*parts, ("stored", prices.write)))


def money(value: float) -> str:
    """An amount without its sign."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - cents do not matter there


def span(seconds_long: float) -> str:
    """A length of time in its largest unit."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds_long >= unit:
            return f"{seconds_long / unit:g} {name}"
    return f"{seconds_long:g} s"
