"""BLAS on one thread, for products that are too small to share."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any


class OneThread:
    """Keeps BLAS to one thread for as long as any search runs; the last to end restores what was before."""

    def __init__(self) -> None:
        """Nothing is limited until the first search."""
        self._lock, self._searches = threading.Lock(), 0
        self._limits: Any = None

    @cached_property
    def _pools(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()

    def __enter__(self) -> None:
        with self._lock:
            if not self._searches:
                self._limits = self._pools.limit(limits=1, user_api="blas")
            self._searches += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._searches -= 1
            if not self._searches:
                self._limits.restore_original_limits()


ONE_THREAD = OneThread()
