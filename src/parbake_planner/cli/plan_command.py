"""``parbake plan``: what to compute ahead, from a request log and prices alone."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from parbake.cli.support.output import console, progress
from parbake.errors import BadInput, MissingDependency
from parbake.values.duration import seconds
from parbake_planner.cli.plan_files import check_files, write_json
from parbake_planner.strategies import ALL, REAL_TIME

if TYPE_CHECKING:
    from parbake_planner.breakeven import Prices
    from parbake_planner.forecast.request_log import RequestLog
    from parbake_planner.per_key import EventCoverage
    from parbake_planner.plan import Decision

_MOST_KEYS = 100_000_000
"""With this many keys, the replay's state fits into a few gigabytes."""
EPILOG = "Example: parbake plan requests.csv --sla 6h --prices prices.json --keys 5000000 --picture front.svg"
command = typer.Typer(add_completion=False)
_NEEDED = {
    "prices": "your prices (add --prices FILE, JSON as in docs/explanation/economics.md)",
    "keys": "the number of keys, including those without a request (add --keys N; the log names {keys:,})",
}
"""What a recommendation needs besides the log, and the option that provides it."""
_PRECISION = 0.5
Log = Annotated[Path, typer.Argument(metavar="LOG", help="CSV or Parquet: key,timestamp[,signal]")]


@command.command(epilog=EPILOG)
def plan(
    log: Log,
    *,
    prices: Annotated[
        Path | None,
        typer.Option(help="the task's prices, as JSON; without, an example's are shown and nothing is recommended"),
    ] = None,
    sla: Annotated[str, typer.Option(help="how long a result stays valid, such as 15m, 6h or 7d")] = "6h",
    keys: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_KEYS,
            help="how many keys there are, including those without a request; without, nothing is recommended",
        ),
    ] = None,
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
) -> None:
    """Replay a request log under every strategy; recommend what to compute ahead, with the reason and the cost.

    Needs --prices and --keys to recommend anything.
    """
    try:
        from parbake_planner.cli.front_picture import DOLLARS, draw_front
        from parbake_planner.plan import Assumptions, make
    except ImportError as missing:
        raise MissingDependency.of("planning", "plan", field="numpy") from missing
    check_files(log, "log", json=json, picture=picture)
    priced = _prices(prices)
    if coverage is not None and priced.near_line is None:
        raise BadInput(f"--coverage {coverage}: the prices must have near_line, the cost of computing on an event")
    sla_s, lane = seconds(sla, field="sla"), _lane(coverage, precision)
    with progress() as bars:
        ids: dict[str, Any] = {}

        def move(name: str, done: int, total: int) -> None:
            if name not in ids:
                ids[name] = bars.add_task(name, total=total)
            bars.update(ids[name], completed=done, total=total)

        requests = _read(log, keys, lambda done, total: move("reading (bytes)", done, total))
        found = make(requests, priced, sla_s=sla_s, assumed=Assumptions(events=lane), progress=move, hits=hits)
    lacking = [name for name, given in (("prices", prices), ("keys", keys)) if given is None]
    show(found, missing=lacking)
    if json is not None:
        write_json(json, as_json(found, missing=lacking))
    if picture is not None:
        unit = DOLLARS if prices is not None else f"{DOLLARS} at the example's prices, not yours"
        draw_front(picture, found.front, recommended="" if lacking else found.recommended, unit=unit)


def _prices(path: Path | None) -> Prices:
    from parbake_planner.breakeven import STORY, read_prices

    return STORY if path is None else read_prices(path, today=dt.datetime.now(dt.UTC).date())


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


def _read(path: Path, keys: int | None, progress: Any) -> RequestLog:
    from parbake_planner.forecast.log_file import read

    return read(path, now=time.time(), population=keys, progress=progress)


def show(plan: Decision, *, missing: Sequence[str] = ()) -> None:
    """Print a plan: every strategy in a row, and the recommendation in words.

    Args:
        plan: The plan.
        missing: The parts of :data:`NEEDED` that were not given; if there are any, nothing is recommended.
    """
    screen = console()
    for note in plan.notes:
        typer.echo(f"note: {note}")
    if "prices" in missing:
        typer.echo(f"note: at the example's prices, not yours: {_unit_prices(plan.prices)}")
    keys = "1 key" if plan.keys == 1 else f"{plan.keys:,} keys"
    title = f"{keys}, {plan.requests_a_day:,.0f} requests a day, results valid for {_span(plan.width)}"
    table = Table("strategy", "$/day", "95 % interval", "key hit", "fresh", "accepted", "stale", "p95 ms", "wasted",
                  "QACPI", title=title, title_justify="left")  # fmt: skip
    for name, outcome in plan.outcomes.items():
        interval, marks = plan.intervals[name], " (assumed)" if name in plan.assumed else ""
        fresh, stale = outcome.share(outcome.fresh_hits), outcome.share(outcome.stale)
        shares = (outcome.share(outcome.key_hits), fresh, fresh - stale, stale)
        table.add_row(
            name + marks, _money(outcome.per_day), f"{_money(interval.low)} to {_money(interval.high)}",
            *(f"{share:.3f}" for share in shares), f"{outcome.p95_s(plan.prices) * 1000:.0f}",
            f"{outcome.wasted / outcome.ahead:.1%}" if outcome.ahead else "-", f"{index(plan, name):.2f}",
        )  # fmt: skip
    table.add_row("nobody can do better than", _money(plan.bound), *[""] * 8)
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


def unready(plan: Decision, missing: Sequence[str]) -> str:
    """Why nothing is recommended, and which options change that."""
    return "nothing is recommended without " + " and ".join(_NEEDED[name].format(keys=plan.keys) for name in missing)


def assumed(plan: Decision) -> list[str]:
    """Remarks on strategies that rest on an assumption."""
    return [
        f"assumed: {name} rests on the event lane that you described, and is shown, not recommended"
        for name in plan.assumed
    ]


def words(plan: Decision) -> list[str]:
    """The recommendation in words."""
    volume, here, ahead = plan.break_even, f"{plan.requests_a_day:,.0f}", _span(plan.width)
    everything, none = (_money(plan.outcomes[name].per_day) for name in (ALL, REAL_TIME))
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


def _unit_prices(prices: Prices) -> str:
    parts = (("on request", prices.on_demand), ("a serve", prices.serve), ("in batch", prices.batch))
    return ", ".join(f"${value:g} {name}" for name, value in (*parts, ("stored", prices.write)))


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - cents do not matter there


def _span(seconds_long: float) -> str:
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds_long >= unit:
            return f"{seconds_long / unit:g} {name}"
    return f"{seconds_long:g} s"
