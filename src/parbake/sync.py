"""An app for synchronous code."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, overload

from parbake.declare.served import Served
from parbake.declare.tasks import Artifact, LiveTask, Refine, Stored
from parbake.errors import BadInput
from parbake.fence.acks import NO_ACKS, Acks, merged
from parbake.lanes.batch.lane import Run
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.event_log import Ack
from parbake.process.portal import Portal
from parbake.serving import request as scope
from parbake.values.duration import Duration, seconds

if TYPE_CHECKING:
    from parbake.app import App

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
T = TypeVar("T")
After: TypeAlias = Ack | str | Iterable[Ack | str] | None
"""Acknowledgements that a caller holds, or their tickets; a drain that had nothing to apply gave none."""


class SyncApp:
    """The synchronous face of an app."""

    def __init__(self, app: App) -> None:
        """Start nothing before the first call."""
        self._app = app
        self._portal = Portal()

    @overload
    def serve(self, task: Artifact[K, V], key: K, /) -> Served[V]: ...
    @overload
    def serve(self, task: Refine[K, P, V], key: K, /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    @overload
    def serve(self, task: LiveTask[P, V], /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    def serve(self, task: Any, /, *args: Any, **kwargs: Any) -> Served[Any]:
        """See :meth:`App.serve`."""
        return self._portal.call(self._app.serve(task, *args, **kwargs))

    def publish(self, *events: CloudEvent) -> Ack:
        """See :meth:`App.publish`."""
        return self._portal.call(self._app.publish(*events))

    def touch(self, *tags: str) -> Ack:
        """See :meth:`App.touch`."""
        return self._portal.call(self._app.touch(*tags))

    def drain(self) -> Ack | None:
        """See :meth:`App.drain`."""
        return self._portal.call(self._app.drain())

    def request(self, timeout: Duration | None = None, *, after: After = ()) -> AbstractContextManager[scope.Request]:
        """See :meth:`App.request`; what is served inside, by this thread, shares the scope."""
        timeout_s, acks, texts = scope_of(timeout, after)
        opened = scope.opened(timeout_s, acks)
        return self._carried_in(opened, texts) if texts else opened

    @contextmanager
    def _carried_in(
        self, opened: AbstractContextManager[scope.Request], texts: Sequence[str]
    ) -> Iterator[scope.Request]:
        with opened as request:
            self._portal.call(self._app.engine.tickets.carry(request, texts))
            yield request

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the app on its event loop, within the caller's context variables."""
        return self._portal.call(work)

    def materialize(self, task: Stored, *, keys: Sequence[Any] | None = None, anew: bool = False) -> Run:
        """See :meth:`App.materialize`."""
        return self._portal.call(self._app.materialize(task, keys=keys, anew=anew))

    def close(self) -> None:
        """Close the app and stop the portal; once is enough."""
        if not self._portal.is_closed:
            self._portal.call(self._app.close())
            self._portal.close()


def scope_of(timeout: Duration | None, after: After) -> tuple[float | None, Acks, list[str]]:
    """What a request's scope is opened with: its seconds, what the acknowledgements tell, and tickets to be verified.

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
