"""What the proxy has spent and saved since it started, in tokens, and in dollars where prices are known."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from parbake.ports.usage import Usage
from parbake_planner.books import Books
from parbake_planner.ledger.costs import CostBook, price_tokens
from parbake_planner.ledger.ledger_writer import LedgerWriter
from parbake_planner.prices import Tokens

_TASK, _LANE = "proxy", "realtime"
"""What the ledger records the calls as."""
_MOST, _LONGEST = 100, 80
"""How many models are counted by name, and how much of a name is kept: clients choose the names."""
_KINDS = ("uncached", "output", "cache_read", "cache_write", "cache_write_hour")


class Sums(msgspec.Struct, frozen=True):
    """Calls of one model, with their tokens and what they cost.

    Attributes:
        provider: The provider's name.
        model: The model's name.
        calls: The number of calls.
        tokens: Tokens by kind; see :class:`parbake.ports.usage.Usage`.
        usd: US dollars; ``None`` without a price for the model.
        unpriced: What has no price and is not in the sum, as in ``GET /v1/costs``.
    """

    provider: str
    model: str
    calls: int
    tokens: dict[str, int]
    usd: float | None
    unpriced: str = ""


class Statement(msgspec.Struct, frozen=True):
    """What was spent, and what would have been spent for the hits.

    Attributes:
        outcomes: Requests by what came of them: ``hit``, or the reason why the provider was asked.
        spent: The calls of the provider, by model.
        saved: The hits, by model.
    """

    outcomes: dict[str, int]
    spent: list[Sums]
    saved: list[Sums]


class Account:
    """Counts calls and hits. Thread-safe."""

    def __init__(self, prices: CostBook | None, now: Callable[[], float], ledger: Books | None) -> None:
        """Count nothing yet.

        Args:
            prices: The prices, if they are known; by default those of the ledger.
            now: Returns the time, in epoch seconds.
            ledger: Records both for all processes, if the app has one.
        """
        self._prices, self._now, self._ledger = prices or (ledger.book if ledger else None), now, ledger
        self._lock = threading.Lock()
        self._calls: dict[str, Counter[tuple[str, str]]] = {"spent": Counter(), "saved": Counter()}
        self._tokens: dict[str, Counter[tuple[str, str, str]]] = {"spent": Counter(), "saved": Counter()}
        self.outcomes: Counter[str] = Counter()

    def add(self, side: str, provider: str, model: str, usage: Usage) -> None:
        """Count a call.

        Args:
            side: ``spent`` or ``saved``.
            provider: The provider's name.
            model: The model's name.
            usage: The tokens.
        """
        model = model[:_LONGEST]
        if self._ledger is not None:
            self._note(self._ledger.file, side, f"{provider}/{model}", usage)
        with self._lock:
            if (provider, model) not in self._calls[side] and len(self._calls[side]) >= _MOST:
                model = "other"
            self._calls[side][provider, model] += 1
            for kind in _KINDS:
                self._tokens[side][provider, model, kind] += getattr(usage, kind) or 0

    def _note(self, file: LedgerWriter, side: str, generator: str, usage: Usage) -> None:
        if usage.input is None or usage.output is None:
            file.unreported(_TASK, _LANE, generator)
        if side == "saved":
            file.saved(_TASK, _LANE, generator, usage)
            return
        file.live(_TASK, 0.0, 0.0)
        file.spent(_TASK, _LANE, generator, usage)

    def statement(self) -> Statement:
        """What was spent and saved so far."""
        with self._lock:
            calls = {side: dict(found) for side, found in self._calls.items()}
            tokens = {side: Counter(found) for side, found in self._tokens.items()}
            outcomes = dict(self.outcomes)
        return Statement(outcomes, *(self._sums(calls[side], tokens[side]) for side in ("spent", "saved")))

    def _sums(self, calls: dict[tuple[str, str], int], tokens: Counter[tuple[str, str, str]]) -> list[Sums]:
        made = []
        for (provider, model), number in sorted(calls.items()):
            of = {kind: tokens[provider, model, kind] for kind in _KINDS}
            made.append(Sums(provider, model, number, of, *self._usd(provider, model, of)))
        return made

    def _usd(self, provider: str, model: str, of: dict[str, int]) -> tuple[float | None, str]:
        if self._prices is None:
            return None, ""
        counts = Tokens(**{("input" if kind == "uncached" else kind): number for kind, number in of.items()})
        usd, unpriced = price_tokens(self._prices, f"{provider}/{model}", counts, at=self._now(), lane=_LANE)
        return (usd if usd or not unpriced else None), unpriced

    def metrics(self) -> Iterable[Any]:
        """The same as metrics, for a scrape."""
        from prometheus_client.core import CounterMetricFamily

        found = self.statement()
        says = "Requests to the proxy by what came of them: hit, or the reason why the provider was asked."
        requests = CounterMetricFamily("parbake_proxy_requests", says, labels=["outcome"])
        for outcome, number in found.outcomes.items():
            requests.add_metric([outcome], number)
        says = "Tokens of the proxy's requests by model and kind: spent at the provider, or saved by hits."
        tokens = CounterMetricFamily("parbake_proxy_tokens", says, labels=["side", "provider", "model", "kind"])
        says = "US dollars of the proxy's requests by model, where its price is known: spent, or saved by hits."
        usd = CounterMetricFamily("parbake_proxy_usd", says, labels=["side", "provider", "model"])
        for side, sums in (("spent", found.spent), ("saved", found.saved)):
            for one in sums:
                for kind, number in one.tokens.items():
                    tokens.add_metric([side, one.provider, one.model, kind], number)
                if one.usd is not None:
                    usd.add_metric([side, one.provider, one.model], one.usd)
        return [requests, tokens, usd]
