"""Find the app or object that ``module:attribute`` names on the command line."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import sys
import traceback
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote, urlsplit

import typer

from parbake.app.application import App
from parbake.cli.support.settings_file import APP, app_of_project, project_settings
from parbake.errors import BadInput, DeclarationError, ParbakeError
from parbake.http.asgi import HttpApp
from parbake.process.signals import is_of_a_signal
from parbake.tasks.task_types import Stored, Task
from parbake.values.redaction import one_line

T = TypeVar("T")
_PACKAGE = Path(__file__).parents[2]
AppName = Annotated[
    str,
    typer.Argument(
        metavar=APP,
        default_factory=app_of_project,
        show_default=False,
        help="module:attribute of an App, such as shop:app; by default the app that parbake.toml names",
    ),
]
_log = logging.getLogger("parbake.cli")


def find(where: str, *, field: str) -> Any:
    """Return the object at ``module:attribute``; raises :class:`BadInput` that names ``field``."""
    module_name, separator, attribute = where.partition(":")
    if not separator or not module_name or module_name.startswith("."):
        raise BadInput(f"{field}={where!r} must be module:attribute, such as shop:{field.lower()}", field=field)
    sys.path.insert(0, str(Path.cwd()))
    with _explained(where, field, f"importing {module_name}", f"python -c 'import {module_name}'"):
        found: Any = importlib.import_module(module_name)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise BadInput(f"{field}={where!r}: {module_name} has no {attribute!r}", field=field)
        found = getattr(found, name)
    return found


@contextlib.contextmanager
def _explained(where: str, field: str, what: str, look: str) -> Iterator[None]:
    """Convert anything that a user's module or function raises to one error that names the setting.

    parbake's own errors name the setting already; an invalid declaration gets the line that declares it.
    """
    try:
        yield
    except DeclarationError as error:
        raise type(error)(f"{error} ({_place(error)})", field=error.field) from error
    except ParbakeError:
        raise
    except ModuleNotFoundError as error:
        advice = "name a module that is in this folder or on PYTHONPATH, or install it"
        raise BadInput(f"{field}={where!r}: cannot import {error.name!r}; {advice}", field=field) from error
    except (Exception, SystemExit) as error:
        if is_of_a_signal(error):  # a signal ended the process in the meantime
            raise
        place = "" if isinstance(error, SyntaxError) else f" ({_place(error)})"  # its text has the place already
        raise BadInput(
            f"{field}={where!r}: {what} raised {one_line(error)}{place}; {look} shows all of it", field=field
        ) from error


def _place(error: BaseException) -> str:
    """The file and the line that raised an error: the last one outside of parbake, if there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame for frame in frames if not Path(frame.filename).is_relative_to(_PACKAGE) and frame.filename[0] != "<"
    ]
    last = theirs[-1] if theirs else frames[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def stored(task: Task) -> Stored:
    """Return a task whose values are stored; raises :class:`BadInput` for any other task."""
    if not isinstance(task, Stored):
        raise BadInput(
            f"{task.name} is computed at request time; it stores nothing that could be computed ahead", field="TASK"
        )
    return task


def found_at(where: str) -> Any:
    """Return the object at ``module:attribute``; a function without arguments is called first.

    An app gets the store that the project's settings name, if they name one.
    """
    found = find(where, field="APP")
    if callable(found) and not isinstance(found, App | HttpApp):
        module, _, name = where.partition(":")
        with _explained(where, "APP", f"calling {name}", f"python -c 'import {module}; {module}.{name}()'"):
            found = found()
    if (store := project_settings().store) and isinstance(found, App | HttpApp):
        _use_store(found if isinstance(found, App) else found.app, store)
    return found


def must_last(app: App) -> None:
    """Raise :class:`BadInput` for an app whose store ends with this command."""
    if app.settings.store == "memory://":
        raise BadInput(
            "this app's store is memory://, which no other process sees and which is gone when this one ends; give the "
            "app a store that lasts, such as store='lmdb://data'",
            field="store",
        )


def load(where: str) -> HttpApp:
    """Return the HTTP app at ``module:attribute``, or of the app there; see :func:`found_at`."""
    found = found_at(where)
    if isinstance(found, App):
        return HttpApp(found)
    if not isinstance(found, HttpApp):
        raise BadInput(f"APP={where!r} must be an App or an HttpApp", field="APP")
    return found


def place_of_missing_store(app: App) -> Path | None:
    """The folder of an LMDB store that nobody has made yet; ``None`` for any other store."""
    url = urlsplit(app.settings.store if isinstance(app.settings.store, str) else "")
    folder = Path(unquote(url.netloc + url.path))
    return folder if url.scheme == "lmdb" and not folder.exists() else None


def _use_store(app: App, url: str) -> None:
    if app.settings.store == url:
        return
    if not isinstance(app.settings.store, str):
        _log.warning("the setting store is not used: this app was given a store, and not the URL of one")
        return
    try:
        app.ops.use_store(url)
    except RuntimeError as error:
        raise BadInput(
            f"store={url!r} cannot be set: the app's module uses the app while it is imported; use it in a function",
            field="store",
        ) from error


def once(app: App, work: Awaitable[T]) -> T:
    """Run the one piece of work that a command does with an app, and close the app."""

    async def done() -> T:
        try:
            return await work
        finally:
            await app.close()

    return asyncio.run(done())
