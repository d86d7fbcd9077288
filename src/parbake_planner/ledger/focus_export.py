"""Hourly costs in the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification.

Each kind of token has a row of its own, because each has a price of its own.

All its mandatory columns are there. Columns that FOCUS does not define begin with ``x_``, as it requires.
"""

from __future__ import annotations

import calendar
import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from parbake_planner.ledger.costs import HOUR, NOBODY, CostBook, Line, Owned, by_token_kind, lines
from parbake_planner.ledger.ledger_reader import LedgerReader

Charge = dict[str, Any]
_CPU_UNIT, _TOKEN_UNIT, _SERVE_UNIT = "Hours", "Tokens", "Requests"
_CATEGORIES = {_CPU_UNIT: "Compute", _TOKEN_UNIT: "AI and Machine Learning", _SERVE_UNIT: "Databases"}
_TOKEN_NAMES = {
    "input": "input tokens",
    "output": "output tokens",
    "cached": "cache read tokens",
    "written": "cache write tokens",
    "written_hour": "one-hour cache write tokens",
}
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ConsumedQuantity",
    "ConsumedUnit", "x_Task", "x_Lane", "x_Owner", "x_Plan", "x_Generator", "x_PriceBook", "x_Unpriced",
)  # fmt: skip


class Sold(NamedTuple):
    """What was used: unit, name, quantity and provider."""

    unit: str
    name: str
    quantity: float
    provider: str = "parbake"


def charges(
    ledger: LedgerReader, book: CostBook, owners: Mapping[str, Owned], *, since: float = 0.0
) -> Iterator[Charge]:
    """Make one row per hour, task, lane, generator and kind of token; their sum is the total cost. Blocking.

    Args:
        ledger: The usage sums.
        book: The prices.
        owners: Owner and plan of each task, by name.
        since: Begin, in epoch seconds; the whole hour counts.
    """
    for line in lines(ledger, book, since=since):
        if line.kind == "tokens":
            for name, part in by_token_kind(line, book):
                yield _charge(part, _tokens_sold(name, part, book), book, owners)
        elif line.is_spent and line.used["cpu_s"]:
            yield _charge(line, Sold(_CPU_UNIT, "CPU time", line.used["cpu_s"] / HOUR), book, owners)
    for task in ledger.serves(since=since):
        for hour, count, _ in ledger.by_the_hour(task, since=since):
            usd = count * book.serve
            line = Line(hour, "serve", task, "serve", "", usd, usd, "", {})
            yield _charge(line, Sold(_SERVE_UNIT, "serves from the store", count), book, owners)


def as_csv(rows: Iterable[Charge], columns: Sequence[str] = COLUMNS) -> bytes:
    """Format rows as CSV with a header.

    Args:
        rows: The rows.
        columns: The names of their columns.
    """
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _tokens_sold(kind: str, line: Line, book: CostBook) -> Sold:
    offer = book.generators.get(line.model)
    name = f"{_TOKEN_NAMES[kind]} of {line.model}"
    return Sold(_TOKEN_UNIT, name, line.used[kind], offer.provider if offer else "")


def _charge(line: Line, sold: Sold, book: CostBook, owners: Mapping[str, Owned]) -> Charge:
    unit, what, quantity, provider = sold
    begin = dt.datetime.fromtimestamp(line.hour * HOUR, dt.UTC)
    month = begin.replace(day=1, hour=0)
    own = owners.get(line.task, Owned(NOBODY))
    return {
        "BilledCost": line.usd, "EffectiveCost": line.usd, "ContractedCost": line.usd, "ListCost": line.list_usd,
        "BillingAccountId": own.owner, "BillingAccountName": own.owner, "BillingCurrency": "USD",
        "BillingPeriodStart": _iso(month), "BillingPeriodEnd": _iso(month + dt.timedelta(days=_days(month))),
        "ChargePeriodStart": _iso(begin), "ChargePeriodEnd": _iso(begin + dt.timedelta(hours=1)),
        "ChargeCategory": "Usage", "ChargeClass": None, "ChargeDescription": f"{line.task}, {line.lane}: {what}",
        "InvoiceIssuerName": provider, "ProviderName": provider, "PublisherName": provider,
        "ServiceCategory": _CATEGORIES[unit], "ServiceName": what, "PricingQuantity": quantity, "PricingUnit": unit,
        "ConsumedQuantity": quantity, "ConsumedUnit": unit, "x_Task": line.task, "x_Lane": line.lane,
        "x_Owner": own.owner, "x_Plan": own.plan, "x_Generator": line.model,
        "x_PriceBook": book.as_of.isoformat(), "x_Unpriced": line.unpriced,
    }  # fmt: skip


def _days(month: dt.datetime) -> int:
    return calendar.monthrange(month.year, month.month)[1]


def _iso(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
