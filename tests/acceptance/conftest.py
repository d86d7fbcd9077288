"""A session prepares one shop for each kind of store, and each test module gets a copy of it with its store.

A module runs on every store that it is parametrised with (``ON_EVERY_STORE`` and ``ON_TWO_STORES`` of ``cluster``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster, Process, Server  # needs the path above
from tests.servers import launch
from tests.waiting import HANGS_S

SIZES = {"RETAIL_PRODUCTS": "400", "RETAIL_SHOPPERS": "800"}
SMALL = {"RETAIL_PRODUCTS": "60", "RETAIL_SHOPPERS": "40"}
"""A shop for servers, one of which answers one request at a time."""
NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def prepare(home: Path, **environment: str) -> Path:
    """Generate a shop if there is none, and materialize every artifact with the product's command."""
    done = subprocess.run(
        [sys.executable, "-m", "retail_assistant", "prepare"],
        env={**os.environ, **SIZES, "RETAIL_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=3 * HANGS_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home


class Prepared(NamedTuple):
    """A shop with every artifact materialized, and a function that copies its store and returns the environment."""

    home: Path
    copy_store: Callable[[], dict[str, str]]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a generated shop with every artifact materialized, in the embedded store."""
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def on_lmdb(prepared: Path) -> Prepared:
    """Return a prepared shop with the embedded store, which is copied with the shop's folder."""
    return Prepared(prepared, dict)


@pytest.fixture(scope="session")
def on_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Yield a prepared shop whose store is on a durable server."""
    with launch.valkey(tmp_path_factory.mktemp("valkey")) as server:

        def at(name: str) -> dict[str, str]:
            return {"STORE": f"{server.url}/0?prefix={name}", **SMALL}

        def copied() -> dict[str, str]:
            name = _new_name()
            with redis.Redis.from_url(server.url) as client:
                for key in client.keys(f"{{{first}}}*"):
                    assert client.copy(key, key.replace(first.encode(), name.encode(), 1))
            return at(name)

        first = _new_name()
        yield Prepared(prepare(tmp_path_factory.mktemp("prepared"), **at(first)), copied)


@pytest.fixture(scope="session")
def on_dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Yield a prepared shop whose store is on a server with DynamoDB's protocol."""
    with launch.dynamodb() as endpoint:

        def at(name: str) -> dict[str, str]:
            url = f"dynamodb://eu-central-1/{name}?endpoint={endpoint}&create=true&timeout_s=30"
            return {"STORE": url, **NO_CREDENTIALS, **SMALL}

        def copied() -> dict[str, str]:
            name = _new_name()
            _copy_table(endpoint, first, name)
            return at(name)

        first = _new_name()
        yield Prepared(prepare(tmp_path_factory.mktemp("prepared"), **at(first)), copied)


def _new_name() -> str:
    return f"shop-{uuid.uuid4().hex}"


def _copy_table(endpoint: str, first: str, second: str) -> None:
    """Create a table with the same keys, and copy every item to it."""
    tables = boto3.resource(
        "dynamodb",
        region_name="eu-central-1",
        endpoint_url=endpoint,
        aws_access_key_id=NO_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=NO_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    source = tables.Table(first)
    made = tables.create_table(
        TableName=second,
        KeySchema=source.key_schema,
        AttributeDefinitions=source.attribute_definitions,
        BillingMode="PAY_PER_REQUEST",
    )
    made.wait_until_exists()
    with made.batch_writer() as writer:
        page = source.scan(ConsistentRead=True)
        while True:
            for item in page["Items"]:
                writer.put_item(Item=item)
            if "LastEvaluatedKey" not in page:
                return
            page = source.scan(ConsistentRead=True, ExclusiveStartKey=page["LastEvaluatedKey"])


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> str:
    """Return the kind of store that a module's tests run on."""
    return str(getattr(request, "param", "lmdb"))


@pytest.fixture(scope="module")
def cluster(store: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a copy of a prepared shop without a running process."""
    home = tmp_path_factory.mktemp("home") / "data"
    prepared: Prepared = request.getfixturevalue(f"on_{store}")
    shutil.copytree(prepared.home, home)
    found = Cluster(home, **prepared.copy_store())
    yield found
    found.stop()


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Server:
    """Return a running server."""
    return cluster.server()


@pytest.fixture(scope="module")
def worker(cluster: Cluster) -> Process:
    """Return a running worker."""
    return cluster.worker()
