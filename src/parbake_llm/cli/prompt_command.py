"""``parbake prompt``: what the prefixes of an app's prompts look like to its providers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from parbake.cli.materialize_command import TaskName
from parbake.cli.support.load_app import AppName, load, must_last, once, stored
from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.errors import BadInput
from parbake_llm.caching.strategy_names import PLANNED, WARM
from parbake_llm.care.prompt_report import PromptReport, PromptRow
from parbake_llm.cli.plan_prompt_command import BookFile, command, show
from parbake_llm.ports.prompts import Tool
from parbake_llm.prefix import is_prefix
from parbake_llm.prompts_plugin import Prompts
from parbake_llm.watching.explaining import Traffic, uncached
from parbake_planner.books import priced
from parbake_planner.cli.planned_command import show_history
from parbake_planner.ledger.costs import CostBook

prompt = typer.Typer(
    no_args_is_help=True, help="Explain the prefixes of prompts: blocks, breakpoints and expected hits."
)
_PLANNED_EPILOG = "Example: parbake prompt planned shop:app rules --book book.json --generator anthropic --adopt"
EPILOG = "Example: parbake prompt explain shop:app --book costs.json --conversations 20"


@prompt.command(epilog=EPILOG)
def explain(
    app: AppName,
    *,
    book: BookFile = None,
    tools: Annotated[Path | None, typer.Option(help="the tools of every prompt, as a JSON list")] = None,
    conversations: Annotated[int, typer.Option(help="conversations at the same time")] = Traffic().conversations,
    turns: Annotated[int, typer.Option(help="turns of each")] = Traffic().turns,
    gap: Annotated[float, typer.Option(help="seconds between two turns of one")] = Traffic().gap_s,
    as_json: AsJson = False,
) -> None:
    """Show blocks, breakpoints, tokens, expected hits, and the cost against a naive order."""
    application = load(app).app
    traffic = Traffic(conversations=conversations, turns=turns, gap_s=gap)
    given = None if tools is None else _tools(tools)
    found = once(application, application.plugins[Prompts].report(_read(book), traffic=traffic, tools=given))
    if as_json:
        print_json(found)
        return
    _show(found)


prompt.registered_commands += command.registered_commands  # ``plan``, between the other two


@prompt.command(epilog=_PLANNED_EPILOG)
def planned(
    app: AppName,
    task: TaskName,
    *,
    book: BookFile = None,
    generator: Annotated[str, typer.Option(help="with --book: the generator whose requests are planned")] = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="with --book: follow the new plan")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="return to the previous plan")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the plans that a prefix follows and followed; make one from its requests, adopt it, or roll back."""
    if adopt and book is None:
        raise BadInput("--adopt needs --book, whose prices the new plan is made with", field="book")
    if adopt and rollback:
        raise BadInput("--adopt and --rollback exclude each other", field="rollback")
    if book is not None and not generator:
        raise BadInput(f"{task} is planned for one generator: name it with --generator", field="generator")
    application = load(app).app
    if adopt or rollback:
        must_last(application)
    found = stored(application.tasks[task])
    if not is_prefix(found):
        raise BadInput(f"{task} is not a prefix of prompts", field="task")
    priced_by = _read(book)

    async def work() -> None:
        desk = application.plugins[Prompts]
        if rollback:
            await desk.unadopt(found)
        if priced_by is not None:
            made = await desk.replan(found, generator, priced_by)
            show(made, is_example=False)
            if adopt:
                typer.echo(f"adopted: {(await desk.adopt(found, made)).strategy}")
        without = "follows no plan: breakpoints follow the volatility of its blocks"
        show_history(task, await desk.adopted(found), without, as_json=as_json)

    once(application, work())


def _read(book: Path | None) -> CostBook | None:
    return None if book is None else priced(book)


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
        typer.echo(
            "no prefix is stored: declare one with @parbake_llm.prefix(tasks, ...), "
            "and run 'parbake materialize' for it"
        )
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
