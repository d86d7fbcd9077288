"""``parbake capture``: triggers by which a database tells of its changes, whoever makes them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.protocol.table_names import table_name
from parbake.values.duration import humanize, seconds
from parbake_capture.opening import open_capture
from parbake_capture.tables import Captured, CaptureState, Repair, parsed

capture = typer.Typer(
    no_args_is_help=True, help="Triggers by which a database tells of its changes, whoever makes them."
)
Database = Annotated[
    str, typer.Argument(metavar="DATABASE", help="postgresql://host/database or sqlite:///shop.db; see PGPASSWORD")
]
AppLabel = Annotated[str, typer.Option("--app", help="whose tags these are, if several apps capture one table")]
Apply = Annotated[bool, typer.Option("--apply", help="execute the statements instead of printing them")]


@capture.command(
    epilog="Example: parbake capture install postgresql://127.0.0.1/shop --table policies:policy/{id} --apply"
)
def install(
    database: Database,
    *,
    table: Annotated[
        list[str] | None,
        typer.Option(help="a table and its tags, such as prices:product/{asin},catalog; repeatable"),
    ] = None,
    app: AppLabel = "app",
    replace: Annotated[bool, typer.Option("--replace", help="raise only the tags that are named now")] = False,
    reader: Annotated[
        list[str] | None, typer.Option(help="a role of PostgreSQL that servers connect as; repeatable")
    ] = None,
    max_silence: Annotated[
        str, typer.Option(help="for how long a store may trust itself without a report, such as 10m; PostgreSQL only")
    ] = "",
    apply: Apply = False,
) -> None:
    """Print or execute the statements that capture tables; without --table, those that put missing triggers back.

    {asin} is the value of that column. A table without tags is told by its own name and primary key. A table that is
    captured keeps its tags. Only what differs is made; executing the statements again changes nothing.
    """
    tables = list(map(parsed, table or []))
    with contextlib.closing(open_capture(database)) as opened:
        repair = Repair(opened.install(tables, app=app, replaces=replace), []) if tables else opened.repair(app=app)
        statements = repair.statements
        statements += opened.grant(reader or [])
        statements += opened.allow_silence(seconds(max_silence, field="--max-silence")) if max_silence else []
        for problem in repair.refused:
            typer.echo(problem, err=True)
        if not apply:
            _print(statements)
        else:
            opened.run(statements)
            _show(_named(opened.states(), tables))
        if repair.refused:
            raise typer.Exit(1)


@capture.command(epilog="Example: parbake capture readers postgresql://127.0.0.1/shop")
def readers(database: Database, *, as_json: AsJson = False) -> None:
    """Show the stores that report to a database how far they have read, and when each was heard last."""
    with contextlib.closing(open_capture(database)) as opened:
        rows = opened.readers()
    if as_json:
        print_json([row._asdict() for row in rows])
    elif not rows:
        typer.echo("no store reports to this database")
    else:
        listed = Table("store", "last report", "state")
        for row in rows:
            listed.add_row(row.store, f"{humanize(row.age_s)} ago" if row.age_s >= 1 else "now", row.state)
        print_table(listed)


@capture.command(epilog="Example: parbake capture retire postgresql://127.0.0.1/shop 3f2a90c1 --apply")
def retire(
    database: Database,
    store: Annotated[str, typer.Argument(metavar="STORE", help="the name that 'parbake capture readers' shows")],
    *,
    apply: Apply = False,
) -> None:
    """Let nobody wait for a store that was taken out of service, and let the outbox be pruned past it.

    It is refused while the store may still trust what it holds. A store that comes back is known again.
    """
    with contextlib.closing(open_capture(database)) as opened:
        statements = opened.retire(store)
        if not apply:
            _print(statements)
            return
        opened.run(statements)
        typer.echo(f"{store} is retired")


@capture.command(epilog="Example: parbake capture show sqlite:///shop.db")
def show(database: Database, *, as_json: AsJson = False) -> None:
    """Show the captured tables, their tags, and what keeps their changes from being told."""
    with contextlib.closing(open_capture(database)) as opened:
        states = opened.states()
    if as_json:
        print_json([{**state.table._asdict(), "app": state.app, "problem": state.problem} for state in states])
    else:
        _show(states)


@capture.command(epilog="Example: parbake capture check postgresql://127.0.0.1/shop")
def check(database: Database) -> None:
    """Check that the triggers of all captured tables are whole; the exit status is 1 if not, or if there are none."""
    with contextlib.closing(open_capture(database)) as opened:
        states = opened.states()
    wrong = [state for state in states if state.problem]
    if not states:
        typer.echo("nothing is captured: see parbake capture install --help")
        raise typer.Exit(1)
    if not wrong:
        typer.echo(f"all changes of {', '.join(dict.fromkeys(s.table.relation for s in states))} are told")
    else:
        _show(wrong)
        raise typer.Exit(1)


@capture.command(epilog="Example: parbake capture remove sqlite:///shop.db --table policies --apply")
def remove(
    database: Database,
    *,
    table: Annotated[list[str] | None, typer.Option(help="a table; all of the app without it; repeatable")] = None,
    app: AppLabel = "app",
    apply: Apply = False,
) -> None:
    """Print or execute the statements that end the capture of tables. Their changes have to be emitted from then on."""
    with contextlib.closing(open_capture(database)) as opened:
        statements = opened.remove(table or [], app=app)
        if not apply:
            _print(statements)
            return
        opened.run(statements)
        typer.echo("removed")


def _print(statements: Sequence[str]) -> None:
    if not statements:
        typer.echo("-- nothing differs", err=True)
        return
    for statement in statements:
        typer.echo(f"{statement.strip().removesuffix(';')};")
    typer.echo(
        "-- nothing was executed: run this again with --apply, or execute it in one transaction (psql -1)", err=True
    )


def _named(states: Sequence[CaptureState], tables: Sequence[Captured]) -> list[CaptureState]:
    """The states of some tables, or all of them."""
    names = {table_name(table.relation).lower() for table in tables}
    return [s for s in states if not names or table_name(s.table.relation).lower() in names]


def _show(states: Sequence[CaptureState]) -> None:
    if not states:
        typer.echo("nothing is captured")
        return
    table = Table("table", "app", "tags", "state")
    for captured, app, problem in states:
        table.add_row(*map(escape, (captured.relation, app, ", ".join(captured.tags), problem or "told")))
    print_table(table)
