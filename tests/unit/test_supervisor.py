"""The demo's supervisor restarts a worker that ends, and gives up if the worker cannot run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.waiting import HANGS_S

MAIN = """
import signal, sys, threading
import parbake as pb
from retail_assistant import supervisor

supervisor.RESTART_S = 0.02
{setting}
try:
    with supervisor.Supervisor([sys.executable, "-c", {worker!r}], {{}}):
        print("serving", flush=True)
        {body}
except pb.ParbakeError as error:
    print(f"failed: {{error}}")
    sys.exit(1)
"""
FOR_EVER = "signal.pause()"
COUNTED = """
supervisor.QUICK_S = supervisor.LASTED_S = 0
starts, five_starts, start = [], threading.Event(), supervisor.Supervisor._start

def counted(self):
    starts.append(1)
    if len(starts) == 5:
        five_starts.set()
    return start(self)

supervisor.Supervisor._start = counted
"""


def run(worker, *, body=FOR_EVER, setting=""):
    """Run a program that supervises a worker to its end, and return the result."""
    program = MAIN.format(worker=worker, body=body, setting=setting)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGS_S, check=False)


def test_a_worker_that_ends_three_times_at_once_ends_the_whole_with_its_last_line():
    """After three quick ends the supervisor exits with status 1 and the worker's last line."""
    done = run("import sys; sys.stderr.write('Traceback\\nNo module named pytest\\n'); sys.exit(3)")
    assert done.returncode == 1
    assert "failed: the worker ended 3 times at once, with status 3: No module named pytest" in done.stdout
    assert done.stderr.count("Traceback") == 3


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)", "sys.exit(0)", "sys.exit(130)"],
    ids=["killed", "terminated", "ended in order", "interrupted in order"],
)
def test_a_worker_that_signals_end_is_started_again_however_often(end):
    """The server goes on when signals end its worker again and again, and waits longer before each restart."""
    setting = COUNTED.replace("supervisor.QUICK_S = supervisor.LASTED_S = 0", "")
    done = run(f"import os, signal, sys; {end}", body=f"five_starts.wait({HANGS_S})", setting=setting)
    assert done.returncode == 0, done.stdout
    pauses = [float(pause) for pause in re.findall(r"starting another in (\S+) s", done.stderr)]
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]


def test_a_worker_that_ran_for_a_while_is_started_again():
    """A worker that does not end quickly is restarted each time, and its output is passed on."""
    body = f"five_starts.wait({HANGS_S})"
    done = run("print('x', file=__import__('sys').stderr)", body=body, setting=COUNTED)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starting another") >= 4
    assert "x\n" in done.stderr


def test_a_terminated_supervisor_ends_its_worker():
    """On SIGTERM the supervisor exits with status 0 and its worker ends."""
    body = "signal.raise_signal(signal.SIGTERM)"
    worker = "import os, time; print(os.getpid(), file=__import__('sys').stderr, flush=True); time.sleep(60)"
    done = run(worker, body=body)
    assert done.returncode == 0, done.stderr
    assert not any(Path("/proc", number).exists() for number in done.stderr.split())


def test_a_worker_that_goes_on_ending_is_started_ever_more_slowly():
    """The pause before each restart doubles while the worker does not last."""
    setting = COUNTED.replace("supervisor.LASTED_S = 0", "0\nsupervisor.LASTED_S = 300")
    done = run("pass", body=f"five_starts.wait({HANGS_S})", setting=setting)
    pauses = [float(pause) for pause in re.findall(r"starting another in (\S+) s", done.stderr)]
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]


def test_the_worker_of_the_demo_does_not_get_the_operators_token(monkeypatch):
    """The worker inherits the environment and the demo's settings, without the secrets of the server."""
    monkeypatch.setenv("PARBAKE_TOKEN", "operators-0123456789")
    monkeypatch.setenv("PARBAKE_TOKEN_FILE", "/etc/token")
    monkeypatch.setenv("PARBAKE_TASK_THREADS", "3")
    worker = "import os, sys; print(*os.environ, file=sys.stderr, flush=True)"
    program = (
        "import sys; from pathlib import Path; from retail_assistant import main, supervisor, settings\n"
        "environment = main._child_environment(settings.Settings(Path('data')))\n"
        f"with supervisor.Supervisor([sys.executable, '-c', {worker!r}], environment) as running:\n"
        "    running._process.wait(); running._reader.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANGS_S, check=True
    )  # fmt: skip
    names = done.stderr.partition("\n")[0].split()
    assert {"PARBAKE_TASK_THREADS", "RETAIL_HOME", "PATH"} <= set(names)
    assert not {"PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE", "PARBAKE_SESSION_SECRET"} & set(names)
