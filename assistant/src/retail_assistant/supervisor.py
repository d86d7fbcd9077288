"""A worker process beside the server: if it ends it is started again, and if it cannot run, the server ends, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Self

import parbake as pb

RESTART_S, LONGEST_PAUSE_S = 2.0, 60.0
"""The first and the longest pause before a restart; it doubles each time, until a worker has lasted."""
QUICK_S, LASTED_S = 30.0, 300.0
"""A worker that ends within the first time has failed at once; one that runs longer than the second has lasted."""
TRIES = 3
_LEAST_OF_SIGNALS = 128
"""Programs that a signal ends in order have this status plus its number; ``subprocess`` has the negative number."""


class WorkerFailed(pb.ParbakeError):
    """The worker has ended at once several times in a row; the message quotes its last line."""


class Supervisor:
    """Keeps one worker process running during the ``with`` block.

    Use it in the main thread. A worker that fails three times in a row within half a minute of its start raises
    :class:`WorkerFailed` there, and a SIGTERM raises ``SystemExit(0)``; the worker ends in both cases.
    A worker that a signal has ended, or that has ended in order, is started again however often that happens.

    Args:
        command: The worker's command line.
        environment: The worker's environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Store the command; the process starts with the ``with`` block."""
        self._command, self._environment = list(command), dict(environment)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._last_line = ""
        self._failure = ""
        self._watch = threading.Thread(target=self._keep, name="worker-watch", daemon=True)

    def __enter__(self) -> Self:
        """Start the process, and the thread that restarts it."""
        # A server handles the signal that ends it first, and raises it once more when it is done.
        signal.signal(signal.SIGTERM, self._leave)
        self._process = self._start()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and the thread."""
        self._ending.set()
        with self._lock:
            self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watch.join(timeout=5)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        if self._failure:
            raise WorkerFailed(self._failure, field="worker")
        sys.exit(0)

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603  # the command is the composition root's own
            self._command, env=self._environment, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True,  # Ctrl-C in a terminal must reach only the server, which then ends the worker
        )  # fmt: skip
        self._reader = threading.Thread(target=self._forward, args=(process,), name="worker-stderr", daemon=True)
        self._reader.start()
        return process

    def _forward(self, process: subprocess.Popen[str]) -> None:
        """Forward the worker's output, and remember its last line."""
        for line in process.stderr or ():
            self._last_line = line.strip() or self._last_line
            sys.stderr.write(line)
            sys.stderr.flush()

    def _keep(self) -> None:
        quick_ends, pause_s = 0, RESTART_S
        while True:
            began = time.monotonic()
            status = self._process.wait()
            if self._ending.is_set():
                return
            self._reader.join(timeout=5)  # its last line says why it ended
            lived_s = time.monotonic() - began
            has_failed = 0 < status < _LEAST_OF_SIGNALS  # one that a signal has ended could run
            quick_ends = quick_ends + 1 if has_failed and lived_s < QUICK_S else 0
            pause_s = RESTART_S if lived_s >= LASTED_S else pause_s
            if quick_ends == TRIES:
                said = self._last_line or "it said nothing"
                self._failure = f"the worker ended {TRIES} times at once, with status {status}: {said}"
                os.kill(os.getpid(), signal.SIGTERM)  # to the main thread, and to the server that runs in it
                return
            sys.stderr.write(f"the worker ended with status {status}; starting another in {pause_s:g} s\n")
            if self._ending.wait(pause_s):
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            with self._lock:
                if not self._ending.is_set():
                    self._process = self._start()
