"""``parbake``: serve, work, materialize and look; other packages add commands."""

from __future__ import annotations

import contextlib
import getpass
import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parbake.cli import (
    check_command,
    dev_command,
    doctor_command,
    freshness_command,
    init_command,
    materialize_command,
    migrate_command,
    personal_command,
    quarantine_command,
    serve_command,
    tasks_command,
)
from parbake.cli.events_command import events
from parbake.cli.keys_command import keys
from parbake.cli.materialize_command import RUNS_EPILOG, Processes, Ray, TaskName, chosen_executor, runs
from parbake.cli.support import ending
from parbake.cli.support.added import CommandsWithAdded
from parbake.cli.support.load_app import AppName, load, must_last, once, stored
from parbake.cli.support.log_lines import set_up_log
from parbake.cli.support.settings_file import project_settings
from parbake.errors import ComputeFailed, GateFailed, ParbakeError
from parbake.process.actions import ACTOR
from parbake.values.redaction import one_line

if TYPE_CHECKING:
    from parbake.app.application import App

_HELP = "Serve, build and inspect the tasks of an app: computed ahead, after events, or on request."
cli = typer.Typer(cls=CommandsWithAdded, no_args_is_help=True, help=_HELP)
cli.add_typer(events, name="events")
cli.add_typer(keys, name="keys")
cli.command(epilog=check_command.EPILOG)(check_command.check)
cli.command(epilog=dev_command.EPILOG)(dev_command.dev)
cli.command(epilog=doctor_command.EPILOG)(doctor_command.doctor)
cli.command(epilog=personal_command.ERASE_EPILOG)(personal_command.erase)
cli.command(epilog=personal_command.EXPORT_EPILOG)(personal_command.export)
cli.command(epilog=freshness_command.EPILOG)(freshness_command.freshness)
cli.command(epilog=init_command.EPILOG)(init_command.init)
cli.command(epilog=materialize_command.EPILOG)(materialize_command.materialize)
cli.command(epilog=migrate_command.EPILOG)(migrate_command.migrate)
cli.command(epilog=quarantine_command.EPILOG)(quarantine_command.quarantine)
cli.command(epilog=serve_command.EPILOG)(serve_command.serve)
cli.command(epilog=tasks_command.EPILOG)(tasks_command.tasks)
cli.command(epilog=RUNS_EPILOG)(runs)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the signature that typer calls
    if asked:
        typer.echo(f"parbake {importlib.metadata.version('parbake')}")
        raise typer.Exit


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no name here, as in some containers
        return f"user {os.getuid()}"


@cli.callback()
def _setup(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", help="log what the lanes do")] = False,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the installed version")
    ] = False,
) -> None:
    """Run before every command."""
    ACTOR.set(f"{_user()} at the command line")
    chosen = project_settings()
    set_up_log("info" if verbose else chosen.log_level, chosen.log_format)


@cli.command(epilog="Example: parbake worker shop:app --processes 2 --metrics-port 9100")
def worker(
    app: AppName,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="answer GET /metrics on this port of 127.0.0.1; 0 for none")
    ] = 0,
    processes: Processes = 0,
    ray: Ray = "",
    parent: Annotated[int, typer.Option(help="end when this process, which started the worker, has ended")] = 0,
) -> None:
    """Run the batch and event lanes of an app until told to end."""
    with contextlib.ExitStack() as stack, ending.handling_signals():
        application = load(app).app
        must_last(application)
        if (executor := chosen_executor(app, processes, ray)) is not None:
            application.ops.use_executor(executor)
        if metrics_port:
            from parbake.adapters.prometheus import exposed  # imports the client only if needed

            stack.enter_context(exposed(application.counters, metrics_port, application.engine.on.metrics))
        ending.end_with(parent)
        ending.run(_work(application))


async def _work(application: App) -> None:
    try:
        await application.work()
    finally:
        await application.close()


@cli.command(epilog="Example: parbake rollback shop:app candidates")
def rollback(app: AppName, task: TaskName) -> None:
    """Withdraw a task's current generation and make the previous one current."""
    application = load(app).app
    found = stored(application.tasks[task])
    typer.echo(f"{task}: back to generation {once(application, application.ops.rollback(found))}")


def main() -> None:
    """The console script: errors are printed as one plain line, with exit status 1."""
    try:
        cli()
    except ParbakeError as error:
        quotes = isinstance(error, ComputeFailed | GateFailed)  # the text of a task or a gate
        typer.echo(f"parbake: {one_line(error) if quotes else error}", err=True)
        sys.exit(1)
