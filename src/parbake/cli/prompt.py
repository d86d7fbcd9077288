"""``parbake prompt``: what the prefixes of an app's prompts look like to its providers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from parbake.cli.support.load import AppName, load, once
from parbake.cli.support.output import print_table
from parbake.errors import BadInput
from parbake.ledger.costs import read_book
from parbake.ledger.prompt_report import PromptReport, PromptRow
from parbake.planner.caching.strategy_names import PLANNED, WARM
from parbake.ports.prompts import Tool
from parbake.prompt.watching.explaining import Traffic, uncached

prompt = typer.Typer(
    no_args_is_help=True, help="Explain the prefixes of prompts: blocks, breakpoints and expected hits."
)
EPILOG = "Example: parbake prompt explain shop:app --prices costs.json --conversations 20"


@prompt.command(epilog=EPILOG)
def explain(
    app: AppName,
    *,
    prices: Annotated[Path | None, typer.Option(help="a dated cost book, as JSON")] = None,
    tools: Annotated[Path | None, typer.Option(help="the tools of every prompt, as a JSON list")] = None,
    conversations: Annotated[int, typer.Option(help="conversations at the same time")] = Traffic().conversations,
    turns: Annotated[int, typer.Option(help="turns of each")] = Traffic().turns,
    gap: Annotated[float, typer.Option(help="seconds between two turns of one")] = Traffic().gap_s,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, as GET /v1/prompts")] = False,
) -> None:
    """Show blocks, breakpoints, tokens, expected hits, and the cost against a naive order."""
    application = load(app).app
    traffic = Traffic(conversations=conversations, turns=turns, gap_s=gap)
    book = None if prices is None else read_book(prices, today=dt.datetime.now(dt.UTC).date())
    given = None if tools is None else _tools(tools)
    found = once(application, application.ops.prompts(book, traffic=traffic, tools=given))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    _show(found)


def _tools(path: Path) -> list[Tool]:
    """Read tools from a file; raises :class:`BadInput` that says what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Tool])
    except OSError as error:
        raise BadInput(f"--tools {path}: {error.strerror or error}", field="tools") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"--tools {path}: {error}", field="tools") from error


def _show(found: PromptReport) -> None:
    if not found.prompts:
        typer.echo("no prefix is stored: declare one with @tasks.prefix, and run 'parbake materialize' for it")
    for row in found.prompts:
        _show_row(row)
    if found.missing:
        typer.echo(f"no provider is asked: {found.missing}")


def _show_row(row: PromptRow) -> None:
    where = f"{row.provider} {row.model}".strip() or "no provider"
    typer.echo(f"{row.prefix} {row.key!r} of {row.owner}, at {where}")
    if row.follows:
        decides = row.follows in (PLANNED, WARM)
        typer.echo(f"  follows the plan: {row.follows}" + (", which decides request by request" if decides else ""))
    table = Table("part", "changes with", "version", "tokens", "breakpoint")
    for part in row.explanation.parts:
        table.add_row(part.name, part.volatility, part.version or "-", f"{part.tokens:,}", part.breakpoint or "-")
    print_table(table)
    for name, expected, usd in (
        ("in this order", row.explanation.expected, row.usd),
        ("in the naive order", row.explanation.naive, row.naive_usd),
        ("without a cache", uncached(row.explanation.expected), row.uncached_usd),
    ):
        cost = "no price for its tokens" if usd is None else f"${usd:.4f} for 1,000 requests"
        typer.echo(f"  {name}: {expected.read_share:.1%} of the input tokens read from the cache; {cost}")
    for finding in row.explanation.findings:
        typer.echo(f"  {finding}")
