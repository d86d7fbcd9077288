"""Recording what is read by calling the app, for the task or the cached answer that is being computed.

The objects passed to a task record their own reads. Code that calls the app or a cache directly gets no such object, so
the recording is in a context variable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from parbake.fence.recording import Recording

LISTENER: ContextVar[Recording | None] = ContextVar("parbake_listener", default=None)


def listener() -> Recording | None:
    """The recording that reads should be added to, if any."""
    return LISTENER.get()


@contextlib.contextmanager
def listening(recording: Recording | None) -> Iterator[None]:
    """Add reads inside the context to a recording; with ``None`` they are not recorded."""
    token = LISTENER.set(recording)
    try:
        yield
    finally:
        LISTENER.reset(token)
