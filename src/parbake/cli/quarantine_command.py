"""``parbake quarantine``: which tasks are served in real time after a complaint, and releasing them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from parbake.cli.support.load_app import AppName, load, must_last, once, stored
from parbake.cli.support.output import AsJson, moment, print_json, print_table
from parbake.errors import BadInput
from parbake.protocol.control import Quarantine
from parbake.values.duration import humanize

EPILOG = "Example: parbake quarantine shop:app --clear faq_answers"


def quarantine(
    app: AppName,
    clear: Annotated[str, typer.Option(metavar="TASK", help="serve this task from the store again")] = "",
    put: Annotated[str, typer.Option(metavar="TASK", help="stop serving stored values of this task")] = "",
    reason: Annotated[str, typer.Option(help="with --put: what was wrong")] = "by its owner",
    *,
    as_json: AsJson = False,
) -> None:
    """Show which tasks are in quarantine after a complaint; put one in, or clear one."""
    if clear and put:
        raise BadInput("--put and --clear cannot be combined; give one of them", field="put")
    application = load(app).app
    if put or clear:
        must_last(application)

    async def work() -> dict[str, Quarantine]:
        if clear:
            await application.ops.clear(stored(application.tasks[clear]))
        if put:
            await application.ops.complain(stored(application.tasks[put]), reason)
        return dict(await application.ops.quarantined())

    found = once(application, work())
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("nothing is in quarantine")
        return
    table = Table("task", "since", "why", "proposed SLA")
    for name, entry in found.items():
        table.add_row(name, moment(entry.at), escape(entry.reason), humanize(entry.sla_s))
    print_table(table)
