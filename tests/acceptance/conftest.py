"""One prepared shop for the session; each test module gets a copy of it.

A module runs on every store that it is parametrised with (``ON_EVERY_STORE`` of ``cluster``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster, Process, Server  # needs the path above
from tests.servers import launch

SIZES = {"RETAIL_PRODUCTS": "400", "RETAIL_SHOPPERS": "800"}
SMALL = {"RETAIL_PRODUCTS": "150", "RETAIL_SHOPPERS": "150"}
"""A shop for servers, where each module makes its first runs anew, one of them answering one request at a time."""
NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def prepare(home: Path, **environment: str) -> Path:
    """Make a shop if there is none, and materialize every artifact, through the product's own command."""
    done = subprocess.run(
        [sys.executable, "-m", "retail_assistant", "prepare"],
        env={**os.environ, **SIZES, "RETAIL_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated shop with every artifact materialized once, in the embedded store."""
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a durable server."""
    with launch.valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[str]:
    """The endpoint of a server that speaks DynamoDB's protocol."""
    with launch.dynamodb() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> str:
    """The kind of store that a module's tests run on."""
    return str(getattr(request, "param", "lmdb"))


@pytest.fixture(scope="module")
def cluster(store: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A prepared shop with no process running yet: a copy of the session's, or one of its own on a server."""
    home = tmp_path_factory.mktemp("home") / "data"
    if store == "lmdb":
        shutil.copytree(request.getfixturevalue("prepared"), home)
        found = Cluster(home)
    else:
        environment = _on_server(store, request.getfixturevalue(store))
        found = Cluster(prepare(home, **environment), **environment)
    yield found
    found.stop()


def _on_server(kind: str, address: str) -> dict[str, str]:
    """The environment of a store of its own on a running server."""
    name = f"shop-{uuid.uuid4().hex}"
    if kind == "valkey":
        return {"STORE": f"{address}/0?prefix={name}", **SMALL}
    url = f"dynamodb://eu-central-1/{name}?endpoint={address}&create=true&timeout_s=30"
    return {"STORE": url, **NO_CREDENTIALS, **SMALL}


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Server:
    """A running server."""
    return cluster.server()


@pytest.fixture(scope="module")
def worker(cluster: Cluster) -> Process:
    """A running worker."""
    return cluster.worker()
