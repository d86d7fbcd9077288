"""``parbake prove``: finds what views and contracts leave out, by changing a copy of the database row by row."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load
from parbake.cli.support.output import console, must_be_writable, write
from parbake.errors import BadInput
from parbake_capture.tables import parsed
from parbake_lab.cli.options import must_be_positive, with_bar
from parbake_lab.prove import prove_report as report
from parbake_lab.prove.outside import is_of_app
from parbake_lab.prove.prove_run import ProveLimits
from parbake_lab.prove.prove_run import prove as run_prove

EPILOG = "Example: parbake prove delivery:app --table zones:zone/{name} --sample 200 --fail"
command = typer.Typer(add_completion=False)
FOUND = 1
"""Exit status with ``--fail``: something was left out."""


@command.command(epilog=EPILOG)
def prove(
    app: AppName,
    *,
    sample: Annotated[int, typer.Option(help="values to judge, at most, of all tasks together")] = 300,
    task: Annotated[list[str] | None, typer.Option(help="judge only this task; repeatable")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="task=key: judge this key, for a task without keys=; repeatable")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="a table that no trigger tells of, with its tags, such as policies:policy/{id}; repeatable"),
    ] = None,
    copy: Annotated[
        str, typer.Option(help="PostgreSQL: the address of a copy that may be changed; otherwise one is made")
    ] = "",
    seed: Annotated[int, typer.Option(help="another seed draws other keys and rows")] = 0,
    report_file: Annotated[Path | None, typer.Option("--report", help="write the result as JSON, too")] = None,
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 if something was left out")] = False,
    fail_ignored: Annotated[
        bool, typer.Option("--fail-ignored", help="exit 1 if a value depends on a family that its contract ignores")
    ] = False,
) -> None:
    """Change a copy of the database row by row, and name the values that no change outdates though they depend on it.

    The app's own database is only read, to copy it. Tasks are computed as they are: what they call is called.
    """
    must_be_positive(sample=sample)
    must_be_writable(report=report_file)
    limits = ProveLimits(
        sample=sample,
        seed=seed,
        tasks=task or (),
        keys=_keys(key or ()),
        tables=tuple(map(parsed, table or ())),
        copy=copy,
    )
    before = set(sys.modules)
    loaded = load(app).app
    anew = partial(_loaded_anew, app, before)
    proof = with_bar("proving", lambda show: run_prove(loaded, limits, progress=show, anew=anew))
    screen = console()
    for one in report.tables(proof):
        screen.print(one, markup=False)
    typer.echo(report.summary(proof))
    if report_file is not None:
        write("report", report_file, report.as_json(proof))
    if (fail and proof.findings) or (fail_ignored and proof.ignored):
        raise typer.Exit(FOUND)


def _loaded_anew(app: str, before: Collection[str]) -> App:
    """Load the app as a program that begins does: with its own modules anew, and installed packages as they are.

    Args:
        app: The app as ``module:attribute``.
        before: The modules that were there before it was loaded the first time.
    """
    package = app.partition(":")[0].partition(".")[0]
    own = [n for n, m in sys.modules.items() if n not in before and (n.partition(".")[0] == package or is_of_app(m))]
    kept = {name: sys.modules.pop(name) for name in own}
    try:
        return load(app).app
    finally:
        sys.modules.update(kept)


def _keys(given: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in given:
        name, equals, key = one.partition("=")
        if not equals or not name:
            raise BadInput(f"--key {one!r} names no task: write minutes=harbour", field="key")
        found.setdefault(name, []).append(key)
    return found
