"""A store that is restored from a copy while its server is stopped, and one whose server is killed."""

import re
import signal
import subprocess
import sys

import pytest
from tests.servers.test_damage import post
from tests.store_files import copy_back, copy_of, restart_machine, set_disk_back, side_file, snapshot
from tests.waiting import eventually

from parbake.stores._lmdb_openings import END, IS_CLOSED

APP = '''
"""The days of a policy, whose changes are only told by events."""
from pathlib import Path

import parbake as pb

HERE = Path(__file__).parent
tasks = pb.Registry()


@tasks.artifact(
    invalidated_by=[pb.fence("policy/{name}")], freshness_sla="1h", fallback_if_stale=pb.Recompute(), owner="test"
)
def policy(name: str) -> str:
    """What a file says now."""
    return (HERE / "days").read_text()


app = pb.App(tasks, store=f"lmdb://{HERE}/store", open=["policy"])
'''


class Server:
    """A server that is started and stopped."""

    def __init__(self, folder):
        """Write its app."""
        self.folder, self.place = folder, folder / "store"
        (folder / "ruled.py").write_text(APP)
        self.process = None

    def start(self):
        """Start it, and wait until it listens."""
        log = (self.folder / "log").open("w+")
        command = [sys.executable, "-m", "parbake", "serve", "ruled:app", "--port", "0"]
        with log:
            self.process = subprocess.Popen(command, cwd=self.folder, stderr=log)
        self.url = eventually(lambda: re.search(r"http://[\d.:]+", (self.folder / "log").read_text()))[0]

    def stop(self, how=signal.SIGTERM):
        """Stop it."""
        self.process.send_signal(how)
        self.process.wait()

    def read(self):
        """Return the policy that it serves, and the incarnation of the value."""
        found = eventually(
            lambda: (answer := post(self.url, "/v1/serve/policy", {"key": "returns"}))[0] == 200 and answer
        )
        return found[1]["value"], found[1]["incarnation"]

    def change(self, days):
        """Change the policy, and have that acknowledged."""
        (self.folder / "days").write_text(days)
        event = {"specversion": "1.0", "id": days, "source": "test", "type": "changed", "subject": "policy/returns"}
        return post(self.url, "/v1/events", event, "application/cloudevents+json")[0] == 202


@pytest.fixture
def server(tmp_path):
    """Return a server that has served a policy of 30 days."""
    (tmp_path / "days").write_text("30")
    server = Server(tmp_path)
    server.start()
    assert server.read()[0] == "30"
    yield server
    server.process.kill()
    server.process.wait()


def test_the_documented_restore_serves_nothing_old(server, monkeypatch):
    """Stop, rm -r, cp -r and start: the value from before an acknowledged event is not served, whatever its number."""
    server.stop()
    assert memoryview(side_file(server.place).read_bytes()).cast("Q")[END] == IS_CLOSED
    copy = copy_of(server.place)
    server.start()
    assert eventually(lambda: server.change("14"))
    server.stop()
    copy_back(server.place, copy, monkeypatch)
    server.start()
    assert server.read()[0] == "14"


def test_a_killed_server_keeps_its_values(server):
    """After kill -9 of the only server, the next one serves from the same incarnation."""
    before = server.read()
    for _ in range(2):
        server.stop(signal.SIGKILL)
        (server.folder / "days").write_text("not told")
        server.start()
        assert server.read() == before


@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_disk_that_is_set_back_serves_nothing_old(server, is_restarted):
    """A snapshot of a running server holds its side file, too: its end is not known, or memory knows a later one."""
    files = snapshot(server.place)
    assert server.change("14")
    server.stop(signal.SIGKILL)
    set_disk_back(server.place, files)
    if is_restarted:
        restart_machine(server.place)
    server.start()
    assert server.read()[0] == "14"
