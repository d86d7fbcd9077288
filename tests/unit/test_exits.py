"""Whose an exit is: the task's that asked for it, or the process's that was told to end."""

import asyncio
import functools
import signal
import sys
import threading

import pytest

from parbake.process import threads
from parbake.process.signals import is_of_a_signal


def leave(*_):
    """A handler that ends the process."""
    sys.exit(0)


class Handler:
    """A handler as asyncio installs one: a method with an argument bound."""

    def handle(self, _number, _frame, *, word):
        """Interrupt."""
        raise KeyboardInterrupt(word)


@pytest.fixture
def handled():
    """Return a function that installs a handler until the test has ended."""
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
    """A function, and a method with arguments bound; what Python's own handler raises is taken for the user's."""
    handled(signal.SIGTERM, leave)
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGTERM)))
    handled(signal.SIGINT, functools.partial(Handler().handle, word="stop"))
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGINT)))
    handled(signal.SIGINT, signal.default_int_handler)
    assert is_of_a_signal(caught(lambda: signal.raise_signal(signal.SIGINT)))


def test_what_a_task_raises_is_its_own(handled):
    """Whatever handlers there are; in a thread even a ``KeyboardInterrupt`` is."""
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
    """A signal in the middle of an ``async def`` task ends the event loop and not the task alone."""
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
    """The signal interrupts the event loop's thread, and is not the ``def`` task's doing either."""
    import parbake as pb

    tasks = pb.Registry()

    @tasks.live(why="looks at the moment")
    def plain(word: pb.Live[str]) -> str:
        return word

    monkeypatch.setattr(threads, "_pool", lambda _: signal.raise_signal(signal.SIGTERM))
    handled(signal.SIGTERM, leave)
    with pytest.raises(SystemExit):
        asyncio.run(pb.App(tasks).serve(plain, word="a"))
