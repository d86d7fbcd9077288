"""Invariants of the store, checked at every commit: no older value replaces a newer one, and pointers move together.

The rule that decides whether a record is valid is taken from the product when this module is loaded. A mutant that
replaces the rule later is therefore judged by the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from parbake.protocol.cause import FOR_GOOD
from parbake.protocol.check import killed_by, newness
from parbake.protocol.control import Control
from parbake.protocol.record import decode
from parbake.stores.steps import item_names as names
from parbake.stores.steps.lookups import tags_of
from simulator.world.disk import is_as_written
from simulator.world.sim_tasks import ranked, weights
from simulator.world.world_state import World

_killed_by = killed_by
_newness = newness
as_control = msgspec.msgpack.Decoder(Control).decode
_as_any = msgspec.msgpack.Decoder(dict[str, Any]).decode


def broken_by(
    world: World, taken_back: Iterable[Control], name: bytes, before: bytes | None, after: bytes | None
) -> Iterator[tuple[str, str]]:
    """Find the invariants that one changed item breaks.

    Args:
        world: The state of the history.
        taken_back: The control records that a rollback has undone since the item was last put.
        name: The item's name.
        before: Its value before the commit; ``None`` if it was absent.
        after: Its value after the commit; ``None`` if it was deleted.

    Returns:
        The name of each broken invariant, and what happened.
    """
    if before is None or after is None:
        return
    if name[:1] == names.OVERLAY:
        yield from _regress(world, taken_back, name, before, after)
    elif name == names.CONTROL:
        yield from _pointers(world, as_control(before), as_control(after))


def _regress(
    world: World, taken_back: Iterable[Control], name: bytes, before: bytes, after: bytes
) -> Iterator[tuple[str, str]]:
    if not (is_as_written(before) and is_as_written(after)):
        return
    old, new = decode(before), decode(after)
    if _newness(old) <= _newness(new):
        return
    raw = world.disk.get(names.CONTROL)
    if raw is None:  # a failover has lost all data: no record was valid
        return
    control = as_control(raw)
    marks = {t: m for t in tags_of([old]) if (m := world.disk.get(names.mark_key(t))) is not None}
    now = world.true_now() + world.faults.clock_error_s
    if _killed_by(old, control, marks, now=now) is not None:
        return
    if not any(_killed_by(old, earlier, marks, now=now) for earlier in taken_back):
        yield "I2 no regress", f"{name[1:].decode()} held a valid record and got an older one"


def _pointers(world: World, before: Control, after: Control) -> Iterator[tuple[str, str]]:
    if before.incarnation != after.incarnation:
        return
    is_rollback = took_back(before, after)
    for task in after.pointers:
        if after.pointer(task) < before.pointer(task) and not is_rollback:
            yield "I2 no regress", f"the pointer of {task} went back without a rollback"
    model, rows = after.pointer(weights.ref), after.pointer(ranked.ref)
    old = before.pointer(weights.ref)
    if model > old and rows < model and _is_readable(world, after, old):  # otherwise a model need not wait for rows
        yield "I3 one snapshot", "a model was promoted without what is built with it"


def _is_readable(world: World, control: Control, generation: int) -> bool:
    """Whether a generation of the model is in the store, and no loss of data has killed it."""
    raw = next((raw for _, raw in world.disk.items.range(names.base_of(generation), b"", 1)), None)  # its only row
    if raw is None or not is_as_written(raw):
        return False
    killed = _killed_by(decode(raw), control, {}, now=world.true_now())
    return killed is None or killed.cause not in FOR_GOOD


def took_back(before: Control, after: Control) -> bool:
    """Whether a rollback happened between two control records."""
    return bool(after.withdrawn.keys() - before.withdrawn.keys())


def turned(name: bytes, before: bytes | None, after: bytes | None) -> bool:
    """Whether a changed item is the control record, and a rollback has changed it.

    Args:
        name: The item's name.
        before: Its value before the commit; ``None`` if it was absent.
        after: Its value after the commit; ``None`` if it was deleted.
    """
    if name != names.CONTROL or before is None or after is None:
        return False
    return took_back(as_control(before), as_control(after))


def current_model(world: World) -> int:
    """The generation of the model that the store points to."""
    raw = world.disk.get(names.CONTROL)
    return 0 if raw is None else as_control(raw).pointer(weights.ref)


def is_trusted(world: World) -> bool:
    """Whether the store is trusted, as far as its data tells."""
    raw = world.disk.get(names.CONTROL)
    return raw is not None and as_control(raw).is_trusted


def reads_of(world: World, task: str, key: bytes) -> set[str] | None:
    """Find the tags that the stored values of a key were made of.

    Args:
        world: The state of the history.
        task: The task's name.
        key: The encoded key.

    Returns:
        The tags; ``None`` if they are not known.
    """
    control = world.disk.get(names.CONTROL)
    if control is None:  # a failover has lost all data
        return None
    current = as_control(control).pointer(task)
    found: set[str] = set()
    for name in (names.overlay_key(task, key), names.base_key(current, key)):
        raw = world.disk.get(name)
        if raw is None:
            continue
        if not is_as_written(raw) or (record := decode(raw)).absent:
            return None
        value = _as_any(record.payload)  # written by either version of the program
        found.update(value.get("reads") or value.get("seen") or ())
    return found or None
