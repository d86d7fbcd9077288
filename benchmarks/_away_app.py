"""What a server serves whose store is away: values of a database of which each takes a while.

``AWAY_HOME`` is the folder, ``AWAY_STORE`` the store's URL, and ``AWAY_DATABASE`` the port of the database.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.http import HttpApp

_own = threading.local()


class Facts(pb.View):
    """Facts of a database that is asked over the network, one connection for each thread."""

    families = ("fact",)

    def length(self, name: str) -> int:
        """Something that the database says."""
        self.entity(f"fact/{name}")
        if not hasattr(_own, "file"):
            _own.file = socket.create_connection(("127.0.0.1", int(os.environ["AWAY_DATABASE"]))).makefile("rwb")
        _own.file.write(f"{name}\n".encode())
        _own.file.flush()
        return int(_own.file.readline())


tasks = pb.Registry()


@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="bench")
def length(name: str, *, facts: pb.Source[Facts]) -> int:
    """What the database says."""
    return facts.length(name)


source = SqliteSource(Path(os.environ["AWAY_HOME"]) / "facts.sqlite", families=["fact"], views=[Facts])
app = pb.App(tasks, store=os.environ["AWAY_STORE"], sources=[source])
serving = HttpApp(app)
