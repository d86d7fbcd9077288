"""What tasks read beside their views while they compute: files, services, and environment variables."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import parbake
from parbake_lab.prove.drivers import Call, connecting

_PACKAGES = ("site-packages", "dist-packages")
_PLACES = [place for name, place in sysconfig.get_paths().items() if name != "data"]
_OWN = tuple(os.path.realpath(place) for place in (*_PLACES, str(Path(parbake.__file__).parent)))
"""Where the interpreter and installed packages are."""
_MACHINE = ("/dev/", "/proc/", "/sys/", "/usr/share/zoneinfo", "/etc/localtime")
_LOADERS = ("<frozen importlib", "<frozen zipimport")
_READERS = ("linecache.py", f"importlib{os.sep}metadata{os.sep}__init__.py")
"""Modules that read what is installed."""
_ENVIRON = (os.__file__, "_collections_abc.py", "<frozen os>", "<frozen _collections_abc>")
_PATHS = ("genericpath.py", "pathlib.py", f"pathlib{os.sep}_abc.py", f"pathlib{os.sep}_local.py")
_LOOKS = (*(os.sep + place for place in _PATHS), "<frozen genericpath>", *_ENVIRON)
"""Modules between a program and what it asks the system."""
_FILES = ("open", "os.listdir", "os.scandir", "sqlite3.connect")
_SERVICES: Mapping[str, int] = {"socket.connect": 1, "socket.getaddrinfo": 0, "subprocess.Popen": 0}
"""For each event of the interpreter, the place of the argument that says what is reached."""


_task: ContextVar[str] = ContextVar("task", default="")
"""The task whose computation is watched; threads to which a context is passed on belong to it."""


class Outside:
    """Notes what tasks read while they compute, on whichever thread."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.found: dict[tuple[str, str], None] = {}
        """The names of tasks, each with what it read, such as ``the file rates.json``."""
        self.older: set[int | None] = set()
        """The threads that ran before the task was computed."""
        self._name = ""
        self._written: set[str] = set()

    @contextlib.contextmanager
    def of(self, task: str) -> Iterator[None]:
        """Note what a task reads within."""
        _hook()
        kind: Any = type(os.environ)
        taken, stat = kind.__getitem__, os.stat
        _watching.append(self)
        kind.__getitem__ = _noted(taken, Outside.variable)  # reading a variable raises no event
        os.stat = _noted(stat, Outside.looked)  # neither does whether there is a file
        self._name, self.older = task, {thread.ident for thread in threading.enumerate()}
        token = _task.set(task)
        try:
            with connecting(self.connection):
                yield
        finally:
            _task.reset(token)
            kind.__getitem__, os.stat = taken, stat
            _watching.remove(self)

    def event(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Hear of an event of the interpreter."""
        if name in _FILES and isinstance(arguments[0], str | bytes | os.PathLike):
            self._file(os.fsdecode(arguments[0]), is_written=name == "open" and _writes(*arguments[1:3]))
        elif name in _SERVICES:
            self._note(f"{'the program' if 'Popen' in name else 'the service'} {arguments[_SERVICES[name]]}")

    def _file(self, place: str, *, is_written: bool = False) -> None:
        """Note a file, unless it is the program's own work, or a part of what is installed."""
        if place in ("", ":memory:", "<unknown>"):  # SQLite's, and where the interpreter looks for code without a file
            return
        path = os.path.realpath(urlsplit(place).path if place.startswith("file:") else place)
        if is_written:
            self._written.add(path)
        elif path not in self._written and not path.startswith((*_OWN, *_MACHINE)):
            self._note(f"the file {path}")

    def connection(self, call: Call) -> Call:
        """Hear that a driver connects to a database; the interpreter tells of SQLite itself."""
        if call.driver != "sqlite3" and _is_watched():
            self._note(f"a database by {call.driver}")
        return call

    def variable(self, _: object, name: str) -> None:
        """Hear that an environment variable was read."""
        if _is_asked_by_app(_ENVIRON):
            self._note(f"the environment variable {name}")

    def looked(self, path: object, **_: object) -> None:
        """Hear that somebody looked whether there is a file."""
        if isinstance(path, str | bytes | os.PathLike) and _is_asked_by_app(_LOOKS):
            self._file(os.fsdecode(path))

    def _note(self, what: str) -> None:
        """Note what the task reads, unless a module is being imported, or looks up what is installed."""
        frame = inspect.currentframe()
        while frame is not None:
            if frame.f_code.co_filename.startswith(_LOADERS) or frame.f_code.co_filename.endswith(_READERS):
                return
            frame = frame.f_back
        self.found[self._name, what] = None


def is_of_app(module: ModuleType) -> bool:
    """Whether a module is no part of the interpreter or of an installed package."""
    place = os.path.realpath(getattr(module, "__file__", None) or os.devnull)
    return place.endswith(".py") and not place.startswith(_OWN) and not any(part in place for part in _PACKAGES)


_watching: list[Outside] = []
_hooked: list[bool] = []


def _is_watched() -> bool:
    """Whether this thread works for a task: it has its context, or began while the task was computed."""
    return bool(_watching) and bool(_task.get() or threading.get_ident() not in _watching[-1].older)


def _hook() -> None:
    """Listen to the interpreter; a hook cannot be removed, so there is one, which mostly does nothing."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(lambda name, arguments: _watching[-1].event(name, arguments) if _is_watched() else None)


def _is_asked_by_app(between: tuple[str, ...]) -> bool:
    """Whether the app's own code asks. Frames of the modules ``between`` are skipped on the way to the caller."""
    frame = inspect.currentframe()
    while frame and frame.f_code.co_filename.endswith((__file__, *between)):
        frame = frame.f_back
    place = os.path.realpath(frame.f_code.co_filename) if frame else ""
    return not place.startswith(_OWN) and not any(part in place for part in _PACKAGES)


def _noted(taken: Callable[..., Any], hear: Callable[..., None]) -> Callable[..., Any]:
    """Return a function that lets what watches hear of its calls."""

    def called(*arguments: Any, **named: Any) -> Any:
        if _is_watched():
            hear(_watching[-1], *arguments, **named)
        return taken(*arguments, **named)

    return called


def _writes(mode: str | None, flags: int | None) -> bool:
    """Whether a file is opened only to be written, or anew."""
    if isinstance(mode, str):
        return any(letter in mode for letter in "wxa")
    return isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY
