"""From ``module:attribute`` on the command line to an app, or to whatever it names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from parbake.app import App
from parbake.errors import BadInput
from parbake.http.asgi import HttpApp
from parbake.tasks import Stored, Task

AppName = Annotated[str, typer.Argument(metavar="APP", help="module:attribute of an App, such as shop:app")]


def find(where: str, *, field: str) -> Any:
    """Return what is at ``module:attribute``; raises :class:`BadInput` naming ``field``."""
    module_name, separator, attribute = where.partition(":")
    if not separator or not module_name or module_name.startswith("."):
        raise BadInput(f"{field}={where!r}: expected module:attribute, such as shop:{field.lower()}", field=field)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BadInput(f"{field}={where!r}: cannot import {error.name!r}", field=field) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise BadInput(f"{field}={where!r}: {module_name} has no {attribute!r}", field=field)
        found = getattr(found, name)
    return found


def stored(task: Task) -> Stored:
    """Return a task that keeps something; raises :class:`BadInput` for one that does not."""
    if not isinstance(task, Stored):
        raise BadInput(f"{task.name} is computed at request time; it keeps nothing to run ahead", field="TASK")
    return task


def load(where: str) -> HttpApp:
    """Return the HTTP app at ``module:attribute``; a function without arguments is called first."""
    found = find(where, field="APP")
    if callable(found) and not isinstance(found, App | HttpApp):
        found = found()
    if isinstance(found, App):
        return HttpApp(found)
    if not isinstance(found, HttpApp):
        raise BadInput(f"APP={where!r} is neither an App nor an HttpApp", field="APP")
    return found
