"""The source files that the rules of the repository are checked on."""

from pathlib import Path

import pytest
from tests.unit.shopfloor import World

import parbake as pb

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "assistant/src", "tests", "benchmarks")


@pytest.fixture(scope="session")
def root():
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def source_files():
    """Return every Python file that the budgets hold for."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="session")
def embedder():
    """Return the real embedder; a text takes about 3 ms."""
    return pb.MiniLm()


@pytest.fixture
def world(tmp_path):
    """Return a fresh database with its source and clock."""
    found = World(tmp_path)
    yield found
    found.close()
