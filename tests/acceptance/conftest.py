"""One prepared shop for the session; each test module gets a copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster, Process, Server  # needs the path above

SIZES = {"RETAIL_PRODUCTS": "400", "RETAIL_SHOPPERS": "800"}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated shop with every artifact materialized once, through the product's own command."""
    home = tmp_path_factory.mktemp("prepared")
    environment = {**os.environ, **SIZES, "RETAIL_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "retail_assistant", "prepare"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def cluster(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A copy of the prepared shop with no process running yet."""
    home = tmp_path_factory.mktemp("home") / "data"
    shutil.copytree(prepared, home)
    found = Cluster(home)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Server:
    """A running server."""
    return cluster.server()


@pytest.fixture(scope="module")
def worker(cluster: Cluster) -> Process:
    """A running worker."""
    return cluster.worker()
