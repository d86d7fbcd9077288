"""A check of files that are written long after an app has started: it fails at the start instead."""

from __future__ import annotations

import os
from pathlib import Path

from parbake.errors import ParbakeError


def check_writable(path: Path, *, field: str, error: type[ParbakeError]) -> None:
    """Raise ``error`` unless a file can be written, or created in a folder that exists; blocking.

    Args:
        path: The file.
        field: The setting's name.
        error: The error to raise.
    """
    place = path if path.exists() else path.parent
    if not os.access(place, os.W_OK):
        why = "it cannot be written" if place.exists() else "its folder does not exist"
        raise error(f"{field}={str(path)!r}: {why}; mend that, or name another file", field=field)
