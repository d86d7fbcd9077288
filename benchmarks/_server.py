"""A server as a process that says where it is, and the CPU time of a process."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Running(NamedTuple):
    """A running server: its process number, and its address."""

    pid: int
    address: str

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.rpartition(":")[2])


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    """Run the model server; gives its address."""
    command = [sys.executable, str(Path(__file__).with_name("_model_server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as made:
        try:
            assert made.stdout is not None
            yield f"http://127.0.0.1:{int(made.stdout.readline())}"
        finally:
            made.terminate()


@contextlib.contextmanager
def running(
    app: str, *words: str, environment: Mapping[str, str], folder: Path | None = None, core: int | None = None
) -> Iterator[Running]:
    """Run ``parbake serve`` on a free port until the block ends, and yield it once it has said where it is.

    Args:
        app: The app.
        words: Further words of the command.
        environment: The whole environment.
        folder: Where it runs.
        core: The only core that it may use.
    """
    with started("serve", app, "--port", "0", *words, environment=environment, folder=folder, core=core) as server:
        yield server


@contextlib.contextmanager
def started(
    *words: str, environment: Mapping[str, str], folder: Path | None = None, core: int | None = None
) -> Iterator[Running]:
    """Run a command of parbake that serves, as :func:`running` does.

    Args:
        words: The words of the command.
        environment: The whole environment.
        folder: Where it runs.
        core: The only core that it may use.
    """
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    command = [*pinned, sys.executable, "-m", "parbake", *words]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stderr)), None)
            if found is None:
                raise SystemExit("the server did not start")
            threading.Thread(target=server.stderr.read, daemon=True).start()  # what it logs must not fill the pipe
            yield Running(server.pid, found[0])
        finally:
            server.terminate()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
