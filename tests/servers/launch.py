"""Servers that a test starts on a free local port and ends."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

MOTO = Path(__file__).with_name("moto_server.py")


def free_ports(count: int) -> int:
    """Return the first of some free ports in a row, below those that the system gives to others."""
    for first in range(20_000 + os.getpid() % 1_000 * 10, 31_000, 10):
        with contextlib.ExitStack() as bound:
            try:
                for number in range(count):
                    bound.enter_context(socket.create_server(("127.0.0.1", first + number)))
            except OSError:
                continue
            return first
    raise AssertionError("there are no free ports")


def free_port():
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server's process, which can be killed, stopped and continued."""

    def __init__(self, command, **options):
        """Start the process."""
        self._command, self._options = command, options
        self._start()

    def _start(self):
        self.process = subprocess.Popen(self._command, **self._options)

    @property
    def pid(self):
        """The process id."""
        return self.process.pid

    @property
    def is_running(self):
        """Whether it is running."""
        return self.process.poll() is None

    def kill(self):
        """Kill it, as a crash would."""
        if self.is_running:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self):
        """Suspend the process."""
        self.process.send_signal(signal.SIGSTOP)

    def cont(self):
        """Resume the process."""
        self.process.send_signal(signal.SIGCONT)


class Valkey(Process):
    """A Valkey or Redis server with its own folder; durable unless ``settings`` say otherwise."""

    def __init__(self, folder, *settings):
        """``settings`` are further words of its command line."""
        self.folder, self.port = folder, free_port()
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        super().__init__([_valkey_binary(), *place, *durable, *settings], stdout=subprocess.DEVNULL)

    def _start(self):
        super()._start()
        _wait_until(self._answers, self)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"PING\r\n")
            # A server that asks for a password counts as started; one that is still loading does not.
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def restart(self):
        """Start it again on the same port and folder, after killing it if it runs."""
        self.kill()
        self._start()

    @property
    def url(self):
        """The store's URL."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def aof(self):
        """The files that writes are appended to, oldest first."""
        return sorted((self.folder / "appendonlydir").glob("*.incr.aof"))


def _valkey_binary():
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        pytest.skip("neither valkey-server nor redis-server is installed (Debian: apt-get install valkey-server)")
    return found


def _wait_until(is_true, process):
    deadline = time.monotonic() + HANGS_S
    while not is_true():
        if not process.is_running or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"{process._command[0]} did not start")
        time.sleep(0.02)


@contextlib.contextmanager
def valkey(folder, *settings):
    """Run a Valkey server."""
    server = Valkey(folder, *settings)
    try:
        yield server
    finally:
        server.kill()


class Moto(Process):
    """Moto's DynamoDB, which keeps its tables in memory and answers one request at a time."""

    def __init__(self):
        """Start it on a port that it chooses."""
        pytest.importorskip("moto", reason="moto is not installed (make setup installs it)")
        super().__init__([sys.executable, str(MOTO)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline())

    @property
    def endpoint(self):
        """The URL for clients."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def dynamodb():
    """Run a DynamoDB and yield its endpoint, or the one in ``PARBAKE_TEST_DYNAMODB``."""
    if given := os.environ.get("PARBAKE_TEST_DYNAMODB"):
        yield given
        return
    server = Moto()
    try:
        yield server.endpoint
    finally:
        server.kill()
