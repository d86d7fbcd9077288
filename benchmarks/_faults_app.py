"""What the servers under fault serve: the version that the source holds, directly and through a chain.

``FAULTS_HOME`` is the folder, ``FAULTS_STORE`` the store's URL; with ``FAULTS_DEAF`` no change invalidates anything.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.http import HttpApp, HttpRequest, Response, json_response

HOME = Path(os.environ["FAULTS_HOME"])
CONTRACT: dict[str, Any] = {
    "freshness_sla": "1h",
    "invalidated_by": [pb.ignore("fact", "so that stale values must be found")]
    if os.environ.get("FAULTS_DEAF")
    else [pb.fence("fact")],
    "fallback_if_stale": pb.Recompute(),
    "owner": "bench",
}


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name: str) -> int:
        """One version."""
        self.entity(f"fact/{name}")
        return int(self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0])


tasks = pb.Registry()


@tasks.artifact(**CONTRACT)
def note(name: str, *, facts: pb.Source[Facts]) -> dict[str, int]:
    """What the source says."""
    return {"version": facts.version(name)}


@tasks.artifact(**CONTRACT)
async def digest(
    name: str, *, of: pb.Reader[str, dict[str, int]] = pb.Input(note)
) -> dict[str, int]:  # a marker of its role
    """What the note says."""
    return {"version": (await of.get(name)).unwrap()["version"]}


source = SqliteSource(HOME / "facts.sqlite", families=["fact"], views=[Facts])
app = pb.App(
    tasks,
    store=os.environ["FAULTS_STORE"],
    sources=[source],
    heartbeat="300ms",
    durability=pb.Durability(journal=HOME / "journal", replayable=True),
)


async def drain(_: HttpRequest) -> Response:
    """Acknowledge what was committed before."""
    ack = await app.drain()
    if ack is not None and not ack.trusted:
        raise pb.errors.NotAcknowledged("the store is being recovered")
    return json_response({})


async def state(_: HttpRequest) -> Response:
    """The store's incarnation."""
    _stamp, control = await app.engine.store.stamp()
    return json_response({"incarnation": control.incarnation})


async def get(request: HttpRequest) -> Response:
    """Read a named value."""
    found = await app.engine.store.get(request.parameters["name"])
    return json_response({"seen": (found or b"").decode()})


async def swap(request: HttpRequest) -> Response:
    """Compare and set a named value."""
    body = request.json(dict[str, str])
    expected = body["seen"].encode() or None
    done = await app.engine.store.swap(request.parameters["name"], expected, body["new"].encode())
    return json_response({"done": done})


serving = HttpApp(
    app,
    [
        ("POST", "/drain", drain),
        ("GET", "/state", state),
        ("GET", "/cas/{name}", get),
        ("POST", "/cas/{name}", swap),
    ],
)
