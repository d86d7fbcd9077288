"""``parbake check``: whether an app could be deployed, for a pipeline to ask before it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load, once
from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.errors import ParbakeError
from parbake.lanes.event.log_reader import logs_of, recognise, untold_by
from parbake.lanes.event.recovery import FileJournal
from parbake.ports.event_log import Applied
from parbake.ports.store import Store
from parbake.process.threads import aside
from parbake.stores import open_store
from parbake.tasks.families import minded
from parbake.tasks.task_types import Stored
from parbake.values.checks import Problems

EPILOG = "Example: parbake check shop:app --strict"
Finding = tuple[str, str, str]
"""``error`` or ``warning``, what it is about, and a sentence."""


def check(
    app: AppName,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="ask neither the store nor the sources")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="count warnings as errors")] = False,
    as_json: AsJson = False,
) -> None:
    """Check contracts, families, extras, sources and the store of an app.

    The exit status is 0 if all is well, 1 if the app could not run as it is, and 2 if there is no such app, or if its
    module raises an error of its own. All problems are listed, but what is refused when the module is imported, such
    as a declaration, ends the check.
    """
    try:
        application = load(app).app
    except ParbakeError as error:
        if error.field == "APP":
            typer.echo(f"parbake: {error}", err=True)
            raise typer.Exit(2) from error
        found = [_problem(error), ("", "app", "cannot be imported because of that, so nothing else was checked")]
    else:
        if offline:
            application.ops.leave_journal()
        found, heard = declared(application)
        if not offline:
            found += once(application, asked(application, heard))
    _show(list(dict.fromkeys(found)), as_json=as_json)  # a store that cannot be opened is met twice
    if (strict and found) or any(kind == "error" for kind, _, _ in found):
        raise typer.Exit(1)


def _show(found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([{"kind": kind, "about": about, "message": message} for kind, about, message in found])
        return
    if not found:
        typer.echo("nothing is wrong")
        return
    table = Table("", "about", "what is wrong")
    for finding in found:
        table.add_row(*map(escape, finding))
    print_table(table)


def _problem(error: ParbakeError) -> Finding:
    return "error", error.field or "app", str(error)


def declared(app: App) -> tuple[list[Finding], Sequence[Any]]:
    """What opening an app and its declarations show.

    Args:
        app: The app.

    Returns:
        The findings, and the sources and topics to ask.
    """
    found: list[Finding] = []
    heard: Sequence[Any]
    try:
        heard = app.engine.binder.heard  # opening compiles the tasks, and finds what is misspelt or not installed
    except ParbakeError as error:
        found += map(_problem, (error, *error.others))
        heard = [s for s in (*app.settings.sources, *app.settings.events) if not isinstance(s, str)]
    return [*found, *_declared(app, heard)], heard


def _declared(app: App, heard: Sequence[Any]) -> Iterator[Finding]:
    """What the declarations alone show."""
    tasks = list(app.tasks)
    wanted = frozenset[str]().union(*map(minded, tasks))
    for task in tasks:
        if isinstance(task, Stored) and task.contract.defaulted:
            yield "warning", task.name, f"leaves {', '.join(task.contract.defaulted)} to defaults"
    for source in heard:
        for name in sorted(set(source.families) - wanted):
            message = f"reports {name!r}, and no task depends on it: is it misspelt here, or in a contract?"
            yield "warning", f"source {source.name}", message
    for name, reason in app.settings.off.items():
        yield "warning", name, f"is off: {reason}"


async def asked(app: App, heard: Sequence[Any]) -> list[Finding]:
    """What the store, the journal and the sources say, also those of an app that cannot be opened; closes the sources.

    Args:
        app: The app.
        heard: The sources and topics.
    """
    problems, journal = Problems(), app.settings.durability.log
    named, store = app.settings.store, None
    with problems:
        store = open_store(named) if isinstance(named, str) else named
        await store.stamp()
    with problems:
        if isinstance(journal, FileJournal):
            await aside(journal.check)
    found = list(map(_problem, problems.found))
    for source in heard:
        try:
            told = await _ask(source, None if problems.found else store)
            found += [("warning", f"source {source.name}", sentence) for sentence in told]
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the other sources are asked, too
            found.append(("error", f"source {source.name}", str(error)))
    if store is not None and store is not named:
        await store.close()
    return found


async def _ask(source: Any, store: Store | None) -> list[str]:
    """Read a little of each log of a source, and ask whether it is the one that the store was built from.

    Returns:
        A sentence for each table that a view reads and of whose changes nobody tells.
    """
    try:
        for log in await logs_of(source):
            await recognise(log, Applied() if store is None else await store.applied(log.name))
        return await untold_by(source)
    finally:
        await aside(source.close)
