"""``parbake dev``: a server and a worker for development, which start again when a file changes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Annotated, Self

import typer

from parbake.cli.support import ending
from parbake.cli.support.settings_file import APP, FILE, PYPROJECT, app_of_project
from parbake.http.server import check_installed, listen

EPILOG = "Example: parbake dev shop:app --port 8080"
_HOST = "127.0.0.1"
_LOOK_S, _END_S, _ANSWER_S = 0.3, 10.0, 2.0
"""Seconds between two looks at the files; those that a process has to end; those that the server has to answer."""
_NOT_OURS = frozenset({"__pycache__", "node_modules", "site-packages"})
_SERVING = "serving "
"""How the line begins with which a server says that it answers."""
_Files = dict[str, tuple[int, int]]


def dev(
    app: Annotated[
        str, typer.Argument(metavar=APP, help=f"module:attribute of an App; by default the app that {FILE} names")
    ] = "",
    *,
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
) -> None:
    """Serve an app on this machine with a worker beside, and start both again when a file changes.

    Python files, parbake.toml and pyproject.toml below the current folder are watched.
    """
    check_installed()
    words = [app] if app else []  # without it, each start reads the file again
    if not app:
        app_of_project()
    with closing(listen(_HOST, port)) as bound:
        port = bound.getsockname()[1]
    kept = socket.socket()  # it does not listen, so that the server may bind the port, and nobody else is given it
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((_HOST, port))
    signals: list[int] = []  # noted instead of raised, so that none comes between a process and the note of its start
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda told, _: signals.append(told))
    files = _files()
    while not signals:
        files = _run_until_changed(words, port, files, signals)
    if signals[0] == signal.SIGINT:
        ending.leave(ending.INTERRUPTED, "interrupted")
    ending.leave(0)


def _run_until_changed(words: list[str], port: int, files: _Files, signals: list[int]) -> _Files:
    """Run a server and a worker until a file changes or a signal comes; returns the files as they are then."""
    parent = ["--parent", str(os.getpid())]
    with ExitStack() as running:
        server = running.enter_context(
            _Child("server", ["serve", *words, "--port", str(port), "--drain", "1", *parent])
        )
        children = [server]
        while (found := _files()) == files and not signals:
            if server.is_serving.is_set() and len(children) == 1:  # one of them alone reports a broken edit
                _tell_of_console(port)
                children.append(running.enter_context(_Child("worker", ["worker", *words, *parent])))
            for child in children:
                child.tell_of_end()
            time.sleep(_LOOK_S)
        if found != files:
            changed = min(name for name in found.keys() | files.keys() if found.get(name) != files.get(name))
            _say("dev", f"{changed.removeprefix('./')} has changed")
        return found


def _say(who: str, line: str) -> None:
    typer.echo(f"{who:<6} | {line}")


def _files() -> _Files:
    """The watched files below the current folder, each with the time of its last change and its size."""
    found: _Files = {}
    folders = [Path()]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:  # it was removed in the meantime
            continue
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _NOT_OURS:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.name.endswith(".py") or entry.name in (FILE, PYPROJECT):
                found |= _state(entry.path)
    return found


def _state(path: str) -> _Files:
    try:
        seen = os.stat(path)  # noqa: PTH116  # many files, several times a second
    except OSError:
        return {}
    return {path: (seen.st_mtime_ns, seen.st_size)}


def _tell_of_console(port: int) -> None:
    """Print the address of the console, if the app has that route."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=_ANSWER_S)
    with closing(connection):
        try:
            connection.request("GET", "/console")
            is_there = connection.getresponse().status != http.HTTPStatus.NOT_FOUND
        except (OSError, http.client.HTTPException):
            return
    if is_there:
        _say("dev", f"console: http://{_HOST}:{port}/console")


class _Child:
    """A command of ours in a process of its own. Its output is shown line by line, behind its name."""

    def __init__(self, name: str, words: list[str]) -> None:
        self.is_serving = threading.Event()
        self._name = name
        self._is_told = False
        self._process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "parbake", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,  # a Ctrl-C in the terminal reaches this process only, which ends the other
        )  # fmt: skip
        self._shows = threading.Thread(target=self._show, daemon=True)
        self._shows.start()

    def _show(self) -> None:
        for line in self._process.stdout or ():
            _say(self._name, line.rstrip())
            if line.startswith(_SERVING):
                self.is_serving.set()

    def tell_of_end(self) -> None:
        """Say once that the process has ended by itself."""
        status = self._process.poll()
        if status is not None and not self._is_told:
            self._is_told = True
            self._shows.join(_END_S)
            _say("dev", f"the {self._name} has ended with status {status}; it starts again when a file changes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, by force if it takes too long."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._process.kill()  # which does nothing once it has ended
        self._process.wait()
        self._shows.join(_ANSWER_S)
