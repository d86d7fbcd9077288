"""Artifact stores, one file per URL scheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from parbake.errors import StoreError
from parbake.values.adapters import adapter

if TYPE_CHECKING:
    from parbake.ports.store import Store


def open_store(url: str) -> Store:
    """Open a store by URL. The scheme is the name of the module here that implements it (``rediss`` is ``redis``)."""
    plain = re.sub("^rediss:", "redis:", url)
    module = adapter(__name__, plain, setting="store", example="lmdb:///var/lib/shop", error=StoreError)
    return cast("Store", module.open_url(url))
