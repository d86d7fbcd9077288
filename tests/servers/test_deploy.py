"""The units of docs/howto/deploy.md are units, and run commands that exist."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tests.waiting import HANGS_S

from parbake.cli.main import cli

GUIDE = Path(__file__).parents[2] / "docs/howto/deploy.md"
UNITS = re.findall(
    r"^`/etc/systemd/system/([\w.-]+)`:\n\n```ini\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL
)


def _command(words):
    """Parse a command line as the program would, without running it."""
    root = typer.main.get_command(cli)
    name, *arguments = words
    return root.commands[name].make_context(name, arguments)


def test_both_kinds_of_processes_have_a_unit():
    """One for a server, one for a worker."""
    assert [name for name, _ in UNITS] == ["courier-server.service", "courier-worker.service"]


@pytest.mark.parametrize(("name", "text"), UNITS, ids=[name for name, _ in UNITS])
def test_a_unit_runs_a_command_that_exists(name, text):
    """Its command is understood, and it has more time to stop than requests have to end."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(text)
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/parbake")
    given = _command(words).params
    assert given["app"] in {"delivery:served", "delivery:app"}
    assert int(service["TimeoutStopSec"]) > given.get("drain", 0)


def test_systemd_takes_the_units(tmp_path):
    """Where systemd is installed, it finds no fault in them."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # not a skip: what is above was tested all the same
        return
    for name, text in UNITS:
        (tmp_path / name).write_text(text.replace("/srv/courier/.venv/bin/parbake", sys.executable))
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, timeout=HANGS_S,
            check=False,
        )  # fmt: skip
        own = [line for line in done.stderr.splitlines() if name in line]
        assert own == [], own
