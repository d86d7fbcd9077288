"""Artifact stores, one file per URL scheme."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, cast

from parbake.errors import StoreError

if TYPE_CHECKING:
    from parbake.ports import Store


_ALIASES = {"rediss": "redis"}


def open_store(url: str) -> Store:
    """Open a store by URL; the scheme is the name of the module here that answers for it."""
    shown = re.sub("//.*@", "//***@", url)  # what stands before it may be a password
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
        raise StoreError(f"store={shown!r} is not a URL such as lmdb:///var/lib/shop", field="store")
    scheme = _ALIASES.get(scheme, scheme)
    try:
        module = importlib.import_module(f"parbake.stores.{scheme}")
    except ModuleNotFoundError as error:
        if error.name != f"parbake.stores.{scheme}":
            raise
        raise StoreError(f"store={shown!r}: no store adapter is named {scheme!r}", field="store") from None
    return cast("Store", module.open_url(url))
