"""A small generated shop, built once, and a fresh copy of it for each test that writes."""

import shutil

import pytest

from retail_assistant.shop import schema
from retail_assistant.world import generate

NOW = 1_790_000_000.0


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Return the path of a small shop that no test writes to."""
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    generate(path, seed=7, now=NOW, products=200, shoppers=300, messages=1500)
    return path


@pytest.fixture
def shop(built, tmp_path):
    """Return a connection to a fresh copy of the small shop."""
    path = tmp_path / "shop.db"
    shutil.copy(built, path)
    conn = schema.connect(path)
    schema.check(conn)
    yield conn
    conn.close()


@pytest.fixture
def now():
    """Return the time at which the generated history ends."""
    return NOW
