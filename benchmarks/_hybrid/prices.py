"""What a month costs, from CPU time, bytes and a small file of prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from .cost import FULL_BLAS, FULL_INDEX, HYBRID, STORED, Costs
from .data import Unusable

REQUESTS_A_DAY, DAYS, REBUILDS_A_DAY = 1_000_000, 30, 4
DEFAULT = Path(__file__).parents[1] / "prices.json"


class Prices(msgspec.Struct, frozen=True):
    """US dollars per vCPU-hour and per GB-month of store, as of a date, with where they come from."""

    vcpu_hour_usd: float
    store_gb_month_usd: float
    as_of: str
    source: str


def read_prices(path: Path) -> Prices:
    """Read a file of prices.

    Raises:
        Unusable: it cannot be read, or lacks a field.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Prices)
    except (OSError, msgspec.DecodeError) as error:
        raise Unusable(f"cannot use the prices in {path}: {error}") from error


@dataclass(frozen=True)
class Month:
    """US dollars a month for one way to answer at 1M requests a day."""

    approach: str
    shoppers: int
    answering: float
    generation: float
    store: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.answering + self.generation + self.store


def months(costs: Costs, prices: Prices, shoppers: int, events_a_day: int) -> list[Month]:
    """Return the month of each way for a number of shoppers, all of whom get a list four times a day.

    ``hybrid + events`` makes a list anew for each of ``events_a_day`` as well. The precomputed answer runs the reranker
    when a list is made; what that takes is the hybrid's request without its read.
    """
    rebuilds = REBUILDS_A_DAY * shoppers

    def dollars(us_a_day: float) -> float:
        return us_a_day * DAYS / 1e6 / 3600 * prices.vcpu_hour_usd

    store = shoppers * costs.stored_bytes / 1e9 * prices.store_gb_month_usd
    answer = {name: dollars(timed.us * REQUESTS_A_DAY) for name, timed in costs.ways.items()}
    built, refreshed = dollars(costs.build_us * rebuilds), dollars(costs.event_us * events_a_day)
    reranked = dollars((costs.ways[HYBRID].us - costs.ways[STORED].us) * rebuilds)
    found = [Month(name, shoppers, answer[name], 0.0, 0.0) for name in (FULL_BLAS, FULL_INDEX) if name in answer]
    return [
        *found,
        Month(HYBRID, shoppers, answer[HYBRID], built, store),
        Month(f"{HYBRID} + events", shoppers, answer[HYBRID], built + refreshed, store),
        Month(STORED, shoppers, answer[STORED], built + reranked, store),
    ]
