"""Checks a generation against its task's gates before it is promoted."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from parbake.errors import GateFailed
from parbake.lanes.batch.runs import Runs
from parbake.ports.store import Store
from parbake.process.threads import Escaped, aside
from parbake.protocol.control import Control
from parbake.serving.bound import BoundTask
from parbake.tasks.gates import Generation, Profile, QualityGate
from parbake.values.redaction import described

SAMPLE = 200


async def check(
    bound: BoundTask, generation: int, profile: Profile, *, control: Control, store: Store, sample: Sequence[Any]
) -> None:
    """Check a generation against the gates of its task; return if none of them objects.

    Args:
        bound: The task.
        generation: The number of the generation.
        profile: The counts of its rows.
        control: The control record, which names the previous generation.
        store: Where the rows are.
        sample: Keys spread over the run, for a gate of the application's.

    Raises:
        GateFailed: A gate objects, or failed itself.
    """
    gates = bound.task.gates
    pointer = control.pointers.get(bound.ref)
    made = (await Runs(store).state(bound.ref)).of_generation(pointer.generation) if pointer else None
    previous = made.profile if made else None
    rows_before = pointer.rows if pointer and not bound.chooses_keys else 0  # a plugin decides how many rows there are
    objection = gates.objection(profile, rows_before, previous)
    if not objection and gates.quality is not None:
        values = await _values(bound, generation, store, sample)
        shown = Generation(bound.name, generation, profile, previous, values)
        try:
            said = await aside(gates.quality, shown)
        except Exception as error:
            why = str(error) if isinstance(error, Escaped) else described(error)
            raise _failed(bound, f"its quality gate raised {why}") from error
        objection = _reason(gates.quality, said)
    if objection:
        raise _failed(bound, objection)


def _reason(gate: QualityGate, said: Any) -> str:
    """The reason that a gate returned, empty if it does not object. Any other value counts as an objection."""
    if said is None or isinstance(said, str):
        return said or ""
    if inspect.iscoroutine(said):
        said.close()
    name = getattr(gate, "__name__", type(gate).__name__)
    return f"its quality gate {name} returned {_shown(said)}; return None to promote, or a string that says why not"


def _shown(said: Any) -> str:
    try:
        return repr(said)[:80]
    except Exception:  # noqa: BLE001 - a ``__repr__`` of the application's may raise anything
        return f"an object of type {type(said).__name__}"


def _failed(bound: BoundTask, why: str) -> GateFailed:
    return GateFailed(f"{bound.name}: {why}; the previous generation stays", field=bound.name)


async def _values(bound: BoundTask, generation: int, store: Store, sample: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Read the values of some keys from an unpromoted generation; keys whose value is absent are left out."""
    found = []
    for key in sample:
        lookup = await store.read(bound.ref, bound.keys.encode(key), generation=generation)
        record = next((r for r in lookup.records if r.meta.generation == generation), None)
        if record is not None and not record.absent:
            found.append((key, bound.decode(record.payload)))
    return found
