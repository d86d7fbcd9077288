"""A gateway in front of a provider of models: repeated questions are answered from the shared semantic cache."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parbake_proxy.gateway import Gateway
    from parbake_proxy.proxy_plugin import Proxy

_LAZY = {"Gateway": "parbake_proxy.gateway", "Proxy": "parbake_proxy.proxy_plugin"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake_proxy' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


__all__ = ["Gateway", "Proxy"]
