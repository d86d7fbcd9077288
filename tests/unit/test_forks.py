"""Processes that fork: children and parent go on using the app that the parent had opened."""

import subprocess
import sys

import pytest
from tests import prefork
from tests.waiting import HANGS_S

WITH_THREADS = ("-W", "ignore::DeprecationWarning")
"""Python 3.12 and later warn of any fork of a process with threads; here the sink has one that delivers."""
STORES = {"memory": "memory://", "lmdb": "lmdb://{}/store?map_size=32MiB"}


@pytest.mark.parametrize("busy", [(), ("busy",)], ids=["idle", "busy"])
@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_children_serve_from_an_app_that_the_parent_used_before(tmp_path, store, busy):
    """Three children serve and publish; the parent, idle or busy, has no error and sees their events."""
    workers, parent, complained = prefork.run(tmp_path, store.format(tmp_path), *busy)
    prefork.check(workers, parent, complained)
    assert parent["told"] > 0 or store == "memory://"


def test_a_store_in_memory_is_copied(tmp_path):
    """Events of children in a memory store do not reach the parent."""
    _, parent, _ = prefork.run(tmp_path, "memory://")
    assert parent["told"] == 0


READING = """
import os, sys
from tests.unit.shopfloor import Facts, World
from pathlib import Path
from parbake.errors import SourceError

class Deaf:
    def entity(self, tag): pass
    def whole_set(self, name): pass
    def query(self, *_): pass

world = World(Path(sys.argv[1]))
world.put("a", "1")
with world.source.open(Facts, Deaf()) as facts:
    child = os.fork()
    if not child:
        try:
            world.source.extent()
        except SourceError as error:
            sys.stdout.write(f"{error.field}: {error}")
            sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert facts.get("a") == "1"
assert world.source.extent().last == 1
"""


def test_a_child_does_not_read_a_file_that_its_parent_was_reading(tmp_path, root):
    """A source refuses a read in a child that was forked during a read; the parent continues to read."""
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path)],
        cwd=root, capture_output=True, text=True, check=False, timeout=HANGS_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("facts: source 'facts': this process was forked while its parent was reading")


ALERTING = """
import asyncio, os, sys
import parbake as pb
from parbake.ports.alerts import Alert
from parbake.adapters.webhook import WebhookSink

sink = WebhookSink(sys.argv[1], queue=sys.argv[2])


def alert(message):
    asyncio.run(sink.send(Alert("stale", "faq", "team", message, 1.0)))


alert("before")
for number in range(3):
    child = os.fork()
    if not child:
        alert(f"child {number}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
alert("after")
"""


def test_children_and_their_parent_share_a_queue_of_alerts(tmp_path, root, receiver):
    """Parent and children each deliver their alerts through a sink that was used before the fork."""
    url, bodies = receiver
    done = subprocess.run(
        [sys.executable, *WITH_THREADS, "-c", ALERTING, url, str(tmp_path / "alerts.db")],
        cwd=root, capture_output=True, text=True, check=False, timeout=HANGS_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [body["message"] for body in bodies] == ["before", "child 0", "child 1", "child 2", "after"]
