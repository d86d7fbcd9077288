"""Whether an exit was raised by a task, or by a signal handler that ends the process."""

import asyncio
import functools
import signal
import sys
import threading

import pytest

from parbake.process import threads
from parbake.process.signals import is_of_a_signal


def leave(*_):
    """Exit, as a signal handler."""
    sys.exit(0)


class Handler:
    """A signal handler as asyncio installs it: a method with a bound argument."""

    def handle(self, _number, _frame, *, word):
        """Raise ``KeyboardInterrupt``."""
        raise KeyboardInterrupt(word)


@pytest.fixture
def handled():
    """Return a function that installs a signal handler until the test ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


def caught(raising):
    """Return the exit that a function raises."""
    try:
        raising()
    except (SystemExit, KeyboardInterrupt) as error:
        return error
    raise AssertionError("nothing was raised")


def test_what_a_handler_raises_is_the_process_s(handled):
    """An exit from a handler, a function, a bound method or Python's own, is attributed to the signal."""
    handled(signal.SIGTERM, leave)
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGTERM)))
    handled(signal.SIGINT, functools.partial(Handler().handle, word="stop"))
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGINT)))
    handled(signal.SIGINT, signal.default_int_handler)
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGINT)))


def test_what_a_task_raises_is_its_own(handled):
    """An exit outside of a handler is not attributed to a signal, nor is a ``KeyboardInterrupt`` in a thread."""
    handled(signal.SIGTERM, leave)
    assert not is_of_a_signal(caught(sys.exit))
    handled(signal.SIGINT, signal.SIG_IGN)
    assert not is_of_a_signal(KeyboardInterrupt())
    handled(signal.SIGINT, signal.default_int_handler)
    found = []
    thread = threading.Thread(target=lambda: found.append(is_of_a_signal(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert found == [False]


def test_a_process_that_is_told_to_end_does_not_go_on(handled):
    """A signal during an ``async def`` task ends the event loop, not only the task."""
    import parbake as pb

    tasks = pb.Registry()

    @tasks.live(why="looks at the moment")
    async def busy(word: pb.Live[str]) -> str:
        signal.raise_signal(signal.SIGTERM)
        return word

    handled(signal.SIGTERM, leave)
    with pytest.raises(SystemExit):
        asyncio.run(pb.App(tasks).serve(busy, word="a"))


def test_a_process_that_is_told_to_end_while_it_hands_over_to_a_thread_ends(handled, monkeypatch):
    """A signal while a ``def`` task is passed to a thread ends the event loop."""
    import parbake as pb

    tasks = pb.Registry()

    @tasks.live(why="looks at the moment")
    def plain(word: pb.Live[str]) -> str:
        return word

    monkeypatch.setattr(threads, "_pool", lambda _: signal.raise_signal(signal.SIGTERM))
    handled(signal.SIGTERM, leave)
    with pytest.raises(SystemExit):
        asyncio.run(pb.App(tasks).serve(plain, word="a"))
