"""A place for an LMDB store, and processes that open it."""

import pytest
from tests.store_process import Child

from parbake.stores import open_store


@pytest.fixture
def place(tmp_path):
    """Return the folder of a store."""
    return tmp_path / "store"


@pytest.fixture
async def opened(place):
    """Return a function that opens the store; what is open is closed after the test."""
    stores = []

    def open_again():
        stores.append(open_store(f"lmdb://{place}?map_size=16MiB"))
        return stores[-1]

    yield open_again
    for store in stores:
        await store.close()


@pytest.fixture
def child(place):
    """Return a function that starts another process."""
    started = []

    def start(**options):
        started.append(Child(place, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
