"""Remembers that the store cannot be used, so that not every request waits for it."""

from __future__ import annotations

import threading
import time

_RETRY_S = 2.0


class Breaker:
    """Lets one caller try again every two seconds while the store fails, and tells the others at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._retry_at = 0.0
        """When the next caller may try, in seconds of the monotonic clock; 0 while all is well."""

    def is_open(self) -> bool:
        """Whether the caller should do without the store."""
        if not self._retry_at:
            return False
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return True
            self._retry_at = now + _RETRY_S  # this caller tries, and meanwhile nobody else
            return False

    def failed(self) -> None:
        """Note that the store could not be used."""
        self._retry_at = time.monotonic() + _RETRY_S

    def worked(self) -> None:
        """Note that it could."""
        self._retry_at = 0.0
