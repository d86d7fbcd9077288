"""One request's scope: its deadline, the live values already computed in it, and the steps it took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import msgspec

from parbake.errors import DeadlineExceeded
from parbake.ports.observers import gathered
from parbake.ports.usage import Usage
from parbake.process.about import ABOUT
from parbake.protocol.acks import NO_ACKS, Acks, merged
from parbake.tasks.task_types import Task

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """One task that was served within a request; the field names give the units of time.

    ``over`` is the lane of the base that a refine has refined. ``is_without_store`` says that the store was away, so
    that ``stamp`` means nothing.
    """

    task: str
    verdict: str
    lane: str
    age_s: float
    ms: float
    stamp: int
    reason: str = ""
    over: str | None = None
    is_without_store: bool = False


@dataclass(slots=True)
class GeneratorCall:
    """One call of a generator: its name, the lane it was asked in, and its tokens as far as it has reported them."""

    model: str
    lane: str
    usage: Usage = Usage()  # noqa: RUF009 - it is frozen


class LiveCall(NamedTuple):
    """A live task and the values it is called with. Equal calls share one value within a request."""

    task: Task
    arguments: tuple[Any, ...]


class Request:
    """The state that the reads of one request share. Each live value is computed once.

    ``cpu_s`` and ``generations`` sum up the computations for this request. An app measures them if it has a ledger.
    """

    def __init__(self, deadline: float | None = None, acks: Acks = NO_ACKS) -> None:
        """``deadline`` is on the monotonic clock; ``acks`` are the acknowledgements that the caller has received."""
        self.deadline = deadline
        self.acks = acks
        self.memo: dict[LiveCall, asyncio.Future[Any]] = {}
        self.live: dict[str, Any] = {}
        self.steps: list[Step] = []
        self.cpu_s = 0.0
        self.generations: list[GeneratorCall] = []

    def again(self, *tasks: Task) -> None:
        """Drop live values, so that their next use computes them again.

        Use it if a result turned out to rest on values that are not valid any more.

        Args:
            tasks: The live tasks whose values to drop, with every live task that reads one of them; by default all.
        """
        self.memo = {memo: value for memo, value in self.memo.items() if tasks and not _reaches(memo.task, tasks)}

    async def once(self, what: LiveCall, compute: Callable[[], Awaitable[T]]) -> T:
        """Compute a value, or wait for the caller that already computes it; if that one is cut off, compute it again.

        The first caller computes in its own coroutine, since a separate asyncio task would take longer than most live
        values. A caller on another event loop does not wait, because this loop may be waiting for that caller.
        """
        while (found := self.memo.get(what)) is not None:
            if not found.done() and found.get_loop() is not asyncio.get_running_loop():
                return await compute()
            try:
                value: T = await asyncio.shield(found)
            except asyncio.CancelledError:
                if not found.cancelled() or _is_being_cancelled():
                    raise
            else:
                return value
        future = self.memo[what] = asyncio.get_running_loop().create_future()
        try:
            value = await compute()
        except Exception as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting for it any more
            raise
        except BaseException:
            del self.memo[what]
            future.cancel()
            raise
        future.set_result(value)
        return value


def _reaches(task: Task, others: Collection[Task]) -> bool:
    """Whether a task is one of some others, or reads one of them."""
    return task in others or any(_reaches(read, others) for read in task.inputs)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_current: ContextVar[Request | None] = ContextVar("parbake_request", default=None)
_payer: ContextVar[Request | None] = ContextVar("parbake_payer", default=None)
_budget: ContextVar[float | None] = ContextVar("parbake_budget", default=None)
_patience: ContextVar[float] = ContextVar("parbake_patience", default=float("inf"))


def current() -> Request | None:
    """The request that this code runs in; ``None`` outside a request."""
    return _current.get()


def payer() -> Request | None:
    """The request that pays for this code: the current one, or the one for which the computation was started."""
    return _current.get() or _payer.get()


def detached(carried: Iterable[Callable[[], Callable[[], object]]] = ()) -> Context:
    """A context without the request's deadline and values, for work that others may share; the request still pays.

    ``carried`` is what plugins take along; see :class:`parbake.ports.observers.Observers`.
    """
    context = Context()
    if (request := payer()) is not None:
        context.run(_payer.set, request)
    if (about := ABOUT.get()) is not None:
        context.run(ABOUT.set, about)
    for put in gathered(carried):
        context.run(put)
    return context


class Scope:
    """Opens a request scope: the reads in its block share live values, one deadline and the caller's acknowledgements.

    A scope within another carries on the acknowledgements of the outer one. It is a class and not a generator, for
    speed: every request opens one.
    """

    __slots__ = ("_acks", "_timeout_s", "_token")

    def __init__(self, timeout_s: float | None = None, acks: Acks = NO_ACKS) -> None:
        """Open nothing yet. The deadline is ``timeout_s`` after the block begins; there is none without it."""
        self._timeout_s, self._acks = timeout_s, acks

    def __enter__(self) -> Request:
        """Open the scope."""
        outer, acks = _current.get(), self._acks
        if outer is not None and outer.acks:
            acks = merged((outer.acks, acks))
        opened = Request(None if self._timeout_s is None else monotonic() + self._timeout_s, acks)
        self._token = _current.set(opened)
        return opened

    def __exit__(self, *_: object) -> None:
        """Close it."""
        _current.reset(self._token)

    async def __aenter__(self) -> Request:
        """Open the scope, for ``async with``."""
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        _current.reset(self._token)


class Budget:
    """Limits the time of its block to some seconds or to the request's deadline, whichever ends first.

    Raises :class:`TimeoutError` when the time is up. It is a class and not a generator, for speed: every refinement
    opens one.
    """

    __slots__ = ("_seconds", "_timeout", "_token")

    def __init__(self, seconds: float) -> None:
        """Nothing runs yet."""
        self._seconds = seconds

    async def __aenter__(self) -> None:
        """Start the timer."""
        now = monotonic()
        until, scope = now + self._seconds, _current.get()
        if scope is not None and scope.deadline is not None:
            until = min(until, scope.deadline)
        self._token = _budget.set(until)
        self._timeout = asyncio.timeout(max(0.0, until - now))
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise when the time is up."""
        try:
            await self._timeout.__aexit__(kind, error, trace)
        finally:
            _budget.reset(self._token)


class Patience:
    """Limits each read in its block to some seconds, unless it has a deadline or a budget of its own.

    A class for the same reason as :class:`Budget`: every request to an endpoint opens one.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        """Nothing runs yet; infinite seconds limit nothing."""
        self._seconds = seconds

    def __enter__(self) -> None:
        """Begin to limit."""
        self._token = _patience.set(self._seconds)

    def __exit__(self, *_: object) -> None:
        """End it."""
        _patience.reset(self._token)


def remaining_s() -> float:
    """Seconds left of the running task's budget or the request's deadline, or else what the endpoint grants a read.

    They are infinite when nothing limits it.
    """
    scope, end = _current.get(), _budget.get()
    deadline = None if scope is None else scope.deadline
    if deadline is not None and (end is None or deadline < end):
        end = deadline
    return _patience.get() if end is None else end - monotonic()


def is_bounded() -> bool:
    """Whether the running code has a time limit: a task's budget, its request's deadline, its endpoint's patience."""
    scope = _current.get()
    if scope is not None and scope.deadline is not None:
        return True
    return _budget.get() is not None or _patience.get() != float("inf")


class Deadline:
    """Raises :class:`DeadlineExceeded` that names the task when the request's deadline has passed.

    A class for the same reason as :class:`Budget`: every read within a request opens one.
    """

    __slots__ = ("_task", "_timeout")

    def __init__(self, task: str) -> None:
        """Nothing runs yet."""
        self._task = task
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> None:
        """Start the timer, if there is a deadline."""
        left = remaining_s()
        if left != float("inf"):
            self._timeout = asyncio.timeout(max(0.0, left))
            await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise when the time is up, or the body ran out of another."""
        if self._timeout is None:
            return
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise self._exceeded() from late
        if kind is not None and issubclass(kind, TimeoutError):
            raise self._exceeded() from error

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"{self._task}: the deadline of the read has passed", field=self._task)
