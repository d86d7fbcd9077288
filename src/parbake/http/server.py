"""Running an ASGI application under uvicorn, on loopback by default."""

from __future__ import annotations

import gc
import logging
import socket
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from parbake.errors import BadInput, MissingDependency, PortTaken
from parbake.http.access.callers import TOKEN, TOKEN_FILE
from parbake.http.line_limit import LineLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parbake.http.asgi import HttpApp


DRAIN_S = 25.0
"""Seconds that running requests have after the signal to end; orchestrators kill a process after thirty."""

_GC_THRESHOLDS = (10_000, 20, 20)
"""Objects of a request before the garbage collector looks at the youngest; Python's own are (700, 10, 10)."""


def listen(host: str, port: int) -> socket.socket:
    """Bind the socket before anything slow starts; raises :class:`PortTaken`."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
    except (OSError, OverflowError) as error:
        server.close()
        raise PortTaken.at(host, port, error, field="port") from error
    server.listen(1024)
    return server


def check_installed() -> None:
    """Raise :class:`MissingDependency` if the HTTP server is not installed."""
    _uvicorn()


def run(
    application: HttpApp,
    bound: socket.socket,
    *,
    also: Sequence[socket.socket] = (),
    started: Callable[[], None] | None = None,
    insecure: bool = False,
    drain_s: float = DRAIN_S,
) -> None:
    """Serve until interrupted.

    Args:
        application: The application.
        bound: The socket from :func:`listen`; the app accepts its address as a host.
        also: Further sockets to serve, such as one of this process alone.
        started: Called once the app has started and requests are answered.
        insecure: Serve other machines without an operator token, so that every client may write.
        drain_s: Seconds that running requests have after the signal to end.

    Raises:
        BadInput: Other machines can reach the socket, there is no operator token, and ``insecure`` is not set.
        ParbakeError: The app could not start, for example because its store cannot be opened.
    """
    _check_reach(application, bound, insecure=insecure)
    uvicorn = _uvicorn()
    from parbake.http.connection import Connection, Server  # imports uvicorn

    application.on_started = started
    application.warm = (*application.warm, _freeze)
    for served in (bound, *also):
        application.admission.allow(_reached_by(served))
    logging.getLogger("uvicorn.error").addFilter(LineLimit(time.monotonic))
    # A failure of the start is raised below and need not be logged as well.
    logging.getLogger("uvicorn.error").addFilter(lambda _: application.startup_failure is None)
    config = uvicorn.Config(
        application, http=Connection, ws="none", log_level="warning", access_log=False, lifespan="on",
        server_header=False, proxy_headers=False, date_header=False, timeout_graceful_shutdown=drain_s,
        log_config=None,  # its lines go to the log of the program, which hides secrets
    )  # fmt: skip
    try:
        Server(config).run(sockets=[bound, *also])
    except SystemExit:
        if application.startup_failure is not None:
            raise application.startup_failure from None
        raise


async def _freeze() -> None:
    """Exclude what was loaded from garbage collection, since it lives as long as the server, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _check_reach(application: HttpApp, bound: socket.socket, *, insecure: bool) -> None:
    address = bound.getsockname()[0]
    if not (application.callers.are_known or insecure or ip_address(address).is_loopback):
        raise BadInput(
            f"other machines can reach {address} and could write: set {TOKEN} (or {TOKEN_FILE}) to a token that "
            "operators send, or use --insecure",
            field=TOKEN,
        )


def _reached_by(bound: socket.socket) -> list[str]:
    """The address of a socket as a host name; empty if it accepts connections to any address."""
    return [] if ip_address(bound.getsockname()[0]).is_unspecified else [_host_of(bound)]


def _host_of(bound: socket.socket) -> str:
    address = bound.getsockname()[0]
    return f"[{address}]" if ":" in address else str(address)


def address_of(bound: socket.socket) -> str:
    """The URL of a socket for a browser on this machine."""
    host = "".join(_reached_by(bound)) or "localhost"
    return f"http://{host}:{bound.getsockname()[1]}"


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependency.of("serving", "http", field="uvicorn") from error
    return uvicorn
