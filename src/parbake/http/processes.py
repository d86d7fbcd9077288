"""Several server processes that accept from one socket, and the process that keeps them running.

The kernel gives a new connection to whichever process accepts it first. The first process is started alone: if the app
cannot start, it says so once. A process that ends is started again after a pause, and the others go on meanwhile.
"""

from __future__ import annotations

import http.server
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from parbake.errors import ServerFailed
from parbake.http.access.session_secrets import share_secret
from parbake.values.backoff import Backoff

_PAUSE = Backoff(1.0, 60.0)
"""The pauses before a process is started again, in seconds; they begin anew once one has lasted."""
_LASTED_S = 300.0
_LOOK_S = 0.2
_GRACE_S = 5.0
"""Seconds that a process has to end, after those that its requests have."""
_log = logging.getLogger("parbake.http")
Command = Callable[[Sequence[int], int], Sequence[str]]
"""Returns the command line of a process that serves file descriptors, and writes to another once it does."""


def server_command(words: Sequence[str]) -> Command:
    """Make the command lines of the processes of a server.

    Args:
        words: The words of a command that serves in one process, such as ``["serve", "shop:app"]``.
    """

    def command(served: Sequence[int], tells: int) -> list[str]:
        sockets = [word for number in served for word in ("--socket", str(number))]
        start = [sys.executable, "-m", "parbake", *words, *sockets]  # the last of several equal options counts
        return [*start, "--tells", str(tells), "--parent", str(os.getpid()), "--processes", "1", "--own-ports", "0"]

    return command


@dataclass(slots=True)
class _Place:
    """The place of one process: the process in it, how often it has ended soon, and when it is started again."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    ends: int = 0
    again_at: float = 0.0


class _Health(http.server.BaseHTTPRequestHandler):
    """Says how many processes run: 200 if one does, and 503 if none does."""

    keeper: ServerProcesses
    timeout = 5.0

    def do_GET(self) -> None:
        """Answer, whatever the path."""
        count, running = self.keeper.running()
        body = msgspec.json.encode({"processes": count, "running": running})
        self.send_response(200 if running else 503)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base's
        """Log nothing, as servers do for their probes."""
        del format, args


class ServerProcesses:
    """Keeps a number of server processes running until a signal comes.

    Use it in the main thread: :meth:`run` handles SIGTERM and SIGINT.
    """

    def __init__(
        self,
        command: Command,
        shared: socket.socket,
        own: Sequence[socket.socket],
        *,
        count: int,
        drain_s: float,
        health: socket.socket | None = None,
    ) -> None:
        """Store what to start.

        Args:
            command: Makes the command line of a process.
            shared: The socket from which all accept.
            own: A further socket for each process, or none.
            count: How many processes to keep.
            drain_s: Seconds that running requests have after a signal.
            health: A socket at which this process says how many of them run.
        """
        self._health = health
        self._command, self._shared, self._own, self._drain_s = command, shared, own, drain_s
        self._places = [_Place(number) for number in range(count)]
        self._is_ending = False

    def run(self, started: Callable[[], None]) -> None:
        """Start the processes, call ``started`` once the first one serves, and return when all have ended.

        Raises:
            ServerFailed: The first process could not start; it has said why.
        """
        share_secret(os.environ)
        before = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGINT)}
        if self._health is not None:
            threading.Thread(target=self._tell, args=(self._health,), name="parbake-health", daemon=True).start()
        try:
            self._start_first()
            if not self._is_ending:
                started()
            while not self._is_ending:
                self._look()
                time.sleep(_LOOK_S)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell(self, bound: socket.socket) -> None:
        """Answer probes until the process ends."""
        handler = type("Health", (_Health,), {"keeper": self})
        server = http.server.ThreadingHTTPServer(bound.getsockname(), handler, bind_and_activate=False)
        server.socket.close()
        server.socket = bound
        server.serve_forever()

    def running(self) -> tuple[int, int]:
        """How many processes there should be, and how many there are."""
        return len(self._places), sum(place.process is not None for place in self._places)

    def _end(self, *_: object) -> None:
        self._is_ending = True

    def _start_first(self) -> None:
        first = self._places[0]
        told = self._start(first)
        process = first.process
        while process is not None and not self._is_ending and not select.select([told], [], [], _LOOK_S)[0]:
            if process.poll() is not None:
                break
        is_serving = bool(select.select([told], [], [], 0)[0] and os.read(told, 1))
        os.close(told)
        if not is_serving and not self._is_ending:
            raise ServerFailed("the first server process ended before it served anything", field="processes")

    def _start(self, place: _Place) -> int:
        """Start a process in its place; returns the file descriptor that tells when it serves."""
        told, tells = os.pipe()
        served = [self._shared.fileno(), *(own.fileno() for own in self._own[place.number : place.number + 1])]
        try:
            place.process = subprocess.Popen(  # noqa: S603  # the command is our own
                self._command(served, tells),
                pass_fds=[*served, tells],
                start_new_session=True,  # Ctrl-C in a terminal must reach only this process, which ends the others
            )
        finally:
            os.close(tells)
        place.began, place.again_at = time.monotonic(), 0.0
        return told

    def _look(self) -> None:
        """Start each process that is not there yet, and each that has ended once its pause is over."""
        now = time.monotonic()
        for place in self._places:
            if place.process is not None and (status := place.process.poll()) is not None:
                place.process = None
                place.ends = 0 if now - place.began >= _LASTED_S else place.ends + 1
                place.again_at = now + (pause_s := _PAUSE.pause_s(max(0, place.ends - 1)))
                _log.error(
                    "server process %d ended with status %d; another starts in %g s", place.number, status, pause_s
                )
            if place.process is None and now >= place.again_at and not self._is_ending:
                os.close(self._start(place))

    def _stop(self) -> None:
        """End all processes, and wait until their running requests are answered."""
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + self._drain_s + _GRACE_S
        for process in running:
            try:
                process.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
