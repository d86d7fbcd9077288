"""``parbake freshness``: the ages of each task's values beside its SLA, and which tasks have broken it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table

from parbake.cli.support.load_app import AppName, load, once
from parbake.cli.support.output import moment, print_table
from parbake.http.replies import FreshnessTable
from parbake.lanes.worker.freshness import FreshnessRow
from parbake.values.duration import humanize

EPILOG = "Example: parbake freshness shop:app --fail-on-breach || page-whoever-is-on-call"


def freshness(
    app: AppName,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, as GET /v1/freshness")] = False,
    fail_on_breach: Annotated[
        bool, typer.Option("--fail-on-breach", help="exit with 1 if the last run of a task is older than its SLA")
    ] = False,
) -> None:
    """Show the ages of each task's values beside its SLA."""
    application = load(app).app
    rows = once(application, application.ops.freshness())
    if as_json:
        typer.echo(msgspec.json.encode(FreshnessTable(rows)))
    else:
        _print(rows)
    breached = [row for row in rows if row.breached_since is not None]
    for row in breached:
        sla = humanize(row.freshness_sla_s)
        last = f"its last run began at {moment(row.last_run or 0.0)}, and its SLA is {sla}"
        typer.echo(
            f"{row.task} of {row.owner} is in breach since {moment(row.breached_since or 0.0)}: {last}", err=True
        )
    if fail_on_breach and breached:
        raise typer.Exit(1)


def _print(rows: list[FreshnessRow]) -> None:
    table = Table("task", "owner", "keys", "SLA", "age p50", "age max", "stale", "behind", "last run", "next run")
    for row in rows:
        ages = [_ago(row.freshness_sla_s), _ago(row.age_p50_s), _ago(row.age_max_s)]
        times = ["-" if at is None else moment(at) for at in (row.last_run, row.next_run)]
        stale = f"{row.stale_share:.0%}" if row.keys else "-"
        table.add_row(row.task, row.owner, f"{row.keys:,}", *ages, stale, str(row.watermark_lag), *times)
    print_table(table)


def _ago(span_s: float | None) -> str:
    return "-" if span_s is None else humanize(span_s)
