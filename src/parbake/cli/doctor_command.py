"""``parbake doctor``: what is not as it should be around an app, and what to do about it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import typer

from parbake.app.application import App
from parbake.cli import check_command
from parbake.cli.support.examination import Finding, examined
from parbake.cli.support.load_app import AppName, load, once, place_of_missing_store
from parbake.cli.support.output import AsJson, print_json
from parbake.errors import MissingDependency, ParbakeError
from parbake.http.access.callers import TOKEN
from parbake.http.asgi import HttpApp
from parbake.http.server import check_installed

EPILOG = "Example: parbake doctor shop:app --json"


def doctor(app: AppName, *, as_json: AsJson = False) -> None:
    """Look at an app, its store, sources and workers, and say what is wrong and what to do.

    Nothing is changed: no store is made, no event is applied and no run is started. The exit status is 1 if anything is
    a problem.
    """
    found = _findings(app)
    if as_json:
        print_json({"findings": found})
    else:
        for one in found:
            typer.echo(f"{one.state:<7}  {one.about}: {'; '.join(filter(None, (one.message, one.advice)))}")
    if any(one.state == "problem" for one in found):
        raise typer.Exit(1)


def _findings(name: str) -> list[Finding]:
    try:
        application = load(name)
    except ParbakeError as error:
        advice = "correct that first, for nothing else was looked at"
        return [Finding("problem", error.field or "app", str(error), advice)]
    app, found = application.app, list(_served(application))
    missing = place_of_missing_store(app)
    with tempfile.TemporaryDirectory(prefix="parbake-doctor-") as aside:
        if missing is not None:  # opening it would make it
            advice = "start a server or a worker, which makes it"
            found.append(Finding("warning", "store", f"there is none at {missing} yet", advice))
            app.ops.use_store(f"lmdb://{aside}/store?map_size=16MiB")
        elif app.settings.store == "memory://":
            advice = "give the app a store that lasts, such as store='lmdb://data'"
            found.append(Finding("warning", "store", "no other process sees memory://", advice))
        return found + once(app, _looked(app, is_new=missing is not None))


def _served(application: HttpApp) -> Iterator[Finding]:
    """Whether it can be served, and to others."""
    try:
        check_installed()
    except MissingDependency as error:
        yield Finding("warning", "server", str(error))
    if application.callers.are_known:
        yield Finding("ok", "server", f"operators send {TOKEN}, or a key")
    else:
        message = f"{TOKEN} is not set, so a server serves this machine only"
        yield Finding("warning", "server", message, "set it before you serve others")


async def _looked(app: App, *, is_new: bool) -> list[Finding]:
    declared, heard = check_command.declared(app)
    can_open = all(kind != "error" for kind, _, _ in declared)
    found = [Finding("ok", "app", "it can be imported and opened")] if can_open else []
    if can_open:
        found += await examined(app, is_new=is_new)
    checked = dict.fromkeys([*declared, *await check_command.asked(app, heard)])  # a store that fails is met twice
    advice = "correct that, then look again with 'parbake check APP'"
    return [
        Finding("problem" if kind == "error" else "warning", about, said, advice) for kind, about, said in checked
    ] + found
