"""The demo's worker is started again when it ends, and ends the demo when it cannot run at all."""

import re
import subprocess
import sys
from pathlib import Path

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
    """Run a program that supervises a worker, and return it ended."""
    program = MAIN.format(worker=worker, body=body, setting=setting)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_a_worker_that_ends_three_times_at_once_ends_the_whole_with_its_last_line():
    """The status is not zero, what the worker said last is in the one line, and it was not started for ever."""
    done = run("import sys; sys.stderr.write('Traceback\\nNo module named pytest\\n'); sys.exit(3)")
    assert done.returncode == 1
    assert "failed: the worker ended 3 times at once, with status 3: No module named pytest" in done.stdout
    assert done.stderr.count("Traceback") == 3


def test_a_worker_that_ran_for_a_while_is_started_again():
    """Only quick ends add up: a worker that ends later is started again each time, and what it says is passed on."""
    body = "five_starts.wait(50)"
    done = run("print('x', file=__import__('sys').stderr)", body=body, setting=COUNTED)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starting another") >= 4
    assert "x\n" in done.stderr


def test_a_terminated_supervisor_ends_its_worker():
    """SIGTERM is an orderly end with status 0, and the worker does not outlive it."""
    body = "signal.raise_signal(signal.SIGTERM)"
    worker = "import os, time; print(os.getpid(), file=__import__('sys').stderr, flush=True); time.sleep(60)"
    done = run(worker, body=body)
    assert done.returncode == 0, done.stderr
    assert not any(Path("/proc", number).exists() for number in done.stderr.split())


def test_a_worker_that_goes_on_ending_is_started_ever_more_slowly():
    """The pause doubles from end to end, until a worker has lasted."""
    setting = COUNTED.replace("supervisor.LASTED_S = 0", "0\nsupervisor.LASTED_S = 300")
    done = run("pass", body="five_starts.wait(50)", setting=setting)
    pauses = [float(pause) for pause in re.findall(r"starting another in (\S+) s", done.stderr)]
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]
