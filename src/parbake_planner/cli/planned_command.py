"""``parbake planned``: show a task's plan, make a new one from its own requests, adopt it, or roll back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from parbake.app.application import App
from parbake.cli.materialize_command import TaskName
from parbake.cli.support.load_app import AppName, load, must_last, once, stored
from parbake.cli.support.output import AsJson, moment, print_json, print_table
from parbake.errors import BadInput
from parbake.tasks.task_table import classify
from parbake.tasks.task_types import Stored
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.breakeven import read_prices
from parbake_planner.cli.plan_command import show
from parbake_planner.plans import Planner

EPILOG = "Example: parbake planned shop:app candidates --prices prices.json --adopt"
command = typer.Typer(add_completion=False)


@command.command(epilog=EPILOG)
def planned(
    app: AppName,
    task: TaskName,
    *,
    prices: Annotated[
        Path | None, typer.Option(help="make a plan from the task's own requests, at these prices (JSON)")
    ] = None,
    hits: Annotated[
        float | None, typer.Option(help="with --prices: the share of requests that must find a fresh result")
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="with --prices: follow the new plan from the next run on")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="return to the previous plan")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the plans that a refresh=planned() task follows and followed; make, adopt, or roll back one."""
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
    history = once(application, _work(application, found, prices, hits, adopt=adopt, rollback=rollback))
    show_history(found.name, history, _without_plan(found), as_json=as_json)


def _without_plan(task: Stored) -> str:
    """When a task without an adopted plan is computed."""
    if task.schedule is not None and task.schedule.choice is not None:
        return "follows no plan: every value is computed at its first request"
    return f"is not declared refresh=planned(); it is computed: {classify([task])[0].refresh}"


async def _work(
    application: App, task: Stored, prices: Path | None, hits: float | None, *, adopt: bool, rollback: bool
) -> Sequence[AdoptedPlan]:
    plans = application.plugins[Planner]
    if rollback:
        typer.echo(f"{task.name} follows: {(await plans.unadopt(task)).strategy}")
    if prices is not None:
        stated = read_prices(prices, today=dt.datetime.now(dt.UTC).date())
        decision = await plans.replan(task, stated, hits=hits)
        show(decision)
        if adopt:
            typer.echo(f"adopted: {(await plans.adopt(task, decision)).strategy}")
    return await plans.adopted(task)


def show_history(task: str, history: Sequence[AdoptedPlan], without: str, *, as_json: bool = False) -> None:
    """Print the plans that a task follows and followed, or what holds without any.

    Args:
        task: The task's name.
        history: The plans, the current one first.
        without: What holds without a plan.
        as_json: Whether to print JSON.
    """
    if as_json:
        print_json(history)
        return
    if not history:
        typer.echo(f"{task} {without}")
        return
    table = Table("since", "strategy", "why")
    for plan in history:
        table.add_row(moment(plan.adopted_at), plan.strategy, escape(plan.reason))
    print_table(table)
