"""Servers that the tests of a module share."""

import itertools

import pytest
from tests.servers import launch, pg

from parbake.adapters.postgresql_store import PostgresqlItems


@pytest.fixture(scope="module")
def shared_valkey(tmp_path_factory):
    """Return a running server; tests use different key prefixes."""
    with launch.valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey_server(shared_valkey):
    """Return the shared server, and restart it if the test has killed it."""
    yield shared_valkey
    if not shared_valkey.is_running:
        shared_valkey.restart()


@pytest.fixture(scope="module")
def dynamodb_endpoint():
    """Return the endpoint of a DynamoDB; tests use different tables."""
    with launch.dynamodb() as endpoint:
        yield endpoint


@pytest.fixture
def aws_environment(monkeypatch):
    """Set invalid credentials, and keep the client from looking for others."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


POSTGRESQL_SCHEMAS = (f"t{n}" for n in itertools.count(1))


@pytest.fixture(scope="module")
def shared_postgresql():
    """Return a running server; tests use different schemas."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        yield server


@pytest.fixture
def pg_server(shared_postgresql):
    """Return the shared server, and restart it if the test has killed it."""
    yield shared_postgresql
    if not shared_postgresql.is_running:
        shared_postgresql.restart()


@pytest.fixture
def pg_schema():
    """Return a schema that nothing uses yet."""
    return next(POSTGRESQL_SCHEMAS)


@pytest.fixture
async def pg_opened():
    """Return a function that opens items by URL and closes them after the test."""
    everything = []

    async def open_items(url, **options):
        items = PostgresqlItems.from_url(url + "?" + "&".join(f"{name}={value}" for name, value in options.items()))
        everything.append(items)
        await items.open()
        return items

    yield open_items
    for items in everything:
        await items.close()


@pytest.fixture
async def pg_items(pg_opened, pg_server, pg_schema):
    """Return an open driver."""
    return await pg_opened(pg_server.address, schema=pg_schema)
