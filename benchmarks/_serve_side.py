"""One side of :mod:`serve` in a process of its own: ``parbake``, a plain ``fastapi`` route, or ``bare`` uvicorn.

Prints the port and serves until it is ended.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from typing import Any

ANSWER = 1_300
"""Bytes of the bare answer: about as many as a stored value of 50 strings has."""


def serve_parbake(bound: socket.socket) -> None:
    """Serve an app over a store of its own."""
    from _reads import tasks

    import parbake as pb
    from parbake.http import HttpApp, run_http

    with tempfile.TemporaryDirectory() as folder:
        run_http(HttpApp(pb.App(tasks, store=f"lmdb://{folder}/store")), bound)


def serve_fastapi(bound: socket.socket) -> None:
    """Read the same values from the same kind of store, in a route as FastAPI's documentation writes one."""
    import lmdb
    import msgspec
    import uvicorn
    from _reads import KEYS, titles
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Asked(BaseModel):
        key: str

    served = FastAPI()
    with tempfile.TemporaryDirectory() as folder, lmdb.open(folder) as env:
        with env.begin(write=True) as txn:
            for number in range(KEYS):
                txn.put(f"s{number}".encode(), msgspec.msgpack.encode(titles.fn(f"s{number}")))

        async def serve(task: str, asked: Asked) -> dict[str, Any]:
            with env.begin() as txn:
                value = msgspec.msgpack.decode(txn.get(asked.key.encode()))
            return {"task": task, "value": value, "verdict": "fresh", "lane": "stored"}

        serve.__annotations__["asked"] = Asked  # the class is local, so its name cannot be looked up
        served.post("/v1/serve/{task}")(serve)
        uvicorn.Server(uvicorn.Config(served, log_level="error", access_log=False)).run(sockets=[bound])


def serve_bare(bound: socket.socket) -> None:
    """Answer whatever comes with the same bytes."""
    import uvicorn

    head = [(b"content-type", b"application/json"), (b"content-length", str(ANSWER).encode())]

    async def answer(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x" * ANSWER})

    config = uvicorn.Config(
        answer, ws="none", log_level="error", access_log=False, lifespan="off", server_header=False, date_header=False
    )
    uvicorn.Server(config).run(sockets=[bound])


def main() -> None:
    """Bind, say where, and serve."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as bound:
        sys.stdout.write(f"{bound.getsockname()[1]}\n")
        sys.stdout.flush()
        {"parbake": serve_parbake, "fastapi": serve_fastapi, "bare": serve_bare}[sys.argv[1]](bound)


if __name__ == "__main__":
    main()
