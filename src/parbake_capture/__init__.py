"""Which changes are told by themselves? Triggers that fill the outbox of a database, whoever writes to it."""

from __future__ import annotations

from parbake_capture.opening import install, open_capture
from parbake_capture.tables import Captured

__all__ = ["Captured", "install", "open_capture"]
