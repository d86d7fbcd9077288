"""What a process holds open when it is forked: a child opens its own, and leaves inherited resources alone.

A child is a copy of one thread. The other threads are missing, a lock that one of them held is never released, and
files, sockets and the kernel's event queues are shared with the parent. Closing an inherited resource could send a last
message over the parent's socket or free the parent's slot in a file. A child therefore drops inherited resources
without closing them, and prevents them from being closed when it ends.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # its hook locks every pool, so our hook has to run before it
import ctypes
import logging
import os
import threading
from collections.abc import Callable
from weakref import WeakSet

_log = logging.getLogger("parbake.forks")


class Forkable:
    """Something that is open in one process. Subclasses define what a fork does to it, and call :func:`watch`."""

    is_waited_for = False
    """Whether :meth:`before_fork` waits for computations to end, which need all other objects in the meantime."""

    def before_fork(self) -> None:
        """Prepare for a fork; called in the parent, in the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Resume after a fork; called in the parent, in the same thread."""

    def after_fork_in_child(self) -> None:
        """Drop what was inherited, and open nothing before it is needed; called in the child, in its only thread."""


_watched: WeakSet[Forkable] = WeakSet()
_resets: list[Callable[[], None]] = []
_forking = threading.Lock()
_prepared: list[Forkable] = []
"""Objects that the current fork was announced to; others may have been created since."""


def watch(thing: Forkable) -> None:
    """Notify an object of every fork, as long as it exists."""
    with _forking:
        _watched.add(thing)


def unwatch(thing: Forkable) -> None:
    """Stop notifying an object, because it is closed."""
    with _forking:
        _watched.discard(thing)


def in_child(reset: Callable[[], None]) -> Callable[[], None]:
    """Call a function in every child, for module state. Can be used as a decorator."""
    _resets.append(reset)
    return reset


def abandon(*inherited: object) -> None:
    """Prevent objects from ever being closed in this process, even at its end."""
    for thing in inherited:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _before() -> None:
    _forking.acquire()
    for thing in sorted(_watched, key=lambda thing: not thing.is_waited_for):
        try:
            thing.before_fork()
        except Exception:  # noqa: BLE001 - the others have to be prepared all the same
            _log.exception("%s could not be prepared for a fork", type(thing).__name__)
        else:
            _prepared.append(thing)


def _in_parent() -> None:
    while _prepared:
        _prepared.pop().after_fork_in_parent()
    _forking.release()


def _in_child() -> None:
    global _forking  # noqa: PLW0603  # the parent's thread holds the lock
    _forking = threading.Lock()
    _prepared.clear()
    for reset in _resets:
        reset()
    for thing in list(_watched):
        thing.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # hooks registered last are called first before a fork
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
