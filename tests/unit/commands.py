"""The command line as a new process would see it, without the time that one takes to start."""

import sys

from typer.testing import CliRunner

from parbake.cli.main import cli


def invoke(module, *words):
    """Call a command with the module of its app not loaded yet; returns its output and status."""
    sys.modules.pop(module, None)
    return CliRunner().invoke(cli, [str(word) for word in words])
