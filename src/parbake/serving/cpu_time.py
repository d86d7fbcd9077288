"""The CPU seconds that the functions of a computation use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from parbake.serving import request as scope


@dataclass(slots=True)
class Spent:
    """CPU seconds so far."""

    cpu_s: float = 0.0


_spent: ContextVar[Spent | None] = ContextVar("parbake_spent", default=None)


@contextlib.contextmanager
def metering() -> Iterator[Spent]:
    """Add up the usage of the functions called within the block; inputs that are computed inside have their own sum.

    The usage is also charged to the current request, if any.
    """
    found = Spent()
    token = _spent.set(found)
    try:
        yield found
    finally:
        _spent.reset(token)
        if (request := scope.payer()) is not None:
            request.cpu_s += found.cpu_s


def is_metered() -> bool:
    """Whether a :func:`metering` block is active."""
    return _spent.get() is not None


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Add the CPU time that this thread uses within the block. It includes other coroutines that run meanwhile."""
    before = time.thread_time()
    try:
        yield
    finally:
        found = _spent.get()
        if found is not None:
            found.cpu_s += time.thread_time() - before


def metered(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, and add the CPU time of its thread to the sum of the :func:`metering` block.

    Args:
        fn: The function.
        args: Its arguments by position.
        kwargs: Its arguments by name.
    """
    with working():
        return fn(*args, **kwargs)
