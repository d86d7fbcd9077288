"""From ``module:attribute`` on the command line to an app."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from parbake.app import App
from parbake.errors import BadInput
from parbake.http.asgi import HttpApp


def load(where: str) -> HttpApp:
    """Return the HTTP app at ``module:attribute``; a function without arguments is called first."""
    module_name, separator, attribute = where.partition(":")
    if not separator:
        raise BadInput(f"APP={where!r}: expected module:attribute, such as shop:app", field="APP")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BadInput(f"APP={where!r}: cannot import {error.name!r}", field="APP") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise BadInput(f"APP={where!r}: {module_name} has no {attribute!r}", field="APP")
        found = getattr(found, name)
    if callable(found) and not isinstance(found, App | HttpApp):
        found = found()
    if isinstance(found, App):
        return HttpApp(found)
    if not isinstance(found, HttpApp):
        raise BadInput(f"APP={where!r} is neither an App nor an HttpApp", field="APP")
    return found
