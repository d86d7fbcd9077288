"""Running an ASGI application under uvicorn, on loopback unless told otherwise."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from parbake.errors import MissingDependency, PortTaken

if TYPE_CHECKING:
    from collections.abc import Callable


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything slow starts; raises :class:`PortTaken` in plain words."""
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
    """Raise :class:`MissingDependency` where the HTTP server is not installed."""
    _uvicorn()


def run(application: Callable[..., Any], bound: socket.socket) -> None:
    """Serve until interrupted."""
    uvicorn = _uvicorn()
    config = uvicorn.Config(
        application, log_level="warning", access_log=False, lifespan="on", server_header=False, date_header=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[bound])


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependency.of("serving", "http", field="uvicorn") from error
    return uvicorn
