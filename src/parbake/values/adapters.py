"""Finds adapters by URL: the scheme is the name of the adapter's module."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

from parbake.errors import ParbakeError
from parbake.values.redaction import without_credentials


def adapter(package: str, url: str, *, setting: str, example: str, error: type[ParbakeError]) -> ModuleType:
    """Return the module of a package whose name is the scheme of a URL.

    Args:
        package: The package that holds one module per scheme, such as ``parbake.stores``.
        url: The URL. The part before an ``@`` may be a password and is never shown.
        setting: The name of the setting that holds the URL, for the error.
        example: A URL that would be right, for the error.
        error: The class of error to raise for a URL without an adapter.
    """
    shown = without_credentials(url)
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
        raise error(f"{setting}={shown!r} is not a URL such as {example}", field=setting)
    name = f"{package}.{scheme}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        known = ", ".join(
            found.name
            for found in pkgutil.iter_modules(importlib.import_module(package).__path__)
            if _is_adapter(found)
        )
        raise error(f"{setting}={shown!r}: no adapter is named {scheme!r}; there are {known}", field=setting) from None


def _is_adapter(module: pkgutil.ModuleInfo) -> bool:
    return not module.ispkg and not module.name.startswith("_")
