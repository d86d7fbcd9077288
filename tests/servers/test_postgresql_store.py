"""The PostgreSQL store on local servers: the public suites, copies of the data, and faults of a server."""

import asyncio
import itertools

import pytest
from tests.servers import pg

from parbake.adapters.postgresql_store import PostgresqlItems, open_url
from parbake.stores import open_store
from parbake.testing.item_suite import ItemsSuite
from parbake.testing.store_suite import StoreSuite

schemas = (f"t{n}" for n in itertools.count(1))


@pytest.fixture(scope="module")
def shared_server():
    """Return a running server; tests use different schemas."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        yield server


@pytest.fixture
def server(shared_server):
    """Return the shared server, and restart it if the test has killed it."""
    yield shared_server
    if not shared_server.is_running:
        shared_server.restart()


class TestPostgresql(ItemsSuite):
    """The driver."""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server, self.schema = server, next(schemas)

    async def open_items(self, tmp_path):
        """Open another client."""
        items = PostgresqlItems.from_url(f"{self.server.address}?schema={self.schema}")
        await items.open()
        return items

    async def cut_off(self, items):
        """Kill the server."""
        self.server.kill()


class TestStoreOnPostgresql(StoreSuite):
    """``postgresql://``."""

    @pytest.fixture(autouse=True)
    def _url(self, server):
        self.url = f"{server.address}?schema={next(schemas)}"

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(self.url)
