"""Where a command writes its results: the screen, and files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from parbake.errors import BadInput

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
"""The option of every command that shows something."""
WIDTH = 200
"""Columns of a table that is not written to a terminal."""


def console() -> Console:
    """The standard output: as wide as the terminal, or :data:`WIDTH` where it is a file or a pipe."""
    return Console(width=None if Console().is_terminal else WIDTH)


def print_table(table: Table) -> None:
    """Print a table to the standard output."""
    console().print(table)


def print_json(found: Any) -> None:
    """Print what a command has found as JSON, on one line.

    Args:
        found: Structs, or what JSON has.
    """
    typer.echo(msgspec.json.encode(found))


def moment(at: float) -> str:
    """A time in epoch seconds as a person reads it, in the time zone of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def progress(*columns: ProgressColumn) -> Progress:
    """A display of progress bars on standard error: what, how much, and how long it has taken and will take.

    Args:
        columns: Further columns, before the times.
    """
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *columns, TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def on_bars(bars: Progress) -> Callable[[str, int, int], None]:
    """Return what shows the progress of work by its name, its amount done, and its total, with a bar for each name.

    Args:
        bars: The display.
    """
    ids: dict[str, TaskID] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in ids:
            ids[name] = bars.add_task(name, total=total, first=done)
        bars.update(ids[name], completed=done, total=total)

    return show


def must_be_writable(**files: Path | None) -> None:
    """Check files before the work starts; raises :class:`BadInput` that names the option. Leaves no new file behind."""
    for name, path in files.items():
        if path is None:
            continue
        was_there = path.exists()
        try:
            path.open("ab").close()
        except OSError as error:
            raise BadInput(f"--{name} {path}: {error.strerror or error}", field=name) from error
        if not was_there:
            path.unlink()


def write(name: str, path: Path, content: bytes) -> None:
    """Write a result.

    Args:
        name: The option that names the file.
        path: The file.
        content: The result.

    Raises:
        BadInput: The file cannot be written; the error names the option.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"--{name} {path}: {error.strerror or error}", field=name) from error
