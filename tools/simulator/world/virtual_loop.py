"""An event loop in virtual time: it never waits, and a program with the same random numbers runs the same way."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Call:
    """A callback that is due: a simple replacement for :class:`asyncio.Handle`."""

    __slots__ = ("args", "callback", "context", "due", "is_cancelled")

    def __init__(self, due: float, callback: Any, args: tuple[Any, ...], context: Context | None) -> None:
        """Create the call; ``due`` is the virtual second at which the callback is called."""
        self.due = due
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Cancel the call."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return self.is_cancelled

    def when(self) -> float:
        """The virtual second at which the call is due."""
        return self.due


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines in virtual seconds. A function for a worker thread runs in the loop itself, a little later."""

    thread_delay_s = 0.0005
    _stopping: bool

    def __init__(self) -> None:
        """Start at second 0."""
        super().__init__()
        self.now = 0.0
        self.answer_delay: Callable[[], float] = lambda: 0.0
        self._due: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call | asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self.get_debug = bool  # type: ignore[method-assign]  # returns False; every future calls it, so it must be fast

    def time(self) -> float:
        """Virtual seconds since the loop was created."""
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Call:  # type: ignore[override]  # the base class ties the argument types to the callback
        """Call a function in the next turn.

        Args:
            callback: The function.
            args: Its arguments.
            context: The context variables to call it with.
        """
        call = Call(self.now, callback, args, context)
        self._due.append(call)
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Call:  # type: ignore[override]  # the base class ties the argument types to the callback
        """Call a function some virtual seconds from now.

        Args:
            delay: The delay, in virtual seconds.
            callback: The function.
            args: Its arguments.
            context: The context variables to call it with.
        """
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Call:  # type: ignore[override]  # the base class ties the argument types to the callback
        """Call a function at a virtual second; calls that are due at the same second keep their order.

        Args:
            when: The virtual second.
            callback: The function.
            args: Its arguments.
            context: The context variables to call it with.
        """
        call = Call(when, callback, args, context)
        heapq.heappush(self._timers, (when, next(self._numbers), call))
        return call

    def sleep(self, seconds: float) -> asyncio.Future[None]:
        """Return a future that is done some seconds later: a fast :func:`asyncio.sleep`, as most turns are sleeps."""
        done: asyncio.Future[None] = self.create_future()
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), done))
        return done

    def _run_once(self) -> None:
        """Run one turn. When no call is ready, move the time to the next timer, without waiting."""
        due, timers = self._due, self._timers
        if not due and not self._stopping:
            self._pass_time()
        while timers and timers[0][0] <= self.now:
            call = heapq.heappop(timers)[2]
            if isinstance(call, Call):
                due.append(call)
            elif not call.done():
                call.set_result(None)
        for _ in range(len(due)):
            call = due.popleft()
            if not call.is_cancelled:
                try:
                    call.context.run(call.callback, *call.args)
                except Exception as error:  # noqa: BLE001 - given to the handler, as every loop does
                    self.call_exception_handler({"message": f"in {call.callback}", "exception": error})

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and isinstance(call := timers[0][2], Call) and call.is_cancelled:
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("the simulation is stuck: nothing is scheduled, but something is awaited")
        self.now = max(self.now, timers[0][0])

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Do not close a generator.

        A dead process does not clean up, and garbage collection happens at a random time.
        """
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]  # the base class's attribute

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: this loop has no events of files or sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: no thread needs to wake this loop."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # the base class takes TypeVarTuple arguments  # noqa: ARG002
        """Run a blocking function in the loop itself; with threads, the order of events would be random.

        Args:
            executor: Ignored.
            func: The function.
            args: Its arguments.
        """
        done: asyncio.Future[T] = self.create_future()
        context = contextvars.copy_context()

        def call() -> None:
            if done.cancelled():
                return
            try:
                result = context.run(func, *args)
            except Exception as error:  # noqa: BLE001 - raised where the future is awaited
                self.call_later(self.answer_delay(), _answer, done.set_exception, done, error)
            else:
                self.call_later(self.answer_delay(), _answer, done.set_result, done, result)

        self.call_later(self.thread_delay_s, call)
        return done


def _answer(tell: Callable[[Any], None], done: asyncio.Future[Any], answer: Any) -> None:
    if not done.done():
        tell(answer)


class OwnedTask(asyncio.Task[Any]):
    """A task that has a simulated process: that of the task that created it."""

    owner: Any = None


def _owned(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> OwnedTask:
    task = OwnedTask(coro, loop=loop, **options)
    parent = asyncio.current_task(loop) if asyncio._get_running_loop() is loop else None
    task.owner = getattr(parent, "owner", None)
    if task.owner is not None:
        task.owner.tasks[task] = None
        task.add_done_callback(task.owner.forget)
    return task


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a new loop, and cancel the remaining tasks."""
    loop = VirtualLoop()
    loop.set_task_factory(_owned)  # type: ignore[arg-type]  # the protocol requires a generic task
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(main())
        finally:
            # An interruption ends the program at once.
            if not isinstance(sys.exception(), KeyboardInterrupt | SystemExit):
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
                loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def sleep(seconds: float) -> asyncio.Future[None]:
    """Wait in virtual time; works in a :class:`VirtualLoop` only."""
    return asyncio.get_running_loop().sleep(seconds)  # type: ignore[attr-defined,no-any-return]  # a VirtualLoop
