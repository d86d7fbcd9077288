"""``parbake dev``: a server and a worker that start again after an edit, and end with the command."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.waiting import HANGS_S, eventually

from parbake.cli import dev_command

APP = """
import parbake as pb
from parbake.http import HttpApp, Response, Route

tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team")
def word(key: str) -> str:
    return key + "MARK"


async def console(_):
    return Response(b"a page")


app = HttpApp(pb.App(tasks, store="lmdb://data?map_size=16MiB"), ROUTES)
"""


class Dev:
    """A running ``parbake dev``, with the lines that it has printed so far."""

    def __init__(self, folder, *words):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARBAKE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "parbake", "dev", *words, "--port", "0"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        """Keep each line."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def line(self, part, count=1):
        """Wait until so many lines contain a text, and return the last of them."""

        def found():
            assert self.process.poll() is None, self.lines
            assert not any("worker has ended" in line for line in self.lines), self.lines
            lines = [line for line in list(self.lines) if part in line]
            return lines[count - 1] if len(lines) >= count else None

        return eventually(found)

    def children(self):
        """Return the processes that it has started and that run now."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def started(tmp_path):
    """Return a function that starts the command in a folder with an app; at the end it is ended."""
    running = []

    def start(*words, routes="[]"):
        (tmp_path / "dev_app.py").write_text(APP.replace("MARK", "1").replace("ROUTES", routes))
        (tmp_path / "parbake.toml").write_text('app = "dev_app:app"\n')
        running.append(Dev(tmp_path, *words))
        return running[-1]

    yield start
    for dev in running:
        if dev.process.poll() is None:
            dev.process.terminate()
        dev.process.wait(HANGS_S)
        dev.reader.join(HANGS_S)
        dev.process.stdout.close()


def asked(address):
    """Return the value that a server serves now."""
    body = json.dumps({"key": "a"}).encode()
    request = urllib.request.Request(f"{address}/v1/serve/word", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=HANGS_S) as answer:
        return json.load(answer)["value"]


def has_ended(pid):
    """Whether a process has ended, even if nobody has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_an_edit_starts_both_again(started, tmp_path):
    """After an edit the server at the same address has the new code, and Ctrl-C leaves no process behind."""
    dev = started()
    address = dev.line("server | serving dev_app:app at http://127.0.0.1:").rpartition(" ")[2]
    eventually(lambda: len(dev.children()) == 2)
    first = dev.children()
    assert asked(address) == "a1"
    (tmp_path / "dev_app.py").write_text(APP.replace("MARK", "second").replace("ROUTES", "[]"))
    assert dev.line("dev    | ") == "dev    | dev_app.py has changed"
    assert dev.line("server | serving", count=2).endswith(address)
    eventually(lambda: len(dev.children()) == 2)
    assert all(map(has_ended, first))
    second = dev.children()
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(HANGS_S) == 130
    assert all(map(has_ended, second))
    with pytest.raises(urllib.error.URLError):
        asked(address)


def test_a_broken_edit_is_one_line_and_the_next_one_is_tried(started, tmp_path):
    """A syntax error is reported once, without a traceback; a change of the settings file starts it again."""
    dev = started("dev_app:app")
    dev.line("server | serving")
    whole = (tmp_path / "dev_app.py").read_text()
    (tmp_path / "dev_app.py").write_text(whole + "\nbroken = (\n")
    assert "SyntaxError" in dev.line("server | parbake: ")
    dev.line("dev    | the server has ended with status 1; it starts again when a file changes")
    assert [line for line in dev.lines if "SyntaxError" in line or "Traceback" in line] == [dev.line("SyntaxError")]
    assert dev.children() == []
    (tmp_path / "dev_app.py").write_text(whole)
    dev.line("server | serving", count=2)
    (tmp_path / "parbake.toml").write_text('app = "dev_app:app"\nlog_level = "error"\n')
    dev.line("parbake.toml has changed")
    dev.line("server | serving", count=3)


def test_the_address_of_a_console_is_printed(started):
    """If the app has the route ``/console``, its address is printed."""
    dev = started(routes='[Route("GET", "/console", console)]')
    address = dev.line("server | serving").rpartition(" ")[2]
    assert dev.line("console: ").endswith(f"{address}/console")


def test_both_end_with_a_command_that_was_killed(started):
    """If the command itself is killed, the server and the worker notice that and end."""
    dev = started()
    dev.line("server | serving")
    eventually(lambda: len(dev.children()) == 2)
    left = dev.children()
    assert not any(map(has_ended, left))
    dev.process.kill()
    dev.process.wait(HANGS_S)
    eventually(lambda: all(map(has_ended, left)))


def test_only_files_of_the_project_are_watched(tmp_path, monkeypatch):
    """Hidden folders, environments and caches are skipped, and so is a link that leads nowhere."""
    for name in ("shop.py", "lib/deep.py", ".hidden/a.py", "venv/a.py", "__pycache__/a.py", "lib/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    (tmp_path / "parbake.toml").write_text("")
    (tmp_path / "gone.py").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    assert {os.path.normpath(name) for name in dev_command._files()} == {"shop.py", "lib/deep.py", "parbake.toml"}
