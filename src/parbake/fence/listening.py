"""Hearing what is read by calling the app: it is noted in the recording of the task or the cached answer being made.

What a task is handed notes its own reads. Code that calls the app or a cache itself is handed nothing, so the recording
is kept in a context variable.
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
