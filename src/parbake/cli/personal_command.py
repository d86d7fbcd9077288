"""``parbake export`` and ``parbake erase``: what an app keeps about a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from parbake.app import erasure
from parbake.app.erasure import ErasedPerson, KeptPerson
from parbake.cli.support.load_app import AppName, load, must_last, once
from parbake.cli.support.output import (
    AsJson,
    moment,
    must_be_writable,
    on_bars,
    print_json,
    print_table,
    progress,
    write,
)
from parbake.errors import UnknownResource

EXPORT_EPILOG = "Example: parbake export shop:app --subject u00009 --out u00009.json"
ERASE_EPILOG = "Example: parbake erase shop:app --subject u00009"
Subject = Annotated[str, typer.Option(metavar="ID", help="the person's id, as the keys of the app's tasks have it")]


def export(
    app: AppName,
    subject: Subject,
    out: Annotated[Path | None, typer.Option(help="write the JSON to a file, which only you can read")] = None,
) -> None:
    """Print everything that the app keeps about a person, as JSON."""
    must_be_writable(out=out)
    application = load(app).app
    found = msgspec.json.format(msgspec.json.encode(once(application, application.ops.export(subject))))
    if out is None:
        typer.echo(found)
        return
    out.touch(mode=0o600)
    out.chmod(0o600)  # it may have been there
    write("out", out, found)


def erase(
    app: AppName,
    subject: Subject,
    *,
    at_once: Annotated[
        bool,
        typer.Option("--at-once", help="delete the watermarks now, too; every stored value is then computed again"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="erase also if nothing is found, as after an erasure that was interrupted")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase what the app keeps about a person: in every place that a plugin names, and in the store.

    Says first how much is found. Somebody of whom nothing is kept is an error, because it is mostly a typing error.
    """
    application = load(app).app
    must_last(application)

    async def work() -> ErasedPerson:
        found = _found(await erasure.export(application.engine, subject))
        if not (found or again):
            raise UnknownResource(f"nothing is kept about {subject!r}; is the id right?", field="subject")
        if not yes:
            typer.confirm(f"Erase {found or 'what is left'} of {subject}? This cannot be undone", abort=True, err=True)
        with progress() as bars:
            return await application.ops.erase(subject, at_once=at_once, progress=on_bars(bars))

    done = once(application, work())
    if as_json:
        print_json(done)
    else:
        _print(done)


def _found(kept: KeptPerson) -> str:
    """What is kept, in words; empty if nothing is."""
    rows = {f"{place} {table}": len(some) for place, tables in kept.places.items() for table, some in tables.items()}
    counts = {**rows, "stored values": len(kept.values)}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _print(done: ErasedPerson) -> None:
    table = Table("where", "what", "erased")
    for place, tables in done.places.items():
        for name, rows in tables.items():
            table.add_row(place, name, f"{rows:,}")
    table.add_row("store", "items", f"{done.items:,}")
    for model in done.models:
        table.add_row("store", f"model {model}", "computed again")
    for name in done.discarded:
        table.add_row("store", escape(f"set aside as damaged: {name}"), "deleted")
    print_table(table)
    if done.tags_until is not None:
        typer.echo(f"the watermarks of the person's tags go with the sweep, by {moment(done.tags_until)}")
