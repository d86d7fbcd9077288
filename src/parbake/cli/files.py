"""Files that a command writes its results to."""

from __future__ import annotations

from pathlib import Path

from parbake.errors import BadInput


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
