"""Costs of the ledger's hours: CPU seconds, tokens and serves at dated prices, by task, lane, owner and plan.

Prices are applied when costs are read, so a new price book also prices the past. Usage without a price is listed as
such and never left out: every row has a task, an owner and a lane.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from parbake.errors import BadInput
from parbake.ports.usage import Usage
from parbake.serving.request import GeneratorCall
from parbake_planner.ledger.ledger_reader import LedgerReader
from parbake_planner.ledger.rows import SAVED, TOKEN_KINDS, UNREPORTED
from parbake_planner.prices import Book, Processing, Tokens, call_cost, checked, decoded

HOUR = 3600
_PRICED_KINDS = tuple(name for name in TOKEN_KINDS if name != "reasoning")
NOBODY = "nobody"
BY = ("task", "lane", "owner", "plan")
_USED = ("calls", "seconds", "cpu_s", "rows", "bytes", *TOKEN_KINDS)
_OF_A_LANE = ("compute", "tokens", "waste", SAVED, UNREPORTED)
"""Kinds whose rows have a lane; for misses and expiries the kind stands in its place."""
BATCH = "batch"


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The entry of the price book that prices a generator's tokens.

    ``processing`` maps a lane to how its tokens are bought, such as ``{"batch": "batch"}`` if the batch lane's
    generator uses the provider's batch interface. Lanes that are not in it are ``standard``.
    """

    provider: str
    model: str
    context: str = "standard"
    processing: dict[str, Processing] = {}


class CostBook(Book, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dated prices in US dollars: those of compute, beside those of tokens.

    Attributes:
        cpu_hour: One hour of one core.
        serve: One serve from the store.
        generators: Maps a generator's name to one of the ``rates``.
    """

    cpu_hour: float
    serve: float = 0.0
    generators: dict[str, Offer] = {}  # noqa: RUF012  # msgspec copies the default for each book

    @classmethod
    def of_models(cls, book: Book) -> CostBook:
        """Price tokens only, for generators that are named ``PROVIDER/MODEL``.

        Args:
            book: The prices of the models.
        """
        offers = {
            f"{rate.provider}/{rate.model}": Offer(provider=rate.provider, model=rate.model) for rate in book.rates
        }
        return cls(as_of=book.as_of, source=book.source, rates=book.rates, cpu_hour=0.0, generators=offers)


EXAMPLE = CostBook(as_of=dt.date(2026, 11, 1), cpu_hour=0.04, source="an example: a core of a rented machine")
"""The default book: it prices CPU only, not tokens."""


class Cost(msgspec.Struct, frozen=True):
    """What one task used in one lane, and its cost in US dollars. ``unpriced`` lists what has no price.

    ``wasted`` counts rows of batch runs that a later run replaced before they were served, in the hour of the
    replacement. ``wasted_usd`` is what that many rows of the task cost. The current run is not judged yet.

    ``saved`` counts requests that a stored answer of a generator answered, and ``saved_usd`` is what these would have
    cost. Neither is part of ``usd``.
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
    written: int = 0
    written_hour: int = 0
    reasoning: int = 0
    serves: int = 0
    usd: float = 0.0
    wasted: int = 0
    wasted_usd: float = 0.0
    saved: int = 0
    saved_usd: float = 0.0
    unpriced: str = ""


class Line(msgspec.Struct, frozen=True):
    """What one task used in one hour, of one lane, kind and generator, and its cost in US dollars.

    ``list_usd`` is the cost at standard processing. ``unpriced`` lists what has no price.
    """

    hour: int
    kind: str
    task: str
    lane: str
    model: str
    usd: float
    list_usd: float
    unpriced: str
    used: dict[str, float]

    @property
    def is_waste(self) -> bool:
        """Whether the line only reports waste; its cost is in the lines of the computations."""
        return self.kind == "waste"

    @property
    def is_spent(self) -> bool:
        """Whether its cost was spent, and is in no other line."""
        return self.kind not in ("waste", SAVED)


class Owned(msgspec.Struct, frozen=True):
    """A task's owner and the plan it follows."""

    owner: str
    plan: str = ""


def read_book(path: Path, *, today: dt.date) -> CostBook:
    """Read a cost book; raises :class:`BadInput` that names the invalid field."""
    return _sound(decoded(path, CostBook, option="book"), f"--book {path}", today)


def read_prices(path: Path, *, today: dt.date) -> CostBook:
    """Read prices of models, from a cost book or from a book that has nothing but ``rates``.

    Args:
        path: The file.
        today: The date, after which no price may be.

    Returns:
        A cost book in which each model is also a generator with the name ``PROVIDER/MODEL``.

    Raises:
        BadInput: The file cannot be read, or a price in it is not valid; the error names the field.
    """
    kind: type[Book] = CostBook if "cpu_hour" in decoded(path, dict[str, Any]) else Book
    found = decoded(path, kind)
    made = CostBook.of_models(found)
    if isinstance(found, CostBook):
        made = msgspec.structs.replace(found, generators=made.generators | found.generators)
    return _sound(made, f"--prices {path}", today)


def _sound(book: CostBook, where: str, today: dt.date) -> CostBook:
    try:
        checked(book, today=today)
    except BadInput as error:
        raise BadInput(f"{where}: {error}", field=error.field) from error
    for name in ("cpu_hour", "serve"):
        if not 0 <= getattr(book, name) < float("inf"):
            raise BadInput(f"{where}: {name}={getattr(book, name)} must not be negative", field=name)
    known = {rate.name for rate in book.rates}
    for name, offer in book.generators.items():
        if (offer.provider, offer.model, offer.context) not in known:
            said = f"{offer.provider} {offer.model} ({offer.context})"
            raise BadInput(f"{where}: generators.{name}: rates has no {said}", field="generators")
    return book


def lines(ledger: LedgerReader, book: CostBook, *, since: float = 0.0) -> Iterator[Line]:
    """Price usage hour by hour, at the prices of that day; blocking.

    Args:
        ledger: The usage sums.
        book: The prices.
        since: Begin, in epoch seconds; the whole hour counts.
    """
    for hour, kind, task, lane, model, *numbers in ledger.hourly(since=since):
        used: dict[str, float] = dict(zip(_USED, numbers, strict=True))
        if kind in ("tokens", SAVED) or (kind == "waste" and model):
            usd, list_usd, missing = _tokens(book, model, hour, lane, _sold(used))
        else:
            usd = list_usd = used["cpu_s"] / HOUR * book.cpu_hour
            missing = f"requests of {model} without reported tokens" if kind == UNREPORTED else ""
        yield Line(hour, kind, task, lane if kind in _OF_A_LANE else kind, model, usd, list_usd, missing, used)


def by_token_kind(line: Line, book: CostBook) -> Iterator[tuple[str, Line]]:
    """Split a line of tokens into one for each kind that was used, with its own cost; reasoning is part of the output.

    Args:
        line: The line, of the kind ``tokens``.
        book: The prices.
    """
    for name in _PRICED_KINDS:
        if not line.used[name]:
            continue
        alone = dict.fromkeys(TOKEN_KINDS, 0.0) | {name: line.used[name]}
        usd, list_usd, missing = _tokens(book, line.model, line.hour, line.lane, _sold(alone))
        yield name, msgspec.structs.replace(line, usd=usd, list_usd=list_usd, unpriced=missing, used=alone)


def costs(ledger: LedgerReader, book: CostBook, owners: Mapping[str, Owned], *, since: float = 0.0) -> list[Cost]:
    """Sum and price usage by task and lane, most expensive first; blocking.

    Args:
        ledger: The usage sums.
        book: The prices.
        owners: Owner and plan of each task, by name.
        since: Begin, in epoch seconds; the whole hour counts.
    """
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    unpriced: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in lines(ledger, book, since=since):
        of = sums[line.task, line.lane]
        if line.is_waste:
            of.update({"wasted": int(line.used["rows"]), "wasted_usd": line.usd})
            continue
        unpriced[line.task, line.lane] |= {line.unpriced} - {""}
        if line.kind == SAVED:
            of.update({"saved": int(line.used["calls"]), "saved_usd": line.usd})
            continue
        calls = 0 if line.kind in ("tokens", UNREPORTED) else line.used["calls"]
        of.update({**line.used, "calls": calls, "usd": line.usd})
    for task, count in ledger.serves(since=since).items():
        sums[task, "serve"].update({"serves": count, "usd": count * book.serve})
    each = _usd_a_row(ledger, book) if any(of["wasted"] for of in sums.values()) else {}
    made = []
    for (task, lane), of in sums.items():
        own = owners.get(task, Owned(NOBODY))
        numbers = {name: of[name] for name in ("usd", "wasted", "saved", "saved_usd", "serves", *_USED)}
        spent = Cost(task, lane, own.owner, own.plan, **numbers, unpriced=", ".join(sorted(unpriced[task, lane])))
        wasted_usd = of["wasted_usd"] or spent.wasted * each.get(task, 0.0)
        made.append(msgspec.structs.replace(spent, wasted_usd=wasted_usd))
    return sorted(made, key=lambda cost: (-cost.usd, cost.task, cost.lane))


def _usd_a_row(ledger: LedgerReader, book: CostBook) -> dict[str, float]:
    """The cost of one row of each task in the batch lane, over everything in the ledger."""
    usd: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for line in lines(ledger, book):
        if line.lane == BATCH and line.is_spent:
            usd[line.task] += line.usd  # type: ignore[assignment]  # Counter's stub knows only int
            rows[line.task] += int(line.used["rows"])
    return {task: usd[task] / count for task, count in rows.items() if count}


def cost_of(
    book: CostBook, *, at: float, cpu_s: float, serves: int, generations: Sequence[GeneratorCall]
) -> float | None:
    """Compute what one answer cost, in US dollars.

    Args:
        book: The prices.
        at: Time of the answer, in epoch seconds.
        cpu_s: CPU seconds of its computations.
        serves: Number of values served from the store.
        generations: The generator calls that it took.

    Returns:
        The cost; ``None`` if something that it used has no price.
    """
    usd = cpu_s / HOUR * book.cpu_hour + serves * book.serve
    for one in generations:
        usage = one.usage
        if usage.input is None or usage.output is None:
            return None
        if usage.input or usage.output:
            cost = price(book, one.model, usage, at=at, lane=one.lane)
            if cost is None:
                return None
            usd += cost
    return usd


def summed(rows: Sequence[Cost], by: str) -> list[Cost]:
    """Sum rows by ``task``, ``lane``, ``owner`` or ``plan``; the other columns become ``*``."""
    if by not in BY:
        raise BadInput(f"by={by!r} must be one of {', '.join(BY)}", field="by")
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


def price(book: CostBook, generator: str, usage: Usage, *, at: float, lane: str = "realtime") -> float | None:
    """Price the tokens of a generator, in US dollars; ``None`` if the book has no price for them.

    Args:
        book: The prices.
        generator: The generator's name.
        usage: The tokens.
        at: When they were used, in epoch seconds.
        lane: The lane that used them.
    """
    usd, missing = price_tokens(book, generator, bought(usage), at=at, lane=lane)
    return None if missing else usd


def price_tokens(
    book: CostBook, generator: str, tokens: Tokens, *, at: float, lane: str = "realtime"
) -> tuple[float, str]:
    """Price tokens of a generator; returns US dollars, and which of them have no price and are not in the sum.

    Args:
        book: The prices.
        generator: The generator's name.
        tokens: The tokens.
        at: When they were used, in epoch seconds.
        lane: The lane that used them.
    """
    usd, _, missing = _tokens(book, generator, int(at // HOUR), lane, tokens)
    return usd, missing


def bought(usage: Usage) -> Tokens:
    """The tokens of a generation by the kinds that are priced apart; reasoning is part of the output."""
    return Tokens(
        input=usage.uncached or 0, output=usage.output or 0, cache_read=usage.cache_read or 0,
        cache_write=usage.cache_write or 0, cache_write_hour=usage.cache_write_hour or 0,
    )  # fmt: skip


def _sold(used: Mapping[str, float]) -> Tokens:
    """The same tokens as the ledger's columns name them."""
    return Tokens(
        input=int(used["input"]), output=int(used["output"]), cache_read=int(used["cached"]),
        cache_write=int(used["written"]), cache_write_hour=int(used["written_hour"]),
    )  # fmt: skip


def _offer_of_model(book: CostBook, generator: str) -> Offer | None:
    """The entry of a generator that is named ``PROVIDER/MODEL``, as the proxy names them; ``None`` for other names."""
    provider, _, model = generator.partition("/")
    is_known = any((rate.provider, rate.model) == (provider, model) for rate in book.rates)
    return Offer(provider=provider, model=model) if is_known else None


def _tokens(book: CostBook, model: str, hour: int, lane: str, tokens: Tokens) -> tuple[float, float, str]:
    """The cost of a generator's tokens, their cost at standard processing, and which of them have no price.

    Each kind of token is priced alone, so that one without a price does not hide what the others cost.
    """
    offer = book.generators.get(model) or _offer_of_model(book, model)
    if offer is None:
        return 0.0, 0.0, f"tokens of {model}"
    day = dt.datetime.fromtimestamp(hour * HOUR, dt.UTC).date()
    try:
        rate = book.rate(offer.provider, offer.model, on=day, context=offer.context)
    except BadInput as error:
        return 0.0, 0.0, f"tokens of {model} ({error})"
    usd = list_usd = 0.0
    missing = []
    for kind in Tokens.__struct_fields__:
        alone = Tokens(**{kind: getattr(tokens, kind)})
        if alone == Tokens():
            continue
        try:
            usd += call_cost(rate, alone, processing=offer.processing.get(lane, "standard"))
            list_usd += call_cost(rate, alone)
        except BadInput as error:
            missing.append(str(error))
    return usd, list_usd, f"tokens of {model} ({'; '.join(dict.fromkeys(missing))})" if missing else ""
