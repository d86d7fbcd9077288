"""Hearing what code reads that is not a task: whatever it serves through the app is noted for whoever listens.

A task's reads are noted by what the task is handed. Code that calls the app itself, such as the function behind a
cache, is handed nothing, so the one who listens is kept in a context variable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from parbake.fence.recording import Recording

LISTENER: ContextVar[Recording | None] = ContextVar("parbake_listener", default=None)


def listener() -> Recording | None:
    """Who wants to hear of reads here, if anybody."""
    return LISTENER.get()


@contextlib.contextmanager
def listening(recording: Recording | None) -> Iterator[None]:
    """Have reads inside noted in a recording; with ``None`` nobody hears of them."""
    token = LISTENER.set(recording)
    try:
        yield
    finally:
        LISTENER.reset(token)
