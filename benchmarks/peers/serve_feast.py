"""Feast's own feature server over a local sqlite store: ``POST /get-online-features`` of one entity row.

Prints the port and serves until it is ended.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from _feast import frame, opened
from feast.feature_server import get_app


def main() -> None:
    """Write the rows, bind, say where, and serve."""
    rows = int(sys.argv[1])
    with opened("sqlite") as store, socket.create_server(("127.0.0.1", 0), backlog=1024) as bound:
        store.write_to_online_store("shelves", frame(rows))
        sys.stdout.write(f"{bound.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(get_app(store), log_level="error", access_log=False)).run(sockets=[bound])


if __name__ == "__main__":
    main()
