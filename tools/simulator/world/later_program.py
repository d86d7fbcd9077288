"""A later version of the simulated program: one task's value has renamed fields, and all of them have defaults.

Bytes of one version can be decoded as the other version's type, and then contain no provenance. No other task reads
this one, so both versions share everything else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from parbake.tasks.contract import Recompute, fence
from parbake.tasks.registry import Registry
from parbake.tasks.roles import Resource, Source
from parbake.tasks.served import Served
from simulator.world import sim_tasks as first
from simulator.world.sim_tasks import Pace, SimValue, read_memos, tasks
from simulator.world.sim_views import Memos

_own = Registry()


class Told(msgspec.Struct, frozen=True):
    """The provenance of :class:`simulator.world.sim_tasks.SimValue`, in a renamed field."""

    seen: dict[str, int] = {}


@_own.artifact(freshness_sla="1h", invalidated_by=[fence("memo/{key}")], fallback_if_stale=Recompute(), owner="sim")
async def memo(key: str, *, shelf: Source[Memos], pace: Resource[Pace]) -> Told:
    """Read the same entities as in the first version.

    Args:
        key: The key.
        shelf: The view of the entities.
        pace: Spends time between two reads.
    """
    return Told(await read_memos(key, shelf, pace))


def _without(registry: Registry, name: str) -> Registry:
    rest = Registry()
    for task in registry:
        if task.name != name:
            rest._add(task)
    return rest


later_tasks = _without(tasks, memo.name).merge(_own)


def made_by(served: Served[Any]) -> SimValue:
    """The provenance in a served value, written by either version."""
    if isinstance(served.value, Told):
        return SimValue(served.value.seen)
    return first.made_by(served)
