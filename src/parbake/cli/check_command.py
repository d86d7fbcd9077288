"""``parbake check``: whether an app could be deployed, for a pipeline to ask before it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load, once
from parbake.cli.support.output import print_table
from parbake.errors import ParbakeError
from parbake.process.threads import aside
from parbake.tasks.families import minded
from parbake.tasks.task_types import Stored

EPILOG = "Example: parbake check shop:app --strict"
Finding = tuple[str, str, str]
"""``error`` or ``warning``, what it is about, and a sentence."""


def check(
    app: AppName,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="ask neither the store nor the sources")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="count warnings as errors")] = False,
) -> None:
    """Check contracts, families, extras, sources and the store of an app.

    The exit status is 0 if all is well, 1 if the app could not run as it is, and 2 if it cannot be loaded.
    """
    try:
        application = load(app).app
        _ = application.engine  # opening compiles the tasks, and finds what is misspelt or not installed
    except ParbakeError as error:
        typer.echo(f"parbake: {error}", err=True)
        raise typer.Exit(2) from error
    found = list(_declared(application))
    found += once(application, _asked(application, offline=offline))
    if not found:
        typer.echo("nothing is wrong")
        return
    table = Table("", "about", "what is wrong")
    for kind, about, message in found:
        table.add_row(kind, escape(about), escape(message))
    print_table(table)
    if strict or any(kind == "error" for kind, _, _ in found):
        raise typer.Exit(1)


def _declared(app: App) -> Iterator[Finding]:
    """What the declarations alone show."""
    tasks = list(app.tasks)
    wanted = frozenset[str]().union(*map(minded, tasks))
    for task in tasks:
        if isinstance(task, Stored) and task.contract.defaulted:
            yield "warning", task.name, f"leaves {', '.join(task.contract.defaulted)} to defaults"
    for source in app.engine.binder.heard:
        for name in sorted(set(source.families) - wanted):
            message = f"reports {name!r}, and no task depends on it: is it misspelt here, or in a contract?"
            yield "warning", f"source {source.name}", message
    for name, reason in app.settings.off.items():
        yield "warning", name, f"is off: {reason}"


async def _asked(app: App, *, offline: bool) -> list[Finding]:
    """What the store and the sources say; nothing if they must not be asked."""
    found: list[Finding] = []
    if offline:
        return found
    try:
        await app.stamp()
    except ParbakeError as error:
        found.append(("error", "store", str(error)))
    for source in app.engine.binder.heard:
        try:
            await aside(_ask, source)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the other sources are asked, too
            found.append(("error", f"source {source.name}", str(error)))
    return found


def _ask(source: Any) -> None:
    """Ask a source for its extent, or a topic for that of each of its partitions; blocking."""
    for part in source.parts() if hasattr(source, "parts") else (source,):
        part.extent()
