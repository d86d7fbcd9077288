"""Runs commands inside the test process, with the app's module imported afresh, as a new process would do."""

import sys

from typer.testing import CliRunner

from parbake.cli.main import cli


def invoke(module, *words):
    """Run a command after removing the app's module from ``sys.modules``; return its output and status."""
    sys.modules.pop(module, None)
    return CliRunner().invoke(cli, [str(word) for word in words])
