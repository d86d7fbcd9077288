"""A Valkey server of a benchmark's own: on a free port of this machine, ended with the benchmark.

The standard library only, so that peers can use it in their environment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence


def installed() -> str | None:
    """The server's program, ``None`` when there is none."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


@contextlib.contextmanager
def serving(
    *, durable: bool = False, program: os.PathLike[str] | None = None, modules: Sequence[os.PathLike[str]] = ()
) -> Iterator[int]:
    """The port of a server that has started; ``durable`` syncs each write, else nothing is kept, which is faster.

    ``program`` is the one on the PATH by default; ``modules`` are files that it loads.
    """
    program = program or installed()
    if program is None:
        raise SystemExit("needs valkey-server (or redis-server) on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    words += [word for module in modules for word in ("--loadmodule", module)]
    kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*words, "--dir", folder, *kept], stdout=subprocess.DEVNULL) as server,
    ):
        try:
            _wait(port, server)
            yield port
        finally:
            server.terminate()
            server.wait(10)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"valkey-server did not start on port {port}")
