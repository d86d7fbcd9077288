"""The files of plans: a plan as JSON, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from parbake.cli.support.output import must_be_writable, write
from parbake.cli.support.pictures import must_be_picture, must_draw
from parbake.errors import BadInput


def check_files(source: Path, what: str, *, json: Path | None, picture: Path | None, page: Path | None = None) -> None:
    """Check the files to write before the work starts.

    Args:
        source: The file that is planned from.
        what: What it is.
        json: The file for the plan.
        picture: The file for the picture.
        page: The file for the page.

    Raises:
        BadInput: A file is the source itself, or cannot be written.
        MissingDependency: matplotlib is not installed.
    """
    for name, path in (("json", json), ("picture", picture), ("page", page)):
        if path is not None and path.resolve() == source.resolve():
            raise BadInput(f"--{name} {path} is the {what} itself; choose another file", field=name)
    must_be_writable(json=json, picture=picture, page=page)
    if picture is not None:
        must_be_picture(picture)
    if page is not None:
        must_draw()


def write_json(path: Path, plan: Mapping[str, Any]) -> None:
    """Write a plan as JSON; what is not a number becomes null."""
    write("json", path, msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
