"""``parbake init``: a small project that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parbake.errors import BadInput
from parbake.process.private_files import make_folder

EPILOG = "Example: parbake init shop"
_PROJECT = Path(__file__).with_name("project")
_AS_TEXT = ".txt"
"""The ending of a file that would be taken for our own code, such as ``shop.py.txt``."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="where to write it; made if it is missing")] = Path(),
) -> None:
    """Write a small project that runs: an app with two tasks, its settings, a test and a README.

    A file that exists is never changed: if one of them does, nothing is written.
    """
    files = {path.name.removesuffix(_AS_TEXT): path.read_text(encoding="utf-8") for path in sorted(_PROJECT.iterdir())}
    for name in files:
        if (folder / name).exists() or (folder / name).is_symlink():
            raise BadInput(f"{folder / name} exists, so nothing was written; name an empty folder", field="FOLDER")
    try:
        make_folder(folder)  # its database and its store will be in it
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
            typer.echo(f"wrote {folder / name}")
    except OSError as error:
        raise BadInput(
            f"FOLDER={str(folder)!r}: {error.strerror or error}; name another one", field="FOLDER"
        ) from error
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    typer.echo(f"next: {enter}python shop.py && parbake dev")
