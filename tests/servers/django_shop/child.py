"""Starts processes of the shop for a test."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.waiting import HANGS_S

ROOT = Path(__file__).parents[3]


class Child:
    """A process of the shop; called with code, it returns the value of the last line."""

    def __init__(self, **environment):
        """Start it with further variables of the environment."""
        paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.servers.django_shop.session"], cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._answer() == "ready"

    def __call__(self, code):
        """Execute code in the process; what it raises is an assertion's text here."""
        self.process.stdin.write(json.dumps(textwrap.dedent(code).strip()) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                found = json.loads(line)
                assert "error" not in found, found["error"]
                return found["value"]
        raise AssertionError("the process has ended")

    def end(self):
        """End it."""
        self.process.stdin.close()
        try:
            self.process.wait(HANGS_S)
        finally:
            self.process.stdout.close()


@contextlib.contextmanager
def children(number=1, **environment):
    """Run processes of one shop, whose tables the first one makes."""
    started = []
    try:
        for each in range(number):
            started.append(Child(**environment))
            if not each:
                started[0]('call_command("migrate", run_syncdb=True, verbosity=0)')
        yield started
    finally:
        for child in started:
            child.end()
