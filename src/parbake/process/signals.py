"""Who caused an exit: a task that calls ``sys.exit`` has failed; a process that was told to end has not."""

from __future__ import annotations

import asyncio
import signal
import threading
import traceback
from typing import Any


def is_of_a_signal(error: BaseException) -> bool:
    """Whether a signal handler raised this, and not the code that it interrupted; call it where it was raised.

    Python runs handlers in the main thread. With Python's own handler, the origin of a ``KeyboardInterrupt`` cannot be
    determined, and it counts as the user's.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def is_ours(error: BaseException) -> bool:
    """Whether the caller of a task should end with this error; call it in the event loop's task that called it.

    A cancellation that nobody requested was raised inside the call, so the caller should not end with it.
    """
    if isinstance(error, asyncio.CancelledError):
        current = asyncio.current_task()
        return current is None or current.cancelling() > 0
    return isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit)


def _code(handler: Any) -> Any:
    """The code object of a function, a method, or either with bound arguments, like the event loop's own handler."""
    function = getattr(handler, "func", handler)
    return getattr(getattr(function, "__func__", function), "__code__", None)
