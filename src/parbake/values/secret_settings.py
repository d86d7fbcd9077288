"""Secrets among the settings: from a variable of the environment, or from a file that another variable names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from parbake.errors import BadInput
from parbake.values.redaction import conceal


def secret_of(environment: Mapping[str, str], name: str) -> str | None:
    """The secret from the variable ``name`` or from the file that ``<name>_FILE`` names; ``None`` if neither is set.

    Raises:
        BadInput: Both are set, or the file cannot be read.
    """
    of_file = f"{name}_FILE"
    secret, place = environment.get(name), environment.get(of_file)
    if secret is not None and place is not None:
        raise BadInput(f"{name} and {of_file} are both set; remove one of them", field=name)
    if place is None:
        conceal(secret or "")
        return secret
    try:
        secret = Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{of_file}={place}: cannot be read ({error})", field=of_file) from error
    conceal(secret)
    return secret
