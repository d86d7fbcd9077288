"""The settings of a project: ``parbake.toml`` in the current folder, and variables that win over it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from parbake.errors import BadInput

APP = "APP"
"""The argument that may be left out where the file names an app."""
FILE, PYPROJECT = "parbake.toml", "pyproject.toml"
_VARIABLES = {
    "app": "PARBAKE_APP",
    "store": "PARBAKE_STORE",
    "log_level": "PARBAKE_LOG_LEVEL",
    "log_format": "PARBAKE_LOG_FORMAT",
}
"""The variable of the environment that wins over each key of the file."""
_COMPLETES = "_PARBAKE_COMPLETE"
_POSSIBLE = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("text", "json")}


class ProjectSettings(msgspec.Struct, frozen=True):
    """What the commands take from the file and from the environment; an empty text is a setting that nobody made."""

    app: str = ""
    store: str = ""
    log_level: str = "warning"
    log_format: str = "text"


def project_settings() -> ProjectSettings:
    """Read the settings of the current folder.

    Returns:
        The keys of ``parbake.toml``, or of ``[tool.parbake]`` in ``pyproject.toml`` where there is no such file. A
        variable of the environment that is not empty replaces its key.

    Raises:
        BadInput: A file cannot be read, a key is unknown, or a value is not possible; the error names it.
    """
    where, table = _table()
    for key, value in table.items():
        if key not in _VARIABLES:
            raise BadInput(f"{where}: unknown key {key!r}; the keys are {', '.join(_VARIABLES)}", field=key)
        _check(key, value, f"{where}: {key}", field=key)
    for key, name in _VARIABLES.items():
        if value := os.environ.get(name, ""):
            table[key] = value.lower() if key in _POSSIBLE else value
            _check(key, table[key], name, field=name)
    return ProjectSettings(**table)


def app_of_project() -> str:
    """The app that commands use where none is given; raises :class:`BadInput` that says how to name one."""
    if _COMPLETES in os.environ:  # a shell asks how a word goes on: no command runs, and an error helps nobody
        return ""
    found = project_settings().app
    if not found:
        raise BadInput(
            f'APP is missing: give module:attribute, such as shop:app, write app = "shop:app" into {FILE} in this '
            f"folder, or set {_VARIABLES['app']}",
            field=APP,
        )
    return found


def _table() -> tuple[str, dict[str, Any]]:
    """The file that holds the settings, and its keys; neither file need exist."""
    if Path(FILE).is_file():
        return FILE, _parsed(FILE)
    tools = _parsed(PYPROJECT).get("tool", {}) if Path(PYPROJECT).is_file() else {}
    return f"[tool.parbake] in {PYPROJECT}", tools.get("parbake", {})


def _parsed(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{name} cannot be read: {error}", field=name) from error


def _check(key: str, value: Any, said: str, *, field: str) -> None:
    possible = _POSSIBLE.get(key, ())
    if not isinstance(value, str) or (possible and value not in possible):
        expected = f"one of {', '.join(possible)}" if possible else "a text"
        raise BadInput(f"{said}={value!r} must be {expected}", field=field)
