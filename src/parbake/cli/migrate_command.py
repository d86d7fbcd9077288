"""``parbake migrate``: brings what an earlier version of parbake has left in a database to the present format."""

from __future__ import annotations

from typing import Annotated

import typer

from parbake.adapters.postgresql import migration, run_migration
from parbake.errors import BadInput

EPILOG = "Example: parbake migrate postgresql://127.0.0.1/shop --apply"


def migrate(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="postgresql://host/database; see PGPASSWORD")],
    *,
    apply: Annotated[bool, typer.Option("--apply", help="execute the statements instead of printing them")] = False,
) -> None:
    """Print or execute the statements that bring the outbox of a database to the present format.

    Stop the servers and workers of the earlier version first. Stores, ledgers and SQLite outboxes need no migration:
    the present version reads those of the version before, and changes them where it has to. Triggers that an earlier
    version made on SQLite get their guards from 'parbake capture install DATABASE --apply'.
    """
    if not database.strip():
        raise BadInput("name a database: postgresql://host/database", field="DATABASE")
    if database.startswith("sqlite:"):
        raise BadInput(
            "an outbox in SQLite needs no migration: this version reads it as it is. 'parbake capture install DATABASE "
            "--apply' gives guards to triggers of an earlier version",
            field="DATABASE",
        )
    statements = migration(database)
    if not statements:
        typer.echo("nothing is to be migrated")
        return
    if apply:
        run_migration(database, statements)
        typer.echo("migrated")
        return
    for statement in statements:
        typer.echo(statement)
    typer.echo("-- nothing was executed: run this again with --apply, or give it to psql in one transaction", err=True)
