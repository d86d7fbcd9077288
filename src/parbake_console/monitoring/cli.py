"""``parbake monitoring``: alerting rules for Prometheus and a dashboard for Grafana, made of an app's declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load
from parbake.cli.support.output import must_be_writable, write
from parbake.errors import BadInput
from parbake_console.console_plugin import Console
from parbake_console.monitoring.dashboard import as_json, rows_of
from parbake_console.monitoring.rules import as_yaml, rules_of, watched
from parbake_planner.books import Ledger

_RUNBOOKS = "docs/howto/runbooks.md"
"""Where the runbooks are in a clone of the project."""
command = typer.Typer(
    no_args_is_help=True, help="Alerting rules for Prometheus and a dashboard for Grafana, made of an app's tasks."
)
_Output = Annotated[Path | None, typer.Option("--output", "-o", help="the file to write; the screen without it")]
_Job = Annotated[str, typer.Option(help="the label job of what Prometheus scrapes of this app")]


@command.command(epilog="Example: parbake monitoring rules shop:app --owner platform -o parbake-rules.yml")
def rules(
    app: AppName,
    *,
    output: _Output = None,
    job: _Job = "parbake",
    owner: Annotated[str, typer.Option(help="who gets alerts that concern no single task")] = "operators",
    runbooks: Annotated[str, typer.Option(help="the address of the runbooks; rules name a section of it")] = _RUNBOOKS,
) -> None:
    """Write alerting rules for Prometheus: one for each task, source and part that a metric tells of."""
    found = rules_of(watched(_loaded(app), job), owner)
    _show(as_yaml(found, runbooks), output)


@command.command(epilog="Example: parbake monitoring dashboard shop:app -o parbake-dashboard.json")
def dashboard(app: AppName, *, output: _Output = None, job: _Job = "parbake") -> None:
    """Write a dashboard for Grafana: freshness, lanes and runs, events, requests and costs."""
    application = _loaded(app)
    rows = rows_of(watched(application, job), has_costs=application.plugins.settings(Ledger) is not None)
    _show(as_json(rows, f"parbake: {app.partition(':')[0]}"), output)


def _loaded(where: str) -> App:
    """Return an app; raises :class:`BadInput` for one without a console, which has half of the metrics."""
    app = load(where).app
    if app.plugins.settings(Console) is None:
        raise BadInput(
            f"{where} has no console, so its ages and runs are in no metric: "
            "App(plugins=[..., parbake_console.Console()])",
            field="APP",
        )
    return app


def _show(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    must_be_writable(output=output)
    write("output", output, text.encode())
