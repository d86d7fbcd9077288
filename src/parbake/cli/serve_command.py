"""``parbake serve``: an app over HTTP, in one process or in several on one socket."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from parbake.cli.support import ending
from parbake.cli.support.load_app import AppName, load
from parbake.errors import ServerFailed
from parbake.http.processes import ServerProcesses, server_command
from parbake.http.server import DRAIN_S, address_of, check_installed, listen, run

EPILOG = "Example: parbake serve shop:app --port 8000 --processes 4 --allow-host shop.example"
_LAST_PORT = 65_535
_MOST_REQUESTS = 2_000
"""Requests of one connection to one of several processes. A client that kept it would never reach another one."""


def serve(
    app: AppName,
    *,
    host: Annotated[str, typer.Option(help="address to bind")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="a name that clients reach the server by, besides the address bound and loopback's; repeat"),
    ] = None,
    require_key: Annotated[
        bool, typer.Option("--require-key", help="values, complaints and metrics need a key, too: parbake keys add")
    ] = False,
    drain: Annotated[
        float, typer.Option(min=0, help="seconds that running requests have after the signal to end")
    ] = DRAIN_S,
    processes: Annotated[int, typer.Option(min=1, max=256, help="server processes that accept from one socket")] = 1,
    own_ports: Annotated[
        int,
        typer.Option(
            min=0,
            max=_LAST_PORT,
            help="process N is also at this port of 127.0.0.1 plus N, and their keeper behind them",
        ),
    ] = 0,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="serve other machines although no operator token is set")
    ] = False,
    parent: Annotated[int, typer.Option(help="end when this process, which started the server, has ended")] = 0,
    inherited: Annotated[list[int] | None, typer.Option("--socket", hidden=True)] = None,
    tells: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Serve an app over HTTP until told to end; PARBAKE_TOKEN is the token that operators send."""
    check_installed()
    ending.end_with(parent)
    if processes > 1 or own_ports:
        own = [listen("127.0.0.1", own_ports + number) for number in range(processes + 1 if own_ports else 0)]
        _serve_many(app, listen(host, port), own, count=processes, drain_s=drain)
        return
    with ending.handling_signals():
        bound, *also = [socket.socket(fileno=number) for number in inherited or []] or [listen(host, port)]
        application = load(app)
        application.admission.allow(allow_host or [])
        if require_key:
            application.callers.require_keys()
        if inherited:
            application.most_requests = _MOST_REQUESTS
        address = address_of(bound)

        def announce() -> None:
            if tells:
                with contextlib.suppress(BrokenPipeError):  # whoever started this one has ended, or did not wait
                    os.write(tells, b"\n")
            else:
                typer.echo(f"serving {app} at {address}", err=True)

        run(application, bound, also=also, started=announce, insecure=insecure, drain_s=drain)


def _serve_many(app: str, shared: socket.socket, own: Sequence[socket.socket], *, count: int, drain_s: float) -> None:
    """Start this command again for each process, with its sockets; the last one of its own is this process's."""

    def announce() -> None:
        typer.echo(f"serving {app} at {address_of(shared)} with {count} processes", err=True)

    try:
        command = server_command(sys.argv[1:])
        health = own[count] if own else None
        ServerProcesses(command, shared, own[:count], count=count, drain_s=drain_s, health=health).run(announce)
    except ServerFailed:
        raise typer.Exit(1) from None  # the process has said why
