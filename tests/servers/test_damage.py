"""A page of the store is damaged while a server and a worker run: requests go on, and nothing outdated is served."""

import concurrent.futures
import contextlib
import itertools
import json
import re
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from tests.waiting import eventually

from parbake.adapters.sqlite import OUTBOX_DDL, emit

APP = '''
"""A long note per name."""
from pathlib import Path

import msgspec
import parbake as pb
from parbake.adapters.sqlite import SqliteSource

HERE = Path(__file__).parent


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name):
        """One version."""
        self.entity(f"fact/{name}")
        return self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0]


class Heard:
    """Writes alerts to a file."""

    async def send(self, alert):
        """Write one."""
        with (HERE / "alerts").open("ab") as file:
            file.write(msgspec.json.encode(alert) + b"\\n")


tasks = pb.Registry()


@tasks.artifact(
    invalidated_by=[pb.fence("fact")], freshness_sla="1h", fallback_if_stale=pb.Recompute(), owner="test"
)
def note(name: str, *, facts: pb.Source[Facts]) -> dict:
    """What the source says."""
    return {"version": facts.version(name), "filler": f"filler-{name}-" * 100}


source = SqliteSource(HERE / "facts.sqlite", families=["fact"], views=[Facts])
app = pb.App(tasks, store=f"lmdb://{HERE}/store", sources=[source], alerts=[Heard()])
'''
NAMES = [f"n{n}" for n in range(100)]
PAGE = 4096


@pytest.fixture
def url(tmp_path):
    """Return the address of a server beside which a worker runs."""
    (tmp_path / "noted.py").write_text(APP)
    with contextlib.closing(sqlite3.connect(tmp_path / "facts.sqlite")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
        connection.executemany("INSERT INTO fact VALUES (?, 0)", [(name,) for name in NAMES])
        connection.execute(OUTBOX_DDL)
    with contextlib.ExitStack() as stack:
        for words in (["worker", "noted:app"], ["serve", "noted:app", "--port", "0"]):
            log = stack.enter_context((tmp_path / words[0]).open("w+"))
            command = [sys.executable, "-m", "parbake", *words]
            process = stack.enter_context(subprocess.Popen(command, cwd=tmp_path, stderr=log))
            stack.callback(process.kill)
        yield eventually(lambda: re.search(r"http://[\d.:]+", (tmp_path / "serve").read_text()))[0]


def post(url, path, body, kind="application/json"):
    """Return the status and the answer of a request."""
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": kind})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Traffic:
    """Readers and a writer, which remember what was acknowledged before each read."""

    def __init__(self, url, folder):
        """Watch nothing yet."""
        self.url, self.folder = url, folder
        self.acknowledged = dict.fromkeys(NAMES, 0)
        self.outdated, self.refused, self.answered = [], [], 0
        self.is_over = threading.Event()

    def read(self, name):
        """Read one note, and judge the answer."""
        at_least = self.acknowledged[name]
        status, found = post(self.url, "/v1/serve/note", {"key": name})
        if status != 200:
            self.refused.append(found)
            return False
        self.answered += 1
        if found["value"]["version"] < at_least:
            self.outdated.append((name, found["value"]["version"], at_least))
        return True

    def read_on(self):
        """Read until the test is over."""
        for name in itertools.cycle(NAMES):
            if self.is_over.is_set():
                return
            self.read(name)

    def write_on(self):
        """Change one note after the other, and let the server acknowledge each change."""
        with contextlib.closing(sqlite3.connect(self.folder / "facts.sqlite", timeout=30)) as connection:
            for n, name in enumerate(itertools.cycle(NAMES)):
                if self.is_over.is_set():
                    return
                with connection:
                    connection.execute("UPDATE fact SET version = ? WHERE name = ?", (n + 1, name))
                    emit(connection, f"fact/{name}", "fact.changed")
                event = {
                    "specversion": "1.0",
                    "id": str(n),
                    "source": "test",
                    "type": "changed",
                    "subject": f"fact/{name}",
                }
                status, _ = post(self.url, "/v1/events", event, "application/cloudevents+json")
                if status == 202:
                    self.acknowledged[name] = n + 1


def kind(alert):
    """Return the kind of an alert, a line of JSON; none of a line that is still being written."""
    return json.loads(alert)["kind"] if alert.endswith("}") else ""


def test_requests_go_on_while_a_damaged_store_is_replaced(url, tmp_path):
    """After a page was overwritten the worker replaces the store; no read is older than what was acknowledged."""
    data = tmp_path / "store" / "data.mdb"
    with traffic_beside(url, tmp_path) as traffic:
        with data.open("r+b") as file:
            whole = file.read()
            for page in {found.start() // PAGE for found in re.finditer(rb"filler-n\d+-filler", whole)}:
                file.seek(page * PAGE)
                file.write(bytes(PAGE))
                file.flush()
        eventually(lambda: list(tmp_path.glob("store.damaged-*")))
        eventually(lambda: all(map(traffic.read, NAMES)))
        refused, answered = len(traffic.refused), traffic.answered
        eventually(lambda: traffic.answered > answered + 200)
        assert len(traffic.refused) == refused
    assert traffic.outdated == []
    assert_alerted(tmp_path)


@contextlib.contextmanager
def traffic_beside(url, folder, first=lambda: None):
    """Yield the traffic of readers and a writer; whatever was refused meanwhile was refused for a while only."""
    traffic = Traffic(url, folder)
    eventually(lambda: all(map(traffic.read, NAMES)))
    first()
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        running = [threads.submit(work) for work in (traffic.read_on, traffic.read_on, traffic.write_on)]
        try:
            yield traffic
        finally:
            traffic.is_over.set()
    for one in running:
        one.result()
    assert [found for found in traffic.refused if found["status"] != 503] == []


def assert_alerted(folder):
    """Wait until the owners were told that the store was lost."""
    written = folder / "alerts"
    eventually(lambda: written.exists() and "store_lost" in [kind(line) for line in written.read_text().splitlines()])


def test_nothing_old_is_served_from_a_store_that_was_overwritten(url, tmp_path):
    """An older copy is written over the file under a server and a worker: both refuse it, and it is replaced."""
    data = tmp_path / "store" / "data.mdb"
    older = []
    with traffic_beside(url, tmp_path, first=lambda: older.append(data.read_bytes())) as traffic:
        eventually(lambda: all(traffic.acknowledged.values()))
        with data.open("r+b") as file:
            file.write(older[0])
        eventually(lambda: list(tmp_path.glob("store.damaged-*")))
        eventually(lambda: all(map(traffic.read, NAMES)))
    assert traffic.outdated == []
    assert_alerted(tmp_path)
