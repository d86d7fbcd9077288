"""``parbake plan``: what to compute ahead, from a log and prices alone."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from parbake.cli.support.output import console, on_bars, progress, write
from parbake.errors import BadInput, MissingDependency
from parbake.values.duration import seconds
from parbake_planner.cli.plan_files import check_files, write_json
from parbake_planner.cli.wording import money, span, unit_prices, unready
from parbake_planner.strategies import ALL, REAL_TIME

if TYPE_CHECKING:
    from parbake_planner.breakeven import Prices
    from parbake_planner.logs.read_requests import LogRead
    from parbake_planner.per_key import EventCoverage
    from parbake_planner.plan import Decision

_MOST_KEYS = 100_000_000
"""With this many keys, the replay's state fits into a few gigabytes."""
EPILOG = "Example: parbake plan requests.csv --sla 6h --prices prices.json --keys 5000000 --picture front.svg"
command = typer.Typer(add_completion=False)
_PRECISION = 0.5
_ANY = 1e9
"""Stands for a price that is measured in a log, until that is read."""
Log = Annotated[
    Path,
    typer.Argument(
        metavar="LOG", help="CSV or Parquet with key,timestamp[,signal]; or a log that you have, see --format"
    ),
]
_PriceFile = Annotated[
    Path | None,
    typer.Option(help="the task's prices, as JSON; without, an example's are shown and nothing is recommended"),
]
_Keys = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=_MOST_KEYS,
        help="how many keys there are, including those without a request; without, nothing is recommended",
    ),
]
_Kind = Annotated[
    str,
    typer.Option(
        "--format", help="the kind of log: table, access, litellm or langfuse; told by its content if missing"
    ),
]
_KeyPattern = Annotated[
    str | None,
    typer.Option(
        help="access log: a regular expression with one group, the key, over a line such as GET /a?b=1 HTTP/1.1; the "
        "path by default"
    ),
]


@command.command(epilog=EPILOG)
def plan(
    log: Log,
    *,
    prices: _PriceFile = None,
    sla: Annotated[str, typer.Option(help="how long a result stays valid, such as 15m, 6h or 7d")] = "6h",
    keys: _Keys = None,
    coverage: Annotated[
        float | None, typer.Option(help="assume an event lane: the share of sessions that a signal announces, 0 to 1")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="with it: the share of signals that a request follows; .5 by default")
    ] = None,
    hits: Annotated[
        float | None, typer.Option(help="the share of requests that must find a fresh result, such as .95")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="write the plan to this file, as JSON")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw cost against hits; .svg or .png")] = None,
    page: Annotated[Path | None, typer.Option(help="write one page for a meeting to this file, as HTML")] = None,
    kind: _Kind = "",
    key_pattern: _KeyPattern = None,
) -> None:
    """Replay a request log under every strategy; recommend what to compute ahead, with the reason and the cost.

    Reads access logs of nginx and Apache, spend logs of LiteLLM and exports of Langfuse, too. Needs --prices and
    --keys to recommend anything.
    """
    try:
        from parbake_planner.cli.front_picture import DOLLARS, draw_front
        from parbake_planner.cli.meeting_page import meeting_page
        from parbake_planner.plan import Assumptions, make
    except ImportError as missing:
        raise MissingDependency.of("planning", "plan", field="numpy") from missing
    check_files(log, "log", json=json, picture=picture, page=page)
    priced = _prices(prices, _ANY)
    if coverage is not None and priced.near_line is None:
        raise BadInput(f"--coverage {coverage}: the prices must have near_line, the cost of computing on an event")
    sla_s, lane = seconds(sla, field="sla"), _lane(coverage, precision)
    with progress() as bars:
        move = on_bars(bars)
        read = _read(log, keys, kind, key_pattern, lambda done, total: move("reading (bytes)", done, total))
        priced = _prices(prices, read.usd)
        found = make(read.log, priced, sla_s=sla_s, assumed=Assumptions(events=lane), progress=move, hits=hits)
    lacking = [name for name, given in (("prices", prices), ("keys", keys)) if given is None]
    is_measured = prices is not None and _prices(prices, _ANY) != priced
    show(found, missing=lacking)
    for line in _measured(read, is_used=is_measured):
        typer.echo(line)
    if json is not None:
        write_json(json, as_json(found, missing=lacking) | {"log": _as_read(read, is_used=is_measured)})
    if page is not None:
        text = meeting_page(found, read, log.name, missing=lacking, is_measured=is_measured)
        write("page", page, text.encode())
    if picture is not None:
        unit = DOLLARS if prices is not None else f"{DOLLARS} at the example's prices, not yours"
        draw_front(picture, found.front, recommended="" if lacking else found.recommended, unit=unit)


def _prices(path: Path | None, measured: float | None) -> Prices:
    from parbake_planner.breakeven import STORY, read_prices

    return STORY if path is None else read_prices(path, today=dt.datetime.now(dt.UTC).date(), measured=measured)


def _lane(coverage: float | None, precision: float | None) -> EventCoverage | None:
    from parbake_planner.per_key import EventCoverage

    if coverage is None:
        if precision is not None:
            raise BadInput(f"--precision {precision} needs --coverage, which assumes an event lane", field="precision")
        return None
    precision = _PRECISION if precision is None else precision
    for name, value in (("coverage", coverage), ("precision", precision)):
        if not 0 < value <= 1:
            raise BadInput(f"--{name} {value} must be a share, above 0 and at most 1", field=name)
    return EventCoverage(coverage, precision)


def _read(path: Path, keys: int | None, kind: str, key_pattern: str | None, progress: Any) -> LogRead:
    from parbake_planner.logs.read_requests import read_requests

    return read_requests(path, now=time.time(), given=kind, key_pattern=key_pattern, population=keys, progress=progress)


def _measured(read: LogRead, *, is_used: bool) -> list[str]:
    """What the log says about costs."""
    if read.usd is None:
        return []
    use = "that is the price on request" if is_used else "a file of --prices without on_demand takes it from here"
    return [f"measured in the log: {read.measured:,} computations, ${money(read.usd)} each in the median; {use}"]


def _as_read(read: LogRead, *, is_used: bool) -> dict[str, Any]:
    return {
        "format": read.kind, "rows": read.rows, "skipped": read.skipped, "median_usd": read.usd,
        "measured": read.measured, "spent_usd": read.spent, "is_median_used": is_used,
    }  # fmt: skip


def show(plan: Decision, *, missing: Sequence[str] = ()) -> None:
    """Print a plan: every strategy in a row, and the recommendation in words.

    Args:
        plan: The plan.
        missing: What was not given, ``prices`` or ``keys``; if anything, nothing is recommended.
    """
    screen = console()
    for note in plan.notes:
        typer.echo(f"note: {note}")
    if "prices" in missing:
        typer.echo(f"note: at the example's prices, not yours: {unit_prices(plan.prices)}")
    keys = "1 key" if plan.keys == 1 else f"{plan.keys:,} keys"
    title = f"{keys}, {plan.requests_a_day:,.0f} requests a day, results valid for {span(plan.width)}"
    table = Table("strategy", "$/day", "95 % interval", "key hit", "fresh", "accepted", "stale", "p95 ms", "wasted",
                  "QACPI", title=title, title_justify="left")  # fmt: skip
    for name, outcome in plan.outcomes.items():
        interval, marks = plan.intervals[name], " (assumed)" if name in plan.assumed else ""
        fresh, stale = outcome.share(outcome.fresh_hits), outcome.share(outcome.stale)
        shares = (outcome.share(outcome.key_hits), fresh, fresh - stale, stale)
        table.add_row(
            name + marks, money(outcome.per_day), f"{money(interval.low)} to {money(interval.high)}",
            *(f"{share:.3f}" for share in shares), f"{outcome.p95_s(plan.prices) * 1000:.0f}",
            f"{outcome.wasted / outcome.ahead:.1%}" if outcome.ahead else "-", f"{index(plan, name):.2f}",
        )  # fmt: skip
    table.add_row("nobody can do better than", money(plan.bound), *[""] * 8)
    screen.print(table)
    for line in [unready(plan, missing), *assumed(plan)] if missing else words(plan):
        typer.echo(line)


def index(plan: Decision, name: str) -> float:
    """The QACPI of a strategy against computing each request; quality is the share of answers that are not outdated."""
    from parbake_planner.qacpi import Measured, qacpi

    def measured(which: str) -> Measured:
        outcome = plan.outcomes[which]
        hits = outcome.share(outcome.fresh_hits)
        mean_s = hits * plan.prices.serve_s + (1 - hits) * plan.prices.on_demand_s
        current = max(1e-9, 1 - outcome.share(outcome.stale))
        return Measured(quality=current, cost=max(1e-12, outcome.per_day), latency_s=max(1e-9, mean_s))

    return qacpi(measured(name), measured("real-time"))


def assumed(plan: Decision) -> list[str]:
    """Remarks on strategies that rest on an assumption."""
    return [
        f"assumed: {name} rests on the event lane that you described, and is shown, not recommended"
        for name in plan.assumed
    ]


def words(plan: Decision) -> list[str]:
    """The recommendation in words."""
    volume, here, ahead = plan.break_even, f"{plan.requests_a_day:,.0f}", span(plan.width)
    everything, none = (money(plan.outcomes[name].per_day) for name in (ALL, REAL_TIME))
    lines = [
        f"recommended: {plan.recommended}",
        f"because: {plan.reason}",
        f"break-even volume: {volume:,.0f} requests a day; here are {here}, "
        f"for which precompute all costs ${everything} a day and real-time ${none}"
        if plan.outcomes[ALL].ahead
        else "break-even volume: not known, as no key was known before its first request",
        f"threshold: compute a key ahead if a request within {ahead} is likelier than {plan.theta:.2%}"
        if plan.theta < 1
        else "threshold: no key is worth computing ahead at these prices, however likely its request is",
    ]
    if math.isfinite(plan.flip):
        lines.append(f"price flip: were computing on request {plan.flip:.3g}x cheaper, real-time would win")
    return [*lines, *assumed(plan)]


def as_json(plan: Decision, *, missing: Sequence[str] = ()) -> dict[str, Any]:
    """The plan as JSON data; values that are not numbers or not recommended yet are null."""
    rows = {
        name: {
            "usd_per_day": outcome.per_day, "low": plan.intervals[name].low, "high": plan.intervals[name].high,
            "key_hit": outcome.share(outcome.key_hits), "fresh_hit": outcome.share(outcome.fresh_hits),
            "accepted_hit": outcome.share(outcome.fresh_hits - outcome.stale), "stale": outcome.share(outcome.stale),
            "p95_s": outcome.p95_s(plan.prices), "qacpi": index(plan, name),
            "computed_ahead": outcome.ahead, "wasted": outcome.wasted,
            "computed_on_request": outcome.computed, "computed_on_events": outcome.near_line, "days": outcome.days,
        }
        for name, outcome in plan.outcomes.items()
    }  # fmt: skip
    gates = [] if missing else [
        {"candidate": g.candidate, "against": g.against, "ratio": g.ratio.value, "upper": g.ratio.upper,
         "adopted": g.adopted}
        for g in plan.gates
    ]  # fmt: skip
    return {
        "recommended": None if missing else plan.recommended,
        "reason": unready(plan, missing) if missing else plan.reason, "missing": list(missing),
        "best_simple": None if missing else plan.best_simple, "strategies": rows,
        "gates": gates, "bound_usd_per_day": plan.bound, "requests_per_day": plan.requests_a_day, "keys": plan.keys,
        "window_s": plan.width, "break_even_requests_per_day": plan.break_even,
        "price_flip_factor": plan.flip, "theta": plan.theta,
        "hits_asked_for": plan.hits, "second_for_hits": plan.second, "assumed": list(plan.assumed),
        "notes": list(plan.notes), "front": plan.front,
    }  # fmt: skip
