"""Sizes as people write them: ``512MiB``, ``4GiB``, or a number of bytes."""

from __future__ import annotations

import re

from parbake.errors import ParbakeError

_SIZE = re.compile(r"(\d+)(KiB|MiB|GiB|TiB)?")
_UNITS = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def size_bytes(text: str | int, *, field: str, error: type[ParbakeError]) -> int:
    """Parse a size in bytes, at least 1.

    Args:
        text: The size, such as ``4GiB``, or a number of bytes.
        field: The setting's name.
        error: The error to raise if the size is invalid.
    """
    match = _SIZE.fullmatch(str(text)) if isinstance(text, str | int) else None
    if not match or int(match[1]) == 0:
        raise error(f"{field.rpartition('.')[2]}={text!r} must be a size such as 4GiB", field=field)
    return int(match[1]) * _UNITS[match[2]]
