"""``parbake events``: publish an event, look at parked ones, and read a source from its beginning again."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load, must_last, once
from parbake.cli.support.output import AsJson, print_json, print_table
from parbake.errors import BadInput
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.event_log import Ack, Parked
from parbake.process import actions

T = TypeVar("T")
SHOWN = 80
events = typer.Typer(no_args_is_help=True, help="Events that raise tags.")


@events.command(epilog="Example: parbake events publish shop:app policy/returns --type policy.changed")
def publish(
    app: AppName,
    subject: Annotated[str, typer.Argument(help="the tag, such as policy/returns")],
    kind: Annotated[str, typer.Option("--type", help="ends in .changed, .created, .deleted or .bulk")] = "cli.changed",
    event_id: Annotated[str, typer.Option("--id", help="dedupe id; a repeated one is counted")] = "",
) -> None:
    """Raise the tags of an event; returns once they are durable."""
    event = CloudEvent(event_id or uuid.uuid4().hex, "parbake-cli", kind, subject)

    async def published(application: App) -> Ack:
        must_last(application)
        ack = await application.publish(event)
        actions.note("publish", subject, after=", ".join(f"{tag} at {at}" for tag, at in ack.raised.items()))
        return ack

    _acknowledge(_with(app, published))


@events.command(epilog="Example: parbake events parked shop:app")
def parked(
    app: AppName,
    limit: Annotated[int, typer.Option(min=1, help="how many to show")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the parked events, with the reason why each could not be read."""
    found = _with(app, lambda application: application.ops.parked(limit))
    if as_json:
        print_json([{**msgspec.structs.asdict(one), "event": one.event.decode(errors="replace")} for one in found])
        return
    _show(found)
    if not found:
        typer.echo("nothing is parked")


@events.command(epilog="Example: parbake events retry shop:app --all")
def retry(
    app: AppName,
    source: Annotated[str, typer.Argument(help="the source's name, as 'parbake events parked' shows it")] = "",
    position: Annotated[int, typer.Argument(min=0, max=1 << 62, help="the event's position in it")] = 0,
    *,
    every: Annotated[bool, typer.Option("--all", help="all that are parked")] = False,
) -> None:
    """Read parked events again with the present code, and raise the tags of those that can be read."""
    if every == bool(source) or bool(source) != bool(position):
        raise BadInput("give a source and a position, or --all", field="SOURCE")
    done = _with(app, lambda application: application.ops.retry_parked(source, position))
    typer.echo(f"{done.understood} understood, {len(done.kept)} kept")
    _show(done.kept)


@events.command(epilog="Example: parbake events restart shop:app kafka:changes")
def restart(
    app: AppName, source: Annotated[str, typer.Argument(help="the name of a source, or of one partition")]
) -> None:
    """Read a source from its beginning again, after raising all its families; needed after it was recreated."""
    _acknowledge(_with(app, lambda application: application.ops.restart(source)))


def _with(app: str, use: Callable[[App], Awaitable[T]]) -> T:
    """Use an app once and close it."""
    application = load(app).app
    return once(application, use(application))


def _acknowledge(ack: Ack) -> None:
    typer.echo(f"acknowledged: {', '.join(f'{tag} at {sequence}' for tag, sequence in ack.raised.items())}")
    if ack.unknown:
        typer.echo(f"no task and no source knows the family {', '.join(ack.unknown)}: a typing error?", err=True)


def _show(found: list[Parked]) -> None:
    if not found:
        return
    table = Table("source", "position", "parked at", "reason", "event")
    for one in found:
        at = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds")
        # Remove control characters, because the text came from outside.
        text = "".join(c if c.isprintable() else "." for c in one.event.decode(errors="replace")[:SHOWN])
        table.add_row(*(escape(cell) for cell in (one.source, str(one.position), at, one.reason, text)))
    print_table(table)
