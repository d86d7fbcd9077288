"""A later version of the simulated program: one task's value has other names for its fields, and all have defaults.

Bytes of the one version can be read as the other's type, and say nothing then. No other task reads this one, so that
both versions share everything else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from parbake.declare.contract import Recompute, fence
from parbake.declare.registry import Registry
from parbake.declare.roles import Resource, Source
from parbake.declare.served import Served
from parbake.lab.simulate import sim_tasks as first
from parbake.lab.simulate.sim_sources import Memos
from parbake.lab.simulate.sim_tasks import Pace, SimValue, read_memos, tasks

SHARE = 0.3
"""The share of histories in which processes run either version."""
_own = Registry()


class Told(msgspec.Struct, frozen=True):
    """What :class:`parbake.lab.simulate.sim_tasks.SimValue` says, by another name."""

    seen: dict[str, int] = {}


@_own.artifact(freshness_sla="1h", invalidated_by=[fence("memo/{key}")], fallback_if_stale=Recompute(), owner="sim")
async def memo(key: str, *, shelf: Source[Memos], pace: Resource[Pace]) -> Told:
    """The same entities as in the first version."""
    return Told(await read_memos(key, shelf, pace))


def _without(registry: Registry, name: str) -> Registry:
    rest = Registry()
    for task in registry:
        if task.name != name:
            rest._add(task)
    return rest


later_tasks = _without(tasks, memo.name).merge(_own)


def made_by(served: Served[Any]) -> SimValue:
    """The provenance in what was served, by either version."""
    if isinstance(served.value, Told):
        return SimValue(served.value.seen)
    return first.made_by(served)
