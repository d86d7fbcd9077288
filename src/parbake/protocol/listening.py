"""Records reads through the app itself, for the task or the cached answer that is being computed.

The objects passed to a task record their own reads. Code that calls the app or a cache directly gets no such object, so
the recording is in a context variable.
"""

from __future__ import annotations

from contextvars import ContextVar

from parbake.protocol.recording import Recording

LISTENER: ContextVar[Recording | None] = ContextVar("parbake_listener", default=None)


def listener() -> Recording | None:
    """The recording that reads should be added to, if any."""
    return LISTENER.get()


class listening:  # noqa: N801 - it is used like a function, and every computation opens one: a generator takes longer
    """Add reads inside the context to a recording; with ``None`` they are not recorded."""

    __slots__ = ("_recording", "_token")

    def __init__(self, recording: Recording | None) -> None:
        self._recording = recording

    def __enter__(self) -> None:
        self._token = LISTENER.set(self._recording)

    def __exit__(self, *_error: object) -> None:
        LISTENER.reset(self._token)
