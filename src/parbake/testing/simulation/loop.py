"""An event loop in virtual time: nothing waits, and the same program with the same random numbers runs the same way."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines in virtual seconds. What is sent to a worker thread runs here, a little later."""

    thread_delay_s = 0.0005
    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self) -> None:
        """Start at second 0."""
        super().__init__()
        self.now = 0.0
        self.answer_delay: Callable[[], float] = lambda: 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:  # type: ignore[override]  # the base ties the arguments to the callback
        """Call at a virtual second; what is due at the same one is called in the order it was asked for."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def _run_once(self) -> None:
        """One turn: where nothing is ready, time passes to the next timer; nothing ever waits."""
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise RuntimeError("the simulation stands still: nothing is scheduled and something is awaited")
            self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            due = heapq.heappop(timers)[2]
            if not due.cancelled():
                ready.append(due)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # what the base class's own turn does

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No thread ever needs to wake this loop."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # the base takes TypeVarTuple arguments  # noqa: ARG002
        """Run a blocking function in the loop itself: threads would make the order of things a matter of chance."""
        done: asyncio.Future[T] = self.create_future()
        context = contextvars.copy_context()

        def call() -> None:
            if done.cancelled():
                return
            try:
                result = context.run(func, *args)
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits it
                self.call_later(self.answer_delay(), _answer, done.set_exception, done, error)
            else:
                self.call_later(self.answer_delay(), _answer, done.set_result, done, result)

        self.call_later(self.thread_delay_s, call)
        return done


def _answer(tell: Callable[[Any], None], done: asyncio.Future[Any], answer: Any) -> None:
    if not done.done():
        tell(answer)


class OwnedTask(asyncio.Task[Any]):
    """A task that knows which simulated process it belongs to: the one whose task created it."""

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
    """Run a coroutine to its end in a loop of its own; what it leaves behind is cancelled."""
    loop = VirtualLoop()
    loop.set_task_factory(_owned)  # type: ignore[arg-type]  # the protocol wants a generic task
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
