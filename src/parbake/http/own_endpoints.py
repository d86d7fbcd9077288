"""What an application that mounts an app, such as one of FastAPI or Starlette, puts around its own endpoints.

Neither framework is imported: a middleware is plain ASGI, and so is what an exception handler returns.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from parbake.app.settings import ENDPOINT_TIMEOUT, endpoint_timeout
from parbake.http.asgi import COUNTED, Send, send_response
from parbake.http.reading import Message, Receive
from parbake.http.refusals import error_for_client
from parbake.ports.messages import problem
from parbake.process.counters import Counters
from parbake.serving.request import Patience
from parbake.values.duration import Duration

_Application = Callable[[Message, Receive, Send], Awaitable[None]]


class MeasuredRequests:
    """A middleware by which the requests of all endpoints count, those of a mounted app only once.

    Batch work gives way to requests that count, and ``parbake_request_seconds`` shows them. A read that sets no
    deadline by ``app.request`` ends after ``timeout``, so that an endpoint does not hang with its database.
    """

    def __init__(self, app: _Application, counters: Counters, timeout: Duration | None = ENDPOINT_TIMEOUT) -> None:
        """Create the middleware.

        Args:
            app: The application around which it stands; frameworks pass it.
            counters: The counters of the app whose batch work is to give way: ``app.counters``.
            timeout: How long a read of an endpoint may take; ``None`` for no limit.
        """
        self._application, self._counters = app, counters
        self._timeout_s = endpoint_timeout(timeout)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Measure a request until its answer is sent. One that is cancelled does not count."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        counted: list[bool] = []
        scope[COUNTED] = counted
        since = time.perf_counter()
        try:
            with Patience(self._timeout_s):
                await self._application(scope, receive, send)
        except Exception:
            self._add(since, counted)
            raise
        self._add(since, counted)

    def _add(self, since: float, counted: list[bool]) -> None:
        if not counted:
            self._counters.requests.add(time.perf_counter() - since)


async def answer_problem(request: Any, error: Exception) -> Any:
    """Answer with an error as a problem document; an exception handler for :class:`parbake.errors.ParbakeError`.

    Args:
        request: The request, with its ``method`` and ``url``, as Starlette and FastAPI have them.
        error: The error that an endpoint raised.

    Returns:
        An ASGI application that sends the answer, which both frameworks take as a response.
    """
    route = getattr(request.scope.get("route"), "path", "an endpoint")  # the path itself may name a person
    shown = error_for_client(error, during=f"{request.method} {route}")
    response = problem(shown)
    return lambda scope, _, send: send_response(response, scope, send)
