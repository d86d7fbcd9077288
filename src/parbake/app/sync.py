"""An app for synchronous code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeAlias, TypeVar, overload

from parbake.errors import BadInput
from parbake.ports.event_log import Ack
from parbake.process.portal import Portal
from parbake.protocol.acks import NO_ACKS, Acks, merged
from parbake.serving import request as scope
from parbake.tasks.served import Served
from parbake.tasks.task_types import Artifact, LiveTask, Refine
from parbake.values.duration import Duration, seconds

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
T = TypeVar("T")
After: TypeAlias = Ack | str | Iterable[Ack | str] | None
"""Acknowledgements of a caller, or their tickets; ``None`` from a drain that had nothing to apply."""


class SyncApp:
    """An app for synchronous code, on one event loop in a thread of its own.

    Use :meth:`run` for everything that is awaited: ``app.sync.run(app.ops.rollback(task))``.
    """

    def __init__(
        self,
        serve: Callable[..., Coroutine[Any, Any, Served[Any]]],
        carry: Callable[[scope.Request, Sequence[str]], Coroutine[Any, Any, None]],
        close: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """Create the app's synchronous side; the thread starts at the first call.

        Args:
            serve: Serves a task.
            carry: Verifies tickets and adds their acknowledgements to a request.
            close: Closes the app.
        """
        self._serve, self._carry, self._close = serve, carry, close
        self._portal = Portal()

    @overload
    def serve(self, task: Artifact[K, V], key: K, /) -> Served[V]: ...
    @overload
    def serve(self, task: Refine[K, P, V], key: K, /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    @overload
    def serve(self, task: LiveTask[P, V], /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    def serve(self, task: Any, /, *args: Any, **kwargs: Any) -> Served[Any]:
        """Serve a task; see :meth:`parbake.App.serve`.

        Args:
            task: An artifact, a refine or a live task.
            args: The key of an artifact or a refine, and live values by position.
            kwargs: Live values by name.
        """
        return self._portal.call(self._serve(task, *args, **kwargs))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the app on its event loop, within the caller's context variables.

        Args:
            work: The coroutine to run, such as ``app.touch("policy")``.

        Returns:
            The result of the coroutine; its errors are raised here.
        """
        return self._portal.call(work)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Iterate over an asynchronous iterator of the app, such as ``app.stored(task)``."""
        while True:
            try:
                item = self._portal.call(_next(items))
            except StopAsyncIteration:
                return
            yield item

    @contextmanager
    def request(self, timeout: Duration | None = None, *, after: After = ()) -> Iterator[scope.Request]:
        """Open a request scope that this thread's calls inside share; see :meth:`parbake.App.request`."""
        timeout_s, acks, texts = scope_of(timeout, after)
        with scope.Scope(timeout_s, acks) as request:
            if texts:
                self._portal.call(self._carry(request, texts))
            yield request

    def close(self) -> None:
        """Close the app and stop the event loop; further calls do nothing."""
        if not self._portal.is_closed:
            self._portal.call(self._close())
            self._portal.close()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def scope_of(timeout: Duration | None, after: After) -> tuple[float | None, Acks, list[str]]:
    """The arguments of a request's scope: its seconds, its acknowledgements, and the tickets to verify.

    Raises :class:`BadInput` naming ``after`` for anything else.
    """
    if after is None or after == ():
        return None if timeout is None else seconds(timeout, field="timeout"), NO_ACKS, []
    told: list[Any] = [after]
    if isinstance(after, Iterable) and not isinstance(after, str):
        told = list(after)
    if not all(isinstance(one, Ack | str) for one in told):
        raise BadInput(f"after={after!r} is not an acknowledgement, a ticket or a list of them", field="after")
    acks = merged(one.tags for one in told if isinstance(one, Ack))
    texts = [one for one in told if isinstance(one, str) and one]
    return None if timeout is None else seconds(timeout, field="timeout"), acks, texts
