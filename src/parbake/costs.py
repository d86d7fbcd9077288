"""What the ledger's hours cost: measured CPU seconds, tokens and serves at dated prices, by task, lane, owner and plan.

Prices are applied when somebody looks, so that a new book prices the past as well. What is measured and has no price is
named and never left out: every row has a task, an owner and a lane.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from parbake.errors import BadInput
from parbake.planner.prices import Book, Rate, Tokens, call_cost, checked, decoded

HOUR = 3600
NOBODY = "nobody"
BY = ("task", "lane", "owner", "plan")


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entry of the book a generator's tokens are priced by."""

    provider: str
    model: str
    context: str = "standard"


class CostBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dated prices in US dollars.

    ``cpu_hour`` is an hour of one core, ``serve`` one serve from the store; ``rates`` are prices of tokens, and
    ``generators`` maps a generator's name to one of them.
    """

    as_of: dt.date
    cpu_hour: float
    serve: float = 0.0
    rates: tuple[Rate, ...] = ()
    generators: dict[str, Offer] = {}
    source: str = ""


EXAMPLE = CostBook(as_of=dt.date(2026, 11, 1), cpu_hour=0.04, source="an example: a core of a rented machine")
"""What is used where no book is given: CPU only, tokens unpriced."""


class Cost(msgspec.Struct, frozen=True):
    """What one task used in one lane, and what that cost in US dollars; ``unpriced`` says what has no price.

    ``wasted`` estimates the rows of batch runs that nobody asked for, ``wasted_usd`` their share: all rows of the
    period less the keys that were served in it. Several runs of the same keys make it too high, reads of other keys
    too low.
    """

    task: str
    lane: str
    owner: str
    plan: str
    calls: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    rows: int = 0
    bytes: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    serves: int = 0
    usd: float = 0.0
    wasted: int = 0
    wasted_usd: float = 0.0
    unpriced: str = ""


class Hours(Protocol):
    """What was used; see :class:`parbake.ledger.Ledger`."""

    def hourly(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """Sums by hour, kind, task, lane and model."""
        ...

    def serves(self, *, since: float = 0.0) -> dict[str, int]:
        """Serves by task."""
        ...

    def asked_for(self, task: str, begin: float, end: float) -> int:
        """How many keys of a task were served between two moments."""
        ...


class Owned(msgspec.Struct, frozen=True):
    """Whose a task is, and which plan it follows."""

    owner: str
    plan: str = ""


def read_book(path: Path, *, today: dt.date) -> CostBook:
    """Read a cost book; raises :class:`BadInput` naming the field at fault."""
    book = decoded(path, CostBook)
    checked(Book(as_of=book.as_of, rates=book.rates, source=book.source), today=today)
    for name in ("cpu_hour", "serve"):
        if not 0 <= getattr(book, name) < float("inf"):
            raise BadInput(f"--prices {path}: {name}={getattr(book, name)} must not be negative", field=name)
    return book


def costs(ledger: Hours, book: CostBook, owners: Mapping[str, Owned], *, since: float = 0.0) -> list[Cost]:
    """Sum and price what was used since a moment (epoch seconds), dearest first; blocking."""
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: defaultdict(float))
    unpriced: dict[tuple[str, str], set[str]] = defaultdict(set)
    names = ("calls", "seconds", "cpu_s", "rows", "bytes", "input", "output", "cached")
    for hour, kind, task, lane, model, *used in ledger.hourly(since=since):
        place = (task, lane if kind in ("compute", "tokens") else kind)
        for name, value in zip(names, used, strict=True):
            found[place][name] += value
        if kind == "tokens":
            usd, missing = _tokens(book, model, hour, used[5:])
            found[place]["usd"] += usd
            unpriced[place] |= {missing} if missing else set()
    for task, count in ledger.serves(since=since).items():
        found[task, "serve"] |= {"serves": count, "usd": count * book.serve}
    made = []
    for (task, lane), sums in found.items():
        own = owners.get(task, Owned(NOBODY))
        usd = sums["usd"] + sums["cpu_s"] / HOUR * book.cpu_hour
        whole = {n: int(sums[n]) for n in ("calls", "rows", "bytes", "input", "output", "cached", "serves")}
        said = ", ".join(sorted(unpriced[task, lane]))
        made.append(
            Cost(
                task,
                lane,
                own.owner,
                own.plan,
                seconds=sums["seconds"],
                cpu_s=sums["cpu_s"],
                usd=usd,
                unpriced=said,
                **whole,
            )
        )
    return sorted(made, key=lambda cost: (-cost.usd, cost.task, cost.lane))


def priced(ledger: Hours, book: CostBook, owners: Mapping[str, Owned], since: float, until: float) -> list[Cost]:
    """The same with what was computed for nobody; blocking."""
    rows = costs(ledger, book, owners, since=since)
    ahead = [row.task for row in rows if row.lane == "batch"]
    return with_waste(rows, {task: ledger.asked_for(task, since, until) for task in ahead})


def with_waste(rows: Iterable[Cost], asked: Mapping[str, int]) -> list[Cost]:
    """Say how many rows of batch runs nobody asked for; ``asked`` counts the keys of each task that were served."""
    return [_with_waste(row, asked.get(row.task, 0)) if row.lane == "batch" and row.rows else row for row in rows]


def _with_waste(row: Cost, asked: int) -> Cost:
    wasted = max(0, row.rows - asked)
    return msgspec.structs.replace(row, wasted=wasted, wasted_usd=row.usd * wasted / row.rows)


def summed(rows: Sequence[Cost], by: str) -> list[Cost]:
    """Rows added up by ``task``, ``lane``, ``owner`` or ``plan``; the others are told by ``*``."""
    if by not in BY:
        raise BadInput(f"by={by!r}: one of {', '.join(BY)}", field="by")
    found: dict[str, Cost] = {}
    for row in rows:
        name = getattr(row, by)
        before = found.get(name)
        found[name] = _starred(row, by) if before is None else _added(before, row)
    return sorted(found.values(), key=lambda cost: -cost.usd)


def _starred(row: Cost, by: str) -> Cost:
    return msgspec.structs.replace(row, **{name: "*" for name in BY if name != by})


def _added(one: Cost, other: Cost) -> Cost:
    numbers = [name for name in Cost.__struct_fields__ if name not in (*BY, "unpriced")]
    added = {name: getattr(one, name) + getattr(other, name) for name in numbers}
    said = ", ".join(sorted({*one.unpriced.split(", "), *other.unpriced.split(", ")} - {""}))
    return msgspec.structs.replace(one, **added, unpriced=said)


def _tokens(book: CostBook, model: str, hour: int, used: Sequence[int]) -> tuple[float, str]:
    """What some tokens of a generator cost, or why that is not known."""
    offer = book.generators.get(model)
    if offer is None:
        return 0.0, f"tokens of {model}"
    day = dt.datetime.fromtimestamp(hour * HOUR, dt.UTC).date()
    prices = Book(as_of=book.as_of, rates=book.rates)
    sent, made, cached = (int(n) for n in used)
    try:
        rate = prices.rate(offer.provider, offer.model, on=day, context=offer.context)
        return call_cost(rate, Tokens(input=sent, output=made, cache_read=cached)), ""
    except BadInput as error:
        return 0.0, f"tokens of {model} ({error})"
