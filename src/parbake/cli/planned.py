"""``parbake planned``: show a task's plan, make a new one from its own requests, adopt it, or roll back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from parbake.app import App
from parbake.cli.materialize import TaskName
from parbake.cli.plan import show
from parbake.cli.support.load import AppName, load, must_last, once, stored
from parbake.cli.support.output import moment, print_table
from parbake.declare.task_table import classify
from parbake.declare.tasks import Artifact, Stored
from parbake.errors import BadInput
from parbake.ledger.costs import read_book
from parbake.planner.breakeven import read_prices

EPILOG = (
    "Examples: parbake planned shop:app candidates --prices prices.json --adopt; "
    "parbake planned shop:app prompt_prefix --prices book.json --generator anthropic --adopt"
)


def planned(
    app: AppName,
    task: TaskName,
    *,
    prices: Annotated[
        Path | None, typer.Option(help="make a plan from the task's own requests, at these prices (JSON)")
    ] = None,
    generator: Annotated[
        str,
        typer.Option(help="of a prefix of prompts: the generator whose requests are planned; --prices is a cost book"),
    ] = "",
    hits: Annotated[
        float | None, typer.Option(help="with --prices: the share of requests that must find a fresh result")
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="with --prices: follow the new plan from the next run on")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="return to the previous plan")] = False,
) -> None:
    """Show the plans that a refresh=planned() task or a prefix follows and followed; make, adopt, or roll back one."""
    if adopt and prices is None:
        raise BadInput("--adopt needs --prices, from which the new plan is made", field="prices")
    if hits is not None and prices is None:
        raise BadInput("--hits needs --prices, from which the new plan is made", field="prices")
    if adopt and rollback:
        raise BadInput("--adopt and --rollback exclude each other", field="rollback")
    application = load(app).app
    if adopt or rollback:
        must_last(application)
    found = stored(application.tasks[task])
    if isinstance(found, Artifact) and found.is_prefix:
        if hits is not None:
            raise BadInput(f"{task} is a prefix of prompts, whose plan has no share of hits", field="hits")
        if prices is not None and not generator:
            raise BadInput(f"{task} is a prefix of prompts: name the --generator to plan it for", field="generator")
        once(application, _prefix(application, found, prices, generator, adopt=adopt, rollback=rollback))
        return
    once(application, _work(application, found, prices, hits, adopt=adopt, rollback=rollback))


async def _prefix(
    application: App, task: Stored, prices: Path | None, generator: str, *, adopt: bool, rollback: bool
) -> None:
    """Show, make, adopt or take back a plan of a prefix."""
    if rollback:
        await application.ops.unadopt(task)
    if prices is not None:
        from parbake.cli.plan_prompt import show as show_caching

        book = read_book(prices, today=dt.datetime.now(dt.UTC).date())
        plan = await application.ops.replan_caching(task, generator, book)
        show_caching(plan, is_example=False)
        if adopt:
            typer.echo(f"adopted: {(await application.ops.adopt_caching(task, plan)).strategy}")
    await _history(application, task, "follows no plan: breakpoints follow the volatility of its blocks")


def _without_plan(task: Stored) -> str:
    """When a task without an adopted plan is computed."""
    if task.schedule is not None and task.schedule.planned:
        return "follows no plan: every value is computed at its first request"
    return f"is not declared refresh=planned(); it is computed: {classify([task])[0].refresh}"


async def _work(
    application: App, task: Stored, prices: Path | None, hits: float | None, *, adopt: bool, rollback: bool
) -> None:
    if rollback:
        typer.echo(f"{task.name} follows: {(await application.ops.unadopt(task)).strategy}")
    if prices is not None:
        stated = read_prices(prices, today=dt.datetime.now(dt.UTC).date())
        decision = await application.ops.replan(task, stated, hits=hits)
        show(decision)
        if adopt:
            typer.echo(f"adopted: {(await application.ops.adopt(task, decision)).strategy}")
    await _history(application, task, _without_plan(task))


async def _history(application: App, task: Stored, without: str) -> None:
    """Print the plans that a task follows and followed, or what holds without any."""
    history = await application.ops.adopted(task)
    if not history:
        typer.echo(f"{task.name} {without}")
        return
    table = Table("since", "strategy", "why")
    for plan in history:
        table.add_row(moment(plan.adopted_at), plan.strategy, escape(plan.reason))
    print_table(table)
