"""Runs the Python examples of README.md and docs/ as tests, each document in a folder and a process of its own."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def _enter_a_folder(namespace: dict[str, Any]) -> None:
    """Let the examples of a document write files without leaving any behind."""
    namespace["_before"] = Path.cwd()
    # A thread of an example, such as the queue of a webhook, may still write when the example ends.
    namespace["_folder"] = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    os.chdir(namespace["_folder"].name)


def _leave_it(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[SkipParser(), PythonCodeBlockParser()],
    patterns=["*.md"],  # at any depth; pytest's testpaths say where to look
    excludes=["*/howto/adapters.md"],  # it needs libraries of others, with which tests/installed runs it
    setup=_enter_a_folder,
    teardown=_leave_it,
).pytest()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the examples of a document together, since each goes on with the names of those before it."""
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
