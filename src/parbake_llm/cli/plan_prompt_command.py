"""``parbake prompt plan``: where to mark prompts for a provider's cache, from a trace of requests and prices."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table

from parbake.cli.support.output import console, progress
from parbake.errors import BadInput, MissingDependency
from parbake_llm.caching.strategy_names import NONE
from parbake_llm.cli.blind_trace import show_blind
from parbake_planner.cli.plan_files import check_files, write_json

if TYPE_CHECKING:
    from parbake_llm.caching.decision import PromptPlan
    from parbake_llm.caching.pricing import CachePrices
    from parbake_llm.caching.trace_file import Unit
    from parbake_planner.plan import Gate

EXAMPLE = {
    "provider": "example", "model": "example", "input": 3.0, "output": 15.0,
    "cache_read": 0.1, "cache_write": 1.25, "cache_write_hour": 2.0,
}  # fmt: skip
"""US dollars per million tokens, and multipliers, of an example; shown if no prices are given."""


BookFile = Annotated[Path | None, typer.Option(help="a dated cost book, as JSON")]
command = typer.Typer(add_completion=False)
_PLAN_EPILOG = "Example: parbake prompt plan trace.jsonl --book book.json --provider anthropic --model claude-sonnet"


@command.command(epilog=_PLAN_EPILOG)
def plan(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE",
            help="CSV or JSON Lines with timestamp, input_tokens, output_tokens, and session or hash_ids; or a log "
            "that you have, see --format",
        ),
    ],
    *,
    book: BookFile = None,
    provider: Annotated[str, typer.Option(help="the provider in the book")] = "",
    model: Annotated[str, typer.Option(help="the model in the book")] = "",
    tokens_per_block: Annotated[int, typer.Option(min=1, help="the tokens that one of hash_ids stands for")] = 512,
    unit: Annotated[
        str, typer.Option(help="what numbers in timestamp count, s or ms; told by the trace if missing")
    ] = "",
    minimum: Annotated[
        int, typer.Option(min=0, help="the least number of tokens of a prefix that the model caches")
    ] = 1024,
    kind: Annotated[
        str,
        typer.Option("--format", help="the kind of log: trace, litellm or langfuse; told by its content if missing"),
    ] = "",
    json: Annotated[Path | None, typer.Option("--json", help="write the plan to this file, as JSON")] = None,
    picture: Annotated[Path | None, typer.Option(help="draw each policy's saving; .svg or .png")] = None,
) -> None:
    """Replay a trace of model requests under every way to use the provider's cache; adopt one if it surely pays.

    Reads spend logs of LiteLLM and generations of Langfuse, too.
    """
    try:
        from parbake_llm.caching.call_logs import read_any_trace
        from parbake_llm.caching.decision import make_prompt_plan
    except ImportError as missing:
        raise MissingDependency.of("planning", "plan", field="numpy") from missing
    check_files(trace, "trace", json=json, picture=picture)
    if book is None and (provider or model):
        raise BadInput("--provider and --model choose a price from --book FILE, which is missing", field="book")

    prices = _prices(book, provider, model, minimum)
    requests = read_any_trace(trace, size=tokens_per_block, unit=_unit(unit), given=kind)
    if not requests.knows_prefixes:
        said = show_blind(requests, prices, minimum=minimum, is_example=book is None)
        if json is not None:
            write_json(json, said)
        return
    with progress() as bars:
        bar = bars.add_task("replaying", total=None)
        found = make_prompt_plan(
            requests, prices,
            progress=lambda name, done, total: bars.update(bar, description=name, completed=done, total=total),
        )  # fmt: skip
    show(found, is_example=book is None)
    if json is not None:
        write_json(json, as_json(found, is_example=book is None))
    if picture is not None:
        _draw(picture, found, is_example=book is None)


def _unit(text: str) -> Unit | None:
    units: dict[str, Unit | None] = {"": None, "s": "s", "ms": "ms"}
    if text not in units:
        raise BadInput(f"--unit {text} must be s or ms", field="unit")
    return units[text]


def _prices(path: Path | None, provider: str, model: str, minimum: int) -> CachePrices:
    from parbake_llm.caching.pricing import cache_prices
    from parbake_planner.ledger.costs import read_book
    from parbake_planner.prices import Rate

    today = dt.datetime.now(dt.UTC).date()
    if path is None:
        return cache_prices(msgspec.convert(EXAMPLE | {"since": today}, Rate), minimum=minimum)
    book = read_book(path, today=today)
    every = sorted({rate.name[:2] for rate in book.rates})
    names = [name for name in every if provider in ("", name[0]) and model in ("", name[1])]
    if len(names) != 1:
        asked = " ".join(filter(None, (provider, model)))
        known = ", ".join(" ".join(name) for name in names or every)
        raise BadInput(
            f"--book {path}: {f'{asked!r} does not name one; ' if asked else ''}choose one price with --provider and "
            f"--model; the book has {known or 'no prices'}",
            field="model",
        )
    return cache_prices(book.rate(*names[0], on=today), minimum=minimum)


def show(plan: PromptPlan, *, is_example: bool) -> None:
    """Print a plan: every policy in a row, and the decision in words.

    Args:
        plan: The plan.
        is_example: Whether the prices are the example's; nothing is adopted at those.
    """
    for note in plan.notes:
        typer.echo(f"note: {note}")
    if is_example:
        typer.echo(f"note: at the example's prices, not yours: {_unit_prices(plan.prices)}")
    if plan.prices.write_hour is None:
        typer.echo("note: the prices have no cache_write_hour, so nothing is marked for an hour")
    title = f"{plan.requests:,} requests in {plan.span_s / 60:,.1f} min; judged by the newest {plan.judged:,}"
    table = Table("policy", "input cost", "saving", "of clairvoyant", "read", "written", "of it wasted", "warm-ups",
                  title=title, title_justify="left")  # fmt: skip
    for one in plan.used.values():
        of_best = "-" if math.isnan(one.of_clairvoyant) else f"{one.of_clairvoyant:.1%}"
        table.add_row(
            one.name, _dollars(one.usd), f"{one.saving:.1%}", of_best,
            f"{one.read:.1%}", f"{one.written:.1%}", f"{one.wasted:.1%}", f"{one.warm_ups:,}",
        )  # fmt: skip
    table.add_row("nobody can do better than", _dollars(plan.bound_usd), *[""] * 6)
    console().print(table)
    for line in words(plan, is_example=is_example):
        typer.echo(line)


def words(plan: PromptPlan, *, is_example: bool) -> list[str]:
    """The decision in words.

    Args:
        plan: The plan.
        is_example: Whether the prices are the example's.
    """
    lines = [_break_even(plan.prices, hour=False)]
    if plan.prices.write_hour is not None:
        lines.append(_break_even(plan.prices, hour=True))
    lines.append(f"repeats: {plan.without_repeat:,} of {plan.requests:,} requests share nothing with an earlier one")
    lines += [_compared(gate) for gate in plan.gates]
    if is_example:
        return [*lines, "nothing is adopted without your prices (add --book FILE, a cost book as JSON)"]
    return [*lines, f"adopted: {plan.adopted}", f"because: {_reason(plan)}"]


def _break_even(prices: CachePrices, *, hour: bool) -> str:
    name, least = ("1h" if hour else "5m"), prices.break_even(hour=hour)
    if least <= 0:
        return f"break-even {name}: a write costs nothing extra, so marking always pays"
    if least <= 1:
        return f"break-even {name}: mark a prefix if a request for it in time is likelier than {least:.1%}"
    if math.isinf(least):
        return f"break-even {name}: reading saves nothing, so marking never pays"
    return f"break-even {name}: one read never pays for the write; {least:.2f} reads are needed"


def _compared(gate: Gate) -> str:
    ratio = gate.ratio
    return (
        f"compared: {gate.candidate} costs {ratio.value:.3f} of {gate.against} "
        f"(95 % interval {ratio.low:.3f} to {ratio.high:.3f}, upper bound {ratio.upper:.3f})"
    )


def _reason(plan: PromptPlan) -> str:
    if plan.without_repeat == plan.requests:
        return "no request repeats an earlier prefix, so a cached prefix is never read"
    if plan.is_blind:
        return f"the judged requests form {plan.groups} groups, too few to compare policies with confidence"
    planned = plan.gates[-1]
    if planned.adopted:
        return f"it is surely cheaper than {planned.against}, the best rule that needs no prediction"
    if plan.gates[0].adopted:
        return f"it is surely cheaper than {plan.base}, and {planned.candidate} is not surely cheaper still"
    without = "" if plan.base == NONE else ", which is what is done without a plan"
    return f"nothing is surely cheaper than {plan.base}{without}"


def as_json(plan: PromptPlan, *, is_example: bool) -> dict[str, Any]:
    """The plan as JSON data, in which what is not a number becomes null.

    Args:
        plan: The plan.
        is_example: Whether the prices are the example's; nothing is adopted at those.
    """
    gates = [
        {"candidate": g.candidate, "against": g.against, "ratio": g.ratio.value, "low": g.ratio.low,
         "high": g.ratio.high, "upper": g.ratio.upper, "adopted": g.adopted}
        for g in plan.gates
    ]  # fmt: skip
    rows = {
        one.name: {name: value for name, value in asdict(one).items() if name != "name"} for one in plan.used.values()
    }
    return {
        "adopted": None if is_example else plan.adopted, "reason": "" if is_example else _reason(plan),
        "missing": ["prices"] if is_example else [], "base": plan.base, "best_simple": plan.best_simple,
        "policies": rows, "gates": gates, "bound_usd": plan.bound_usd, "requests": plan.requests, "judged": plan.judged,
        "without_repeat": plan.without_repeat, "groups": plan.groups, "span_s": plan.span_s,
        "break_even_5m": plan.prices.break_even(hour=False), "break_even_1h": plan.prices.break_even(hour=True),
        "notes": list(plan.notes),
    }  # fmt: skip


def _draw(path: Path, plan: PromptPlan, *, is_example: bool) -> None:
    """Draw what each policy saves, with the clairvoyant's saving as the mark to reach."""
    from parbake.cli.support.pictures import BLACK, BLUE, ORANGE, save

    rows = [one for one in plan.used.values() if one.name != "no caching"]
    chosen = "" if is_example else plan.adopted

    def plot(axis: Any) -> None:
        colours: Sequence[str] = [ORANGE if one.name == chosen else BLUE for one in rows]
        axis.barh([one.name for one in rows], [one.saving for one in rows], color=colours)
        axis.axvline(0, color=BLACK, linewidth=0.8)
        axis.invert_yaxis()
        axis.set_xlabel("saving, share of the input cost without caching")
        axis.set_title("What each policy saves" + (f"; adopted: {chosen}" if chosen else ""))

    save(path, plot)


def _unit_prices(prices: CachePrices) -> str:
    hour = "" if prices.write_hour is None else f", {prices.write_hour:g} times that to write it for an hour"
    return (
        f"${prices.token_usd * 1e6:g} per million input tokens, {prices.read:g} times that to read a token, "
        f"{prices.write:g} times that to write it for minutes{hour}"
    )


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 else f"${value:.4g}"
