"""Tokens and costs since midnight (UTC) as metrics. They are looked up beside the requests, and never for a scrape."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from parbake.ports.clock import Clock
from parbake.process.loops import sparingly
from parbake_planner.ledger.costs import CostBook, lines
from parbake_planner.ledger.ledger_reader import LedgerReader
from parbake_planner.ledger.rows import TOKEN_KINDS

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily

_DAY_S = 86_400.0
_PAUSE_S = 15.0
"""The least pause between two looks, in seconds."""
_log = logging.getLogger("parbake_planner.ledger")


class Spending:
    """What the ledger said last: of every process that writes to it, and the same after a restart."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._tokens: Counter[tuple[str, str, str, str]] = Counter()
        self._usd: dict[tuple[str, str, str], float] = {}

    async def run(self, ledger: LedgerReader, book: CostBook, clock: Clock) -> None:
        """Look until cancelled.

        Args:
            ledger: The usage sums.
            book: The prices.
            clock: Says which day it is.
        """

        async def step() -> None:
            await asyncio.to_thread(self.look, ledger, book, since=clock.now() // _DAY_S * _DAY_S)

        await sparingly(step, _PAUSE_S, what="the look at the ledger for the metrics", log=_log)

    def look(self, ledger: LedgerReader, book: CostBook, *, since: float) -> None:
        """Add up the day; blocking.

        Args:
            ledger: The usage sums.
            book: The prices.
            since: When the day began, in epoch seconds.
        """
        tokens: Counter[tuple[str, str, str, str]] = Counter()
        usd: Counter[tuple[str, str, str]] = Counter()
        for line in lines(ledger, book, since=since):
            if line.kind in ("compute", "tokens"):
                of = line.task, line.lane, line.model
                usd[of] += line.usd  # type: ignore[assignment]  # Counter's stub knows only int
                tokens.update({(*of, kind): int(line.used[kind]) for kind in TOKEN_KINDS if line.used[kind]})
        for task, count in ledger.serves(since=since).items() if book.serve else ():
            usd[task, "serve", ""] += count * book.serve  # type: ignore[assignment]  # (the same)
        self._tokens, self._usd = tokens, dict(usd)

    def metrics(self) -> list[CounterMetricFamily]:
        """Return what the last look has found; see :class:`parbake.ports.observers.Observers`."""
        from prometheus_client.core import CounterMetricFamily

        says = "Tokens of generators since midnight (UTC). Those of reasoning are among the output, too."
        tokens = CounterMetricFamily("parbake_tokens", says, labels=["task", "lane", "model", "kind"])
        for used, count in self._tokens.items():
            tokens.add_metric(used, count)
        says = "US dollars since midnight (UTC), by the cost book of the ledger; what has no price is missing."
        cost = CounterMetricFamily("parbake_cost_usd", says, labels=["task", "lane", "model"])
        for spent, amount in self._usd.items():
            cost.add_metric(spent, amount)
        return [tokens, cost]
