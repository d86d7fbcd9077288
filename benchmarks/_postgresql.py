"""A PostgreSQL server of a benchmark's own: on a free port of this machine, ended with the benchmark."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.pg import USER, as_user, programs  # found by the line above

_MAPPED = ("-c", "dynamic_shared_memory_type=mmap")
"""A server that is killed would leave other kinds of shared memory behind."""


def address(port: int) -> str:
    """The address of a server's administrator."""
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def make(folder: Path) -> None:
    """Make a data folder."""
    words = ["-D", str(folder), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([programs() / "initdb", *words], check=True, capture_output=True, cwd="/", **as_user())


def command(folder: Path, port: int) -> list[str]:
    """The words that start a server: its settings are its defaults, so it syncs each commit."""
    words = ["-D", str(folder), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    return [str(programs() / "postgres"), *words, "-c", "shared_buffers=128MB", *_MAPPED]


def answers(port: int) -> bool:
    """Whether a server accepts connections."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address(port), connect_timeout=2):
        return True
    return False


@contextlib.contextmanager
def serving(place: str | None = None) -> Iterator[int]:
    """The port of a server that has started, whose data is below a folder, the temporary one by default."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg", dir=place) as home:
        if os.geteuid() == 0:
            programs()
            shutil.chown(home, USER, USER)
        folder = Path(home) / "data"
        make(folder)
        with subprocess.Popen(
            command(folder, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **as_user()
        ) as server:
            try:
                _wait(port, server)
                yield port
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(60)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if answers(port):
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"PostgreSQL did not start on port {port}")
