"""I6: of a task with a lease, no two processes compute one key at once, as long as the lease holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.declare.tasks import Artifact
from parbake.lab.simulate.sim_tasks import tasks
from parbake.serving.lease import NAME, Held, lease_name
from parbake.stores.steps import engine

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process
    from parbake.lab.simulate.world import World

_as_held = msgspec.msgpack.Decoder(Held).decode
_IS_LEASE = engine.NAMED + NAME.encode()


class Holder(msgspec.Struct, frozen=True):
    """Who took a lease: one life of a process (its app), until when, and on which copy of the data."""

    process: Any
    app: Any
    until: float
    host: str


class FlightInvariant:
    """Who holds which lease, and who computes what."""

    def __init__(self, world: World) -> None:
        """Nobody does anything."""
        self._world = world
        self._holders: dict[bytes, Holder] = {}
        self._taken: Counter[tuple[Any, bytes]] = Counter()
        self._running: dict[tuple[str, str], list[Any]] = {}

    def stored(self, name: bytes, after: bytes | None) -> None:
        """A lease was taken or let go, by whichever process is at work."""
        if not name.startswith(_IS_LEASE):
            return
        process = getattr(asyncio.current_task(), "owner", None)
        if process is None:
            return
        if after is None:
            self._holders.pop(name, None)
            self._taken[process.app, name] -= 1
        else:
            self._holders[name] = Holder(process, process.app, _as_held(after).until, self._world.disk.host)
            self._taken[process.app, name] += 1

    def begins(self, process: Process, task: str, key: str) -> str:
        """A computation begins; returns who computes the same under a lease that holds, or nothing."""
        stored = tasks[task]
        if not isinstance(stored, Artifact) or stored.lease_s is None or process.app is None:
            return ""
        running = self._running.setdefault((task, key), [])
        running.append(process.app)
        name = _item(stored, key)
        # Who took a lease may go on when it has run out, or was lost in a failover, and belongs to another by now.
        may = self._taken[process.app, name] > 0 or process.app.counters.leases[task, "unleased"] > 0
        holder = self._holders.get(name)
        if holder is None or holder.process is process or may or holder.app not in running:
            return ""
        lives = holder.process.is_alive and holder.process.app is holder.app
        until = holder.until - 2 * self._world.faults.clock_error_s
        return holder.process.name if lives and self._holds(holder, until) else ""

    def _holds(self, holder: Holder, until: float) -> bool:
        return holder.host == self._world.disk.host and self._world.true_now() < until

    def ends(self, process: Process, task: str, key: str) -> None:
        """A computation has ended."""
        running = self._running.get((task, key), [])
        if process.app in running:
            running.remove(process.app)


def _item(task: Any, key: str) -> bytes:
    """Where the lease of a key lies in the store."""
    return engine.NAMED + lease_name(task.ref, b"s" + key.encode()).encode()
