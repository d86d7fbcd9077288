"""The systemd units in docs/howto/deploy.md are valid and run existing commands."""

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
    """Parse a command line without running it."""
    root = typer.main.get_command(cli)
    name, *arguments = words
    return root.commands[name].make_context(name, arguments)


def test_both_kinds_of_processes_have_a_unit():
    """The guide has one unit for a server and one for a worker."""
    assert [name for name, _ in UNITS] == ["courier-server.service", "courier-worker.service"]


@pytest.mark.parametrize(("name", "text"), UNITS, ids=[name for name, _ in UNITS])
def test_a_unit_runs_a_command_that_exists(name, text):
    """A unit's command can be parsed, and its stop timeout exceeds the drain time."""
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
    """If systemd is installed, it reports no error in the units."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # no skip, because the tests above cover the units
        return
    for name, text in UNITS:
        (tmp_path / name).write_text(text.replace("/srv/courier/.venv/bin/parbake", sys.executable))
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, timeout=HANGS_S,
            check=False,
        )  # fmt: skip
        own = [line for line in done.stderr.splitlines() if name in line]
        assert own == [], own
