"""``parbake materialize`` and ``parbake runs``: run the batch lane now, and show earlier runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.progress import ProgressColumn
from rich.progress import Task as Bar
from rich.table import Table
from rich.text import Text

from parbake.adapters.local import LocalExecutor
from parbake.adapters.ray import RayExecutor
from parbake.cli.support import ending
from parbake.cli.support.load_app import AppName, load, must_last, once, stored
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
from parbake.errors import BadInput
from parbake.process import actions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parbake.app.application import App
    from parbake.lanes.batch.lane import Run
    from parbake.ports.executors import Executor
    from parbake.tasks.task_types import Stored

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="the task's name")]
Processes = Annotated[
    int, typer.Option(min=0, max=256, help="compute in so many processes of this machine; 0: in this one")
]
Ray = Annotated[
    str, typer.Option(metavar="ADDRESS", help="compute on a Ray cluster, such as ray://head:10001; 'local' starts one")
]
EPILOG = "Example: parbake materialize shop:app candidates --processes 2 --report run.json"
RUNS_EPILOG = "Example: parbake runs shop:app candidates"


def chosen_executor(app: str, processes: int, ray: str) -> Executor | None:
    """Create the executor that the options select.

    Args:
        app: The app as ``module:attribute``.
        processes: Number of processes; 0 for none.
        ray: The address of a Ray cluster, or empty.

    Returns:
        The executor; ``None`` to compute in the process of the run.
    """
    if ray:
        return RayExecutor(app, processes=processes or 2, address=ray)
    return LocalExecutor(app, processes=processes) if processes else None


def materialize(
    app: AppName,
    task: TaskName,
    processes: Processes = 0,
    ray: Ray = "",
    report: Annotated[Path | None, typer.Option(help="write the run's report to this file, as JSON")] = None,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="compute this key only (repeatable): the new generation holds no others"),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="begin a new run instead of continuing an interrupted one")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a task's batch lane now, with the tasks promoted together with it; an interrupted run is continued."""
    must_be_writable(report=report)
    with ending.handling_signals(f"; the next run of {task} continues where this one stopped"):
        application = load(app).app
        must_last(application)
        found = stored(application.tasks[task])
        if (executor := chosen_executor(app, processes, ray)) is not None:
            application.ops.use_executor(executor)
        keys = [_key(application, found, text) for text in key] if key else None
        try:
            run = ending.run(_run(application, found, keys, anew=anew))
        except (KeyboardInterrupt, SystemExit):
            # A second signal may come before it has ended.
            if (executor := application.settings.batch.executor) is not None:
                asyncio.run(executor.close())
            raise
    if report is not None:
        write("report", report, msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    if as_json:
        print_json(run)
        return
    if run.is_continued:
        typer.echo("an interrupted run was continued")
    for built in run.built:
        kept = f", {built.kept_partitions} of {built.partitions} partitions kept" if built.kept_partitions else ""
        absent = f", {built.absent} absent" if built.absent else ""
        typer.echo(
            f"{built.task}: generation {built.generation}, {built.rows} rows{absent} in {built.took_s:.1f} s{kept}"
        )


def _key(application: App, task: Stored, text: str) -> Any:
    """Parse a key from the command line: a plain word or number, or JSON for a key of several parts."""
    keys = application.engine.bound_task(task).keys
    found = keys.from_text(text)
    if found is None:
        raise BadInput(f"--key {text!r} is not a key of {task.name}: expected {keys.kind}", field="key")
    return found


async def _run(application: App, task: Stored, keys: Sequence[Any] | None, *, anew: bool) -> Run:
    """Run a task with a progress bar for each artifact."""
    with progress(_Rate()) as bars:
        try:
            await application.drain()
            before = await application.ops.generation(task)
            run = await application.materialize(task, keys=keys, progress=on_bars(bars), anew=anew)
            after = await application.ops.generation(task)
            actions.note("materialize", task.name, before=f"generation {before}", after=f"generation {after}")
            return run
        finally:
            await application.close()


def runs(app: AppName, task: TaskName, *, as_json: AsJson = False) -> None:
    """Show the last runs of a task with their outcomes and reasons."""
    application = load(app).app
    state = once(application, application.ops.runs(stored(application.tasks[task])))
    if as_json:
        print_json(state)
        return
    table = Table("began", "took s", "trigger", "generation", "rows", "absent", "partitions", "kept", "outcome")
    if state.under_way is not None:
        held = state.under_way
        rows = sum(part.rows for part in held.finished.values())
        absent = sum(part.absent for part in held.finished.values())
        standing = held.standing(application.settings.clock.now())
        outcome = escape(f"{standing}: {held.failure}") if held.failure else standing
        cells = (held.generation, rows, absent, len(held.finished), "-", outcome)
        table.add_row(moment(held.started_at), "-", "-", *map(str, cells))
    for run in state.ended:
        took = f"{run.ended_at - run.started_at:.1f}"
        counts = (run.generation, run.rows, run.absent, run.partitions, run.kept_partitions)
        because = f"{run.trigger}: {run.why}" if run.why else run.trigger
        table.add_row(moment(run.started_at), took, because, *map(str, counts), escape(run.outcome))
    print_table(table)


class _Rate(ProgressColumn):
    """Keys per second of this process, without the keys of an earlier, interrupted run."""

    def render(self, task: Bar) -> Text:
        done = task.completed - task.fields.get("first", 0)
        return Text(f"{done / task.elapsed:,.0f}/s" if task.elapsed else "")
