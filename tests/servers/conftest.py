"""Servers that the tests of a module share."""

import pytest
from tests.servers import launch


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
