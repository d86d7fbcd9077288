"""Where do values live? The stores in this process, the steps that all stores share, and how a store is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parbake.errors import StoreError
from parbake.values.schemes import Schemes

if TYPE_CHECKING:
    from parbake.ports.store import Store

STORES = Schemes(
    "parbake.stores",
    {
        "memory": "parbake.stores.memory",
        "lmdb": "parbake.stores.lmdb",
        "redis": "parbake.adapters.redis",
        "rediss": "parbake.adapters.redis",
        "unix": "parbake.adapters.redis",
        "valkey": "parbake.adapters.redis",
        "valkeys": "parbake.adapters.redis",
        "dynamodb": "parbake.adapters.dynamodb",
        "postgresql": "parbake.adapters.postgresql_store",
        "postgres": "parbake.adapters.postgresql_store",
    },
    setting="store",
    example="lmdb:///var/lib/shop",
    error=StoreError,
)


def open_store(url: str) -> Store:
    """Open a store by URL. Other packages add schemes by entry points of the group ``parbake.stores``."""
    found: Store = STORES.open(url)
    return found
