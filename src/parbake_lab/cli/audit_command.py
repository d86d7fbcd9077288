"""``parbake audit``: measures how often running servers keep the freshness promise, in nines."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from parbake.cli.support.output import console, must_be_writable
from parbake.cli.support.output import write as write_file
from parbake.errors import BadInput
from parbake.http.access.callers import TOKEN
from parbake.values.secret_settings import secret_of
from parbake_lab.audit import audit_report as report
from parbake_lab.audit.audit_client import Client, Publisher
from parbake_lab.audit.audit_run import AuditLimits, Write
from parbake_lab.audit.audit_run import audit as run_audit
from parbake_lab.audit.read_judge import AuditTally, Expectation, checked
from parbake_lab.cli.options import function, must_be_positive, with_bar

EPILOG = "Example: parbake audit http://127.0.0.1:8001 http://127.0.0.1:8002 --task note --key a --touch fact/a"
command = typer.Typer(add_completion=False)
BROKEN, _UNJUDGED = 1, 2
"""Exit statuses: a violation was seen; no read returned a value that could be judged."""
REQUEST_S = 5.0
Servers = Annotated[list[str], typer.Argument(metavar="SERVER...", help="every server's address, http://host:port")]


@command.command(epilog=EPILOG)
def audit(
    servers: Servers,
    *,
    task: Annotated[str, typer.Option(help="the task to read")] = "",
    key: Annotated[str, typer.Option(help="its key")] = "",
    touch: Annotated[list[str] | None, typer.Option(help="publish that this tag has changed; repeatable")] = None,
    write: Annotated[
        str, typer.Option(help="module:function of a number: commits a change, returns an Expectation")
    ] = "",
    value_path: Annotated[str, typer.Option(help="where at_least is found in the value, if it does not say")] = "",
    count: Annotated[int, typer.Option(help="changes to make")] = 1000,
    rate: Annotated[float, typer.Option(help="changes per second, at most")] = 20.0,
    patience: Annotated[float, typer.Option(help="seconds for a server to show a change, then on to the next")] = 5.0,
    timeout: Annotated[float, typer.Option(help="seconds for the whole run, at most")] = 300.0,
    allow_degraded: Annotated[
        bool, typer.Option("--allow-degraded", help="accept an older value that is marked degraded (refresh tags)")
    ] = False,
    report_file: Annotated[Path | None, typer.Option("--report", help="write the result as JSON, too")] = None,
    metrics: Annotated[Path | None, typer.Option(help="write the result as OpenMetrics text, too")] = None,
) -> None:
    """Make changes, read every server right after each acknowledgement, and report values older than promised."""
    _check_way(write, value_path, {"task": task, "key": key, "touch": touch})
    must_be_positive(count=count, rate=rate, patience=patience, timeout=timeout)
    limits = AuditLimits(
        count=count, rate=rate, patience_s=patience, timeout_s=timeout, allow_degraded=allow_degraded
    )  # fmt: skip
    must_be_writable(report=report_file, metrics=metrics)
    urls = list(dict.fromkeys(servers))
    clients = [Client(url, REQUEST_S) for url in urls]
    writers = [Client(url, REQUEST_S, secret_of(os.environ, TOKEN)) for url in urls]
    change = _from_function(write, value_path) if write else Publisher(writers, task, key, touch or [])
    try:
        for client in clients:
            client.wait(REQUEST_S)
        tally = with_bar(
            "changing and reading", lambda show: run_audit(clients, change, limits, progress=show), total=count
        )
    finally:
        for client in (*clients, *writers):
            client.close()
    _finish(tally, report_file, metrics)


def _check_way(write: str, path: str, given: dict[str, object]) -> None:
    """Check that changes come either from a function or from published events."""
    if write and given["touch"]:
        raise BadInput(
            "--touch publishes events, and --write makes its own changes; give one of the two", field="touch"
        )
    if path and not write:
        raise BadInput("--value-path needs --write; with --touch, reads are judged by their stamps", field="value-path")
    for name, value in given.items():
        if not write and not value:
            raise BadInput(f"--{name} is missing; give it, or a function with --write", field=name)


def _from_function(where: str, path: str) -> Write:
    write = function(where, field="write")

    def change(n: int) -> list[Expectation]:
        found = write(n)
        if asyncio.iscoroutine(found):
            found = asyncio.run(found)
        return [_placed(one, path) for one in checked(found)]

    return change


def _placed(one: Expectation, path: str) -> Expectation:
    if one.at_least is None and one.shows is None and not one.stamp[1]:
        raise BadInput(
            "--write returned an Expectation without at_least, shows and stamp; set one of them", field="write"
        )
    return msgspec.structs.replace(one, path=one.path or path)


def _finish(tally: AuditTally, report_file: Path | None, metrics: Path | None) -> None:
    summary = tally.summary()
    screen = console()
    for table in report.tables(summary):
        screen.print(table, markup=False)
    if report_file is not None:
        write_file("report", report_file, report.as_json(summary))
    if metrics is not None:
        write_file("metrics", metrics, report.open_metrics(summary, tally.fresh_s))
    if summary.hint:
        typer.echo(f"parbake: {summary.hint}", err=True)
    if summary.violations:
        raise typer.Exit(BROKEN)
    if summary.nines is None:
        typer.echo(f"parbake: {summary.unjudged}", err=True)
        raise typer.Exit(_UNJUDGED)
