"""Runs commands inside the test process, with the app's module imported afresh, as a new process would do."""

import contextvars
import sys

from typer.testing import CliRunner

from parbake.cli.main import cli


def invoke(module, *words):
    """Run a command after removing the app's module from ``sys.modules``; return its output and status.

    It has a context of its own, as in a process of its own.
    """
    sys.modules.pop(module, None)
    run = CliRunner().invoke
    return contextvars.copy_context().run(run, cli, [str(word) for word in words])
