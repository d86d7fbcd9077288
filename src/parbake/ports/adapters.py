"""Adapters by URL: the scheme is the name of the module that answers for it."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from parbake.errors import ParbakeError
from parbake.values.redaction import without_credentials


def adapter(package: str, url: str, *, setting: str, example: str, error: type[ParbakeError]) -> ModuleType:
    """The module of a package that is named like a URL's scheme.

    Raises ``error`` naming ``setting``, without what stands before an ``@``: it may be a password.
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
        raise error(f"{setting}={shown!r}: no adapter is named {scheme!r}", field=setting) from None
