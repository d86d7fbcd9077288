"""I6, the single flight invariant: while a lease is valid, no two processes compute one key of its task at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec

from parbake.serving.lease import NAME, Held, lease_name
from parbake.stores.steps import item_names as names
from parbake.tasks.task_types import Artifact
from simulator.world.process_state import ProcessState
from simulator.world.sim_tasks import tasks
from simulator.world.world_state import World

_as_held = msgspec.msgpack.Decoder(Held).decode
_IS_LEASE = names.NAMED + NAME.encode()


class LeaseHolder(msgspec.Struct, frozen=True):
    """A lease's holder: the process, its app (which lives until the next crash), the end, and the host of the data."""

    process: Any
    app: Any
    until: float
    host: str


class SingleFlightInvariant:
    """Tracks which process holds which lease, and which process computes which key."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._holders: dict[bytes, LeaseHolder] = {}
        self._taken: Counter[tuple[Any, bytes]] = Counter()
        self._running: dict[tuple[str, str], list[Any]] = {}

    def stored(self, name: bytes, after: bytes | None) -> None:
        """Record that the process whose task is running has taken or released a lease."""
        if not name.startswith(_IS_LEASE):
            return
        process = getattr(asyncio.current_task(), "owner", None)
        if process is None:
            return
        if after is None:
            self._holders.pop(name, None)
            self._taken[process.app, name] -= 1
        else:
            self._holders[name] = LeaseHolder(process, process.app, _as_held(after).until, self._world.disk.host)
            self._taken[process.app, name] += 1

    def begins(self, process: ProcessState, task: str, key: str) -> str:
        """Record the begin of a computation.

        Args:
            process: The process that computes.
            task: The task's name.
            key: The key.

        Returns:
            The process that computes the same under a valid lease, or ``""``.
        """
        stored = tasks[task]
        if not isinstance(stored, Artifact) or stored.lease_s is None or process.app is None:
            return ""
        running = self._running.setdefault((task, key), [])
        running.append(process.app)
        name = _item(stored, key)
        # A process that took a lease may continue after the lease has expired or was lost in a failover, and
        # belongs to another process by now.
        may = self._taken[process.app, name] > 0 or process.app.counters.leases[task, "unleased"] > 0
        holder = self._holders.get(name)
        if holder is None or holder.process is process or may or holder.app not in running:
            return ""
        lives = holder.process.is_alive and holder.process.app is holder.app
        until = holder.until - 2 * self._world.faults.clock_error_s
        return holder.process.name if lives and self._is_valid(holder, until) else ""

    def _is_valid(self, holder: LeaseHolder, until: float) -> bool:
        return holder.host == self._world.disk.host and self._world.true_now() < until

    def ends(self, process: ProcessState, task: str, key: str) -> None:
        """Record the end of a computation.

        Args:
            process: The process that computed.
            task: The task's name.
            key: The key.
        """
        running = self._running.get((task, key), [])
        if process.app in running:
            running.remove(process.app)


def _item(task: Any, key: str) -> bytes:
    """The name of the item in the store that holds a key's lease."""
    return names.NAMED + lease_name(task.ref, b"s" + key.encode()).encode()
