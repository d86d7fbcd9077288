"""``parbake triggers``: reasons to reverse a decision, and applying the reversal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from parbake.cli.support.load_app import AppName, load, must_last, once
from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.errors import BadInput
from parbake_planner.books import priced
from parbake_planner.breakeven import Prices, read_prices
from parbake_planner.ledger.reversals import REAL_TIME_ACTION
from parbake_planner.plans import Planner

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_planner.detectors import Proposal

EPILOG = "Example: parbake triggers shop:app --prices candidates=prices.json --apply candidates"
command = typer.Typer(add_completion=False)


@command.command(epilog=EPILOG)
def triggers(
    app: AppName,
    *,
    prices: Annotated[
        list[str] | None, typer.Option(metavar="TASK=FILE", help="a task's prices as they are now")
    ] = None,
    book: Annotated[Path | None, typer.Option(help="a dated cost book, as JSON, for batch against real-time")] = None,
    floor: Annotated[float, typer.Option(min=0, max=1, help="the least hit rate")] = 0.6,
    switching: Annotated[float, typer.Option(min=0, help="the one-time cost of a change, in US dollars")] = 0.0,
    apply: Annotated[str, typer.Option(metavar="TASK", help="apply the proposal for this task")] = "",
    as_json: AsJson = False,
) -> None:
    """Show reasons to reverse a decision, with their evidence; nothing is changed without --apply."""
    today = dt.datetime.now(dt.UTC).date()
    priced_by = None if book is None else priced(book)
    stated = dict(_stated(one, today) for one in prices or [])
    application = load(app).app
    if apply:
        must_last(application)

    async def work() -> list[Proposal]:
        found = await application.plugins[Planner].triggers(
            book=priced_by, prices=stated, floor=floor, switching=switching
        )
        if apply:
            await _apply(application, found, apply)
        return found

    proposed = once(application, work())
    if as_json:
        print_json(proposed)
    else:
        _show(proposed)


async def _apply(application: App, found: list[Proposal], task: str) -> None:
    proposed = [one for one in found if one.task == task]
    if not proposed:
        raise BadInput(f"there is no proposal for {task!r}", field="apply")
    ours = [one for one in proposed if one.action == REAL_TIME_ACTION]
    for one in proposed:
        if one not in ours:
            typer.echo(f"{task}: for a person to do: {one.action}")
    if not ours:
        raise BadInput(f"no proposal for {task!r} can be applied automatically", field="apply")
    adopted = await application.plugins[Planner].apply(ours[0])
    typer.echo(f"{task} follows: {adopted.strategy}; back with: parbake planned APP {task} --rollback")


def _stated(one: str, today: dt.date) -> tuple[str, Prices]:
    task, separator, path = one.partition("=")
    if not separator:
        raise BadInput(f"--prices {one!r} must be TASK=FILE", field="prices")
    return task, read_prices(Path(path), today=today)


def _show(found: list[Proposal]) -> None:
    if not found:
        typer.echo("there is no reason for a change")
        return
    table = Table("trigger", "task", "why", "proposed", "saves a day", "evidence")
    for one in found:
        evidence = ", ".join(f"{name} {value:.4g}" for name, value in one.evidence.items())
        saving = "-" if one.saving is None else f"${one.saving:.4g}"
        table.add_row(one.trigger, one.task, escape(one.reason), escape(one.action), saving, evidence)
    print_table(table)
