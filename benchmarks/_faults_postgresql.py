"""A PostgreSQL server to be harmed: killed, suspended, and set back to an older copy of its data folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from _postgresql import USER, address, answers, as_user, command, make, programs


class PostgresqlUnderFault:
    """A server with its data folder, which syncs each commit."""

    def __init__(self, home: Path, port: int) -> None:
        """Make the data folder; nothing is started yet."""
        programs()
        self.data, self.port = home / "data", port
        home.mkdir()
        if os.geteuid() == 0:
            shutil.chown(home, USER, USER)
            for folder in home.parents:  # the server's user has to reach it
                if not folder.stat().st_mode & 0o001:
                    folder.chmod(folder.stat().st_mode | 0o011)
        make(self.data)

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = self._started()
        while not await asyncio.to_thread(answers, self.port):
            if self._process.poll() is not None:
                raise SystemExit("PostgreSQL ended by itself")
            await asyncio.sleep(0.02)

    def _started(self) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command(self.data, self.port), cwd="/", **quiet, **as_user())

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait(10)
        while left := list(self._pids()):
            for pid in left:
                _send(pid, signal.SIGKILL)
            time.sleep(0.002)

    def clear_away(self) -> None:
        """End it so that nothing of it stays in the system's shared memory, as it would after a kill."""
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)

    def send(self, number: signal.Signals) -> None:
        """Suspend all its processes, or let them go on."""
        for pid in self._pids():
            _send(pid, number)

    async def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        await self.start()

    async def set_back(self, after_s: float) -> None:
        """Copy the data folder, let the server go on for some seconds, and put the copy in its place."""
        older = self.data.with_name("older")
        self.kill()
        await asyncio.to_thread(self._copy, older)
        await self.start()
        await asyncio.sleep(after_s)
        self.clear_away()
        shutil.rmtree(self.data)
        older.rename(self.data)
        await self.start()

    def _copy(self, target: Path) -> None:
        shutil.copytree(self.data, target, ignore=shutil.ignore_patterns("*.pid", ".s.*"))
        if os.geteuid() == 0:
            for path in [target, *target.rglob("*")]:
                shutil.chown(path, USER, USER)

    @property
    def url(self) -> str:
        """The address of the server itself."""
        return address(self.port)

    def _pids(self) -> Iterator[int]:
        for path in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if path.readlink() == self.data:
                    yield int(path.parent.name)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
