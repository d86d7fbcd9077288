"""A small generated shop that no test writes to, and a fresh copy for tests that write."""

import shutil

import pytest

from parbake.testing import FakeClock
from retail_assistant.live import LiveShop
from retail_assistant.shop import schema
from retail_assistant.world import generate

NOW = 1_790_000_000.0


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Return the path of a small shop that no test writes to."""
    path = tmp_path_factory.mktemp("knowledge") / "shop.db"
    generate(path, seed=7, now=NOW, products=60, shoppers=60, messages=3000)
    return path


@pytest.fixture
def conn(built, tmp_path):
    """Return a connection to a fresh copy of the shop."""
    shutil.copy(built, tmp_path / "shop.db")
    opened = schema.connect(tmp_path / "shop.db")
    yield opened
    opened.close()


@pytest.fixture
def clock():
    """Return a clock that is set to the end of the generated history."""
    return FakeClock(NOW)


@pytest.fixture
def live(conn, tmp_path, clock):
    """Return the live reads of the copy."""
    found = LiveShop(tmp_path / "shop.db")
    yield found
    found.close()
