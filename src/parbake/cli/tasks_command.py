"""``parbake tasks``: the classification table, and its differences from an earlier revision of the code."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from parbake.app.application import App
from parbake.cli.support.load_app import AppName, load, once, place_of_missing_store
from parbake.cli.support.output import AsJson, console, print_json
from parbake.errors import BadInput, StoreError
from parbake.tasks.task_table import TaskRow

EPILOG = "Example: parbake tasks shop:app --diff main"
_TELL = (
    "import sys, json, msgspec; from parbake.cli.support.load_app import load; "
    "sys.stdout.write(json.dumps(msgspec.to_builtins(load(sys.argv[1]).app.classify())))"
)
Rows = dict[str, dict[str, Any]]


def tasks(
    app: AppName,
    diff: Annotated[str, typer.Option(metavar="REV", help="show what has changed since a git revision")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show the classification table, or what the code changes in contracts since a revision."""
    application = load(app).app
    rows = application.classify() if diff else _described(application)
    screen = console()
    if as_json and not diff:
        print_json(rows)
        return
    if diff:
        before, after = _at(diff, app), {row.task: msgspec.to_builtins(row) for row in rows}
        changes = list(_changes(before, after))
        if as_json:
            print_json([dict(zip(("task", "what", "before", "now"), change, strict=True)) for change in changes])
            return
        table = Table("task", "what", f"at {diff}", "now")
        for change in changes:
            table.add_row(*change)
        screen.print(table) if changes else typer.echo(f"no contract differs from {diff}")
        return
    table = Table("task", "mode", "refresh", "lanes", "contract", "why")
    for row in rows:
        contract = ", ".join(f"{k}: {words(v)}" for k, v in row.contract.items() if v is not None)
        table.add_row(row.task, row.mode, row.refresh, " ".join(row.legal_lanes), contract, _why(row))
    screen.print(table)


def _described(app: App) -> list[TaskRow]:
    """The table with data from the store; without them if there is no store yet or it does not respond."""
    store = app.settings.store
    if not isinstance(store, str) or store.startswith("memory:") or place_of_missing_store(app) is not None:
        return app.classify()
    try:
        return once(app, app.ops.describe())
    except StoreError as error:
        typer.echo(f"which generations other code has built is not known: {error}", err=True)
        return app.classify()


def _why(row: TaskRow) -> str:
    said = row.note or row.rationale
    return f"{said} (its current generation was built by other code)" if row.other_code else said


def words(value: Any) -> str:
    """A value of a table in words."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 - whole seconds read better
    if isinstance(value, list | tuple):
        return " ".join(value) or "nothing"
    return "-" if value is None else str(value)


def _changes(before: Rows, after: Rows) -> Any:
    """(task, what, before, now) for every difference; an added or removed task counts as one."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield name, "task", before[name]["mode"], "gone"
        elif name not in before:
            yield name, "task", "none", after[name]["mode"]
        else:
            old, new = _flat(before[name]), _flat(after[name])
            for field in sorted(old.keys() | new.keys()):
                if old.get(field) != new.get(field):
                    yield name, field, words(old.get(field)), words(new.get(field))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The parts of a contract, without the reasons, whose wording may change."""
    named = {name: row[name] for name in ("kind", "mode", "refresh", "legal_lanes")}
    return {**named, "legal_lanes": " ".join(row["legal_lanes"]), **row["contract"]}


def _at(revision: str, app: str) -> Rows:
    """The table of an older revision, computed by a separate process in a copy of that code."""
    if revision.startswith("-"):  # git would treat it as an option, and some options write files
        raise BadInput(f"--diff {revision[:80]!r}: a revision must not begin with a dash", field="diff")
    root = Path(_git("rev-parse", "--show-toplevel").decode().strip())
    packed = _git("archive", "--format=tar", revision, cwd=root)
    with tempfile.TemporaryDirectory(prefix="parbake-tasks-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        places = [Path.cwd(), *(Path(entry) for entry in sys.path if entry)]
        inside = [Path(folder, place.relative_to(root)) for place in places if place.is_relative_to(root)]
        paths = [str(place) for place in dict.fromkeys(inside) if place.is_dir()]
        done = subprocess.run(  # noqa: S603 - the user names this code
            [sys.executable, "-c", _TELL, app],
            cwd=paths[0] if paths else folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BadInput(f"--diff {revision}: the app of that revision cannot be loaded: {last[:300]}", field="diff")
    return {row["task"]: row for row in json.loads(done.stdout)}


def _git(*words_: str, cwd: Path | None = None) -> bytes:
    try:
        done = subprocess.run(["git", *words_], cwd=cwd, capture_output=True, check=False)  # noqa: S603, S607 - the user's own git
    except FileNotFoundError as error:
        raise BadInput("--diff needs git", field="diff") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["git failed"]
        raise BadInput(f"--diff: {said[0][:300]}", field="diff")
    return done.stdout
