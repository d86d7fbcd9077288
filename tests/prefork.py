"""A program that stands for a forking server: it uses its app, forks workers that use it too, and goes on.

Each process prints one JSON line with the values that it read.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource, emit
from parbake_planner import Ledger

HANGS_S = 60.0
"""A child takes about a second; one that takes this long will never end."""

WORKERS = 3
tasks = pb.Registry()


class Facts(pb.View):
    """Values by name."""

    families = ("fact",)

    def get(self, name):
        """Return one value."""
        self.entity(f"fact/{name}")
        return self.rows("SELECT value FROM fact WHERE name = :name", name=name)[0][0]


@tasks.artifact(
    freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="team"
)  # fmt: skip
def fact(name: str, *, facts: pb.Source[Facts]) -> str:
    """Return a value from a plain function, which runs in a thread that a child does not have."""
    return facts.get(name)


class Shop:
    """A database and an app over it."""

    def __init__(self, folder, store):
        """Create the database and the app; nothing is opened yet."""
        self._path = folder / "facts.sqlite"
        with sqlite3.connect(self._path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(OUTBOX_DDL)
            connection.executemany("INSERT INTO fact VALUES (?, 'old')", [(str(n),) for n in range(WORKERS)])
            connection.execute("INSERT INTO fact VALUES ('shared', 'old')")
        connection.close()
        source = SqliteSource(self._path, families=["fact"], views=[Facts])
        ledger = Ledger(os.environ.get("LEDGER", folder / "ledger.sqlite"))
        self.app = pb.App(tasks, store=store, sources=[source], plugins=[ledger], silence_limit="1h")
        self.shown = self.app.sync  # created before any fork, as a web application's module does

    def change(self, name, value):
        """Change a value, and wait for the acknowledgement."""
        with sqlite3.connect(self._path) as connection:
            connection.execute("UPDATE fact SET value = ? WHERE name = ?", (value, name))
            emit(connection, f"fact/{name}", "fact.changed")
        connection.close()
        self.shown.run(self.app.drain())

    def raised(self):
        """Return the sequence of this process's store."""
        return self.shown.run(self.app.stamp()).sequence

    def value(self, name):
        """Return the served value."""
        return self.shown.serve(fact, name).value


class Customer(threading.Thread):
    """A thread that keeps sending requests to the parent, also while it forks."""

    def __init__(self, shop):
        """Start the thread."""
        super().__init__(daemon=True)
        self._shop, self._told, self.failed = shop, threading.Event(), []
        self.start()

    def run(self):
        """Send requests until ``stop`` is called."""
        while not self._told.is_set():
            try:
                self._shop.shown.run(self._shop.app.touch("fact/shared"))
                assert self._shop.value("shared") == "old"
            except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
                self.failed.append(repr(error))

    def stop(self):
        """Stop the thread; return the failures."""
        self._told.set()
        self.join()
        return self.failed


def work(shop, number):
    """Return what a worker reads before and after its own change."""
    name = str(number)
    before = shop.value(name)
    shop.change(name, "new")
    raised = shop.shown.run(shop.app.touch("fact/shared")).raised
    return {"before": before, "after": shop.value(name), "acknowledged": bool(raised)}


def tell(**what):
    """Print one JSON line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def forked(shop):
    """Fork the workers; return their exit statuses."""
    workers = []
    for number in range(WORKERS):
        worker = os.fork()
        if not worker:
            tell(**work(shop, number))
            if number % 2:  # some workers close their app, and others just end
                shop.shown.close()
            sys.exit(0)
        workers.append(worker)
    return [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]


def main(folder, store, *words):
    """Use the app, fork the workers, and use the app again."""
    shop = Shop(Path(folder), store)
    shop.shown.run(shop.app.drain())
    known = [shop.value(str(number)) for number in range(WORKERS)]
    before = shop.raised()
    customer = Customer(shop) if "busy" in words else None
    ended = forked(shop)
    failed = customer.stop() if customer else []
    told = shop.raised() - before
    shop.change("shared", "new")
    seen = [shop.value(str(number)) for number in range(WORKERS)]
    tell(known=known, ended=ended, failed=failed, told=told, seen=seen, shared=shop.value("shared"))
    shop.shown.close()


def run(folder, store, *words):
    """Run this program; return the lines of the workers, the line of the parent, and the error output.

    With ``busy`` a thread of the parent sends requests during the forks.
    """
    command = [sys.executable, "-W", "ignore::DeprecationWarning", __file__, str(folder), store, *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, complained = process.communicate(timeout=HANGS_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    *workers, parent = [json.loads(line) for line in said.splitlines()] or [{}]
    return workers, parent, complained


def check(workers, parent, complained):
    """Assert what must hold for every store."""
    assert complained == ""
    assert workers == [{"before": "old", "after": "new", "acknowledged": True}] * WORKERS
    assert (parent["ended"], parent["failed"]) == ([0] * WORKERS, [])
    assert (parent["known"], parent["seen"], parent["shared"]) == (["old"] * WORKERS, ["new"] * WORKERS, "new")


if __name__ == "__main__":
    main(*sys.argv[1:])
