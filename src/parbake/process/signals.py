"""Whose an exit is: a task that calls ``sys.exit`` has failed, a process that was told to end has not."""

from __future__ import annotations

import asyncio
import signal
import threading
import traceback
from typing import Any


def is_of_a_signal(error: BaseException) -> bool:
    """Whether a handler of a signal raised this, and not the code that it interrupted; asked where it was raised.

    Python runs handlers in the main thread. Of a ``KeyboardInterrupt`` under Python's own handler nobody can tell, and
    it is taken for the user's.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def is_ours(error: BaseException) -> bool:
    """Whether whoever called a task is to end with this, asked in the event loop's task that called it.

    A cancellation that nobody asked for is not: something in the call raised it.
    """
    if isinstance(error, asyncio.CancelledError):
        current = asyncio.current_task()
        return current is None or current.cancelling() > 0
    return isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit)


def _code(handler: Any) -> Any:
    """The code of a function, a method, or either with arguments bound, as the event loop's own handler is."""
    function = getattr(handler, "func", handler)
    return getattr(getattr(function, "__func__", function), "__code__", None)
