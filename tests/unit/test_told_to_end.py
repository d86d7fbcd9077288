"""Commands that get SIGINT or SIGTERM end at once, with a line that says what is left undone."""

import asyncio
import contextlib
import http.client
import json
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from tests.unit.processes import are_gone, shop_in
from tests.waiting import HANGS_S, eventually

CONTINUED = "; the next run of row continues where this one stopped"
INTERRUPTED = (130, ["parbake: interrupted"])
ENDED = (0, [])
INTERRUPTED_RUN = (130, [f"parbake: interrupted{CONTINUED}"])
TERMINATED_RUN = (143, [f"parbake: terminated{CONTINUED}"])
RUN, WORK = "materialize shop:app row", "worker shop:app"


@pytest.fixture
def shop(tmp_path):
    """Return a shop whose processes are killed at the end of the test."""
    with shop_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, INTERRUPTED_RUN), (signal.SIGTERM, TERMINATED_RUN)], ids=["INT", "TERM"]
)
def test_a_run_that_is_told_to_end_ends_at_once_with_one_line(shop, number, ends):
    """The run ends with the signal's status, one line and no processes left; the next run continues it."""
    running = shop.start(*RUN.split(), "--processes", "2", pace=0.02)
    eventually(lambda: len(shop.kept()) >= 2)
    assert shop.tell(running, number) == ends
    eventually(lambda: are_gone(shop.computed()[0]))
    assert list((shop.folder / "temporary").iterdir()) == []
    status, said, _ = shop.run("runs", "shop:app", "row")
    assert (status, "interrupted" in said) == (0, True)
    status, said, _ = shop.run("materialize", "shop:app", "row")
    assert (status, "an interrupted run was continued" in said) == (0, True)


@pytest.mark.parametrize("where", ["task", "keys", "gate"])
@pytest.mark.parametrize(
    ("words", "number", "ends"),
    [(RUN, signal.SIGINT, INTERRUPTED_RUN), (WORK, signal.SIGINT, INTERRUPTED), (WORK, signal.SIGTERM, ENDED)],
    ids=["run-INT", "worker-INT", "worker-TERM"],
)
def test_a_busy_thread_does_not_delay_the_end(shop, where, words, number, ends):
    """A command ends although a function of the app is running, and its run can be continued at once."""
    running = shop.start(*words.split(), busy=where)
    eventually((shop.folder / "busy").exists)
    assert shop.tell(running, number) == ends
    assert asyncio.run(shop.state()).under_way.standing(time.time()) == "interrupted"


@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, ENDED)], ids=["INT", "TERM"]
)
def test_a_command_that_still_imports_its_app_ends(shop, number, ends):
    """A signal during the import of the app ends the command and is not reported as an import error."""
    importing = shop.start(*WORK.split(), busy="import", interruptions=signal.SIG_IGN)
    eventually((shop.folder / "busy").exists)
    assert shop.tell(importing, number) == ends


@pytest.mark.parametrize(("words", "ends"), [(RUN, INTERRUPTED_RUN), (WORK, INTERRUPTED)], ids=["run", "worker"])
def test_a_command_that_a_script_started_behind_is_interrupted_too(shop, words, ends):
    """SIGINT ends a command even if it was started with SIGINT ignored, as a background job is."""
    running = shop.start(*words.split(), busy="task", interruptions=signal.SIG_IGN)
    eventually((shop.folder / "busy").exists)
    assert shop.tell(running, signal.SIGINT) == ends


@pytest.mark.parametrize("interruptions", [signal.SIG_DFL, signal.SIG_IGN], ids=["terminal", "script"])
@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, ENDED)], ids=["INT", "TERM"]
)
def test_a_server_that_is_told_to_end_ends(shop, number, ends, interruptions):
    """A server ends on either signal with a worker's status, however it was started."""
    serving, url = served(shop, interruptions)
    with urllib.request.urlopen(f"{url}/healthz", timeout=HANGS_S) as answer:
        assert answer.status == 200
    assert shop.tell(serving, number) == ends


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["INT", "TERM"])
def test_a_busy_request_does_not_keep_a_server(shop, number, status):
    """After the drain time the server ends, although a request is still running."""
    serving, url = served(shop, signal.SIG_DFL, "--drain", "0.5", busy="request")
    body = json.dumps({"live": {"word": "a"}}).encode()
    threading.Thread(target=asked, args=[f"{url}/v1/serve/look", body], daemon=True).start()
    eventually((shop.folder / "busy").exists)
    assert shop.tell(serving, number)[0] == status


def served(shop, interruptions, *options, busy=""):
    """Start a server; return its process, and its URL, at which it already listens."""
    serving = shop.start("serve", "shop:app", "--port", "0", *options, interruptions=interruptions, busy=busy)
    return serving, re.search(r"http://\S+", serving.stderr.readline())[0]


def asked(url, body):
    """Send a request, and ignore that it gets no answer."""
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with contextlib.suppress(OSError, http.client.HTTPException), urllib.request.urlopen(request, timeout=HANGS_S):
        pass


def test_processes_that_compute_for_long_do_not_delay_an_interruption(shop):
    """SIGINT ends a run at once although its processes are computing or starting."""
    running = shop.start("materialize", "shop:app", "row", "--processes", "2", pace=60)
    eventually(lambda: processes_of(running))
    assert shop.tell(running, signal.SIGINT) == INTERRUPTED_RUN


def processes_of(process):
    """Return the processes that a run started, without Python's resource tracker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
