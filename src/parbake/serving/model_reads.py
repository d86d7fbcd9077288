"""Trained models, decoded once per generation and handed to the tasks that use them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from parbake.errors import NotMaterialized
from parbake.ports.clock import Clock
from parbake.ports.records import Lookup, RecordSnapshots
from parbake.ports.store import Store
from parbake.protocol.cause import FOR_GOOD, graver_doubt
from parbake.protocol.control import Control
from parbake.protocol.record import Record
from parbake.protocol.recording import Recording
from parbake.protocol.verdict import Judgement, Verdict
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask

KEPT = 2
JudgeRecord = Callable[[BoundTask, Record, Lookup, Context], tuple[Judgement, bool]]


def lost_model(ref: str) -> str:
    """The named value that holds a model's unreadable generation; the schedule reads it."""
    return f"lost/{ref}"


class Kept(NamedTuple):
    """A decoded model, with its record (without the payload) and the incarnation of the store that it was read in."""

    record: Record
    incarnation: int
    model: Any


class ModelReads:
    """Reads the current generation of each model: checks it at every use, decodes it only when the pointer moves."""

    def __init__(self, store: Store, clock: Clock, judge: JudgeRecord) -> None:
        """``judge`` returns a record's judgement, and whether a stale record is still within its fallback."""
        self._store = store
        self._review = store.review if isinstance(store, RecordSnapshots) else None
        self._clock = clock
        self._judge = judge
        self._kept: dict[tuple[str, int], Kept] = {}
        self._folder: Path | None = None

    def keep_in(self, folder: Path) -> None:
        """Decode models from files in a folder, mapped into memory: processes that share it hold each model once.

        A model's fields of type ``memoryview`` are then parts of the mapped file, not copies.
        """
        self._folder = folder

    async def read(self, bound: BoundTask, control: Control, recording: Recording, context: Context) -> Any:
        """Return the model that a computation must use, and record its generation.

        Args:
            bound: The model's task.
            control: The control record that the computation began with.
            recording: Where the generation is recorded.
            context: What the computation was asked within; a run reads its own unpromoted generation.

        Raises:
            NotMaterialized: No generation was promoted, or the current one is older than its contract allows, or the
                computation began while the store was away.
        """
        if context.is_without_store:
            raise NotMaterialized(f"{bound.name} is kept in the store, which does not answer", field=bound.name)
        generation = context.pointers.get(bound.ref) or control.pointer(bound.ref)
        if not generation:
            name = bound.name
            raise NotMaterialized(
                f"{name} has no promoted generation; a worker or 'parbake materialize APP {name}' makes one", field=name
            )
        lookup = self._reviewed(bound, generation)
        if lookup is None:
            lookup = await self._store.read(bound.ref, bound.keys.encode(""), generation=generation)
        record = next((r for r in lookup.records if r.meta.generation == generation), None)
        if record is None:
            raise await self._lost(bound, generation, "damaged" if lookup.damaged else "gone")
        judgement, is_tolerated = self._judge(bound, record, lookup, context)
        if judgement.verdict in (Verdict.STALE, Verdict.UNKNOWN) and not is_tolerated:
            if judgement.reason is not None and judgement.reason.cause in FOR_GOOD:
                raise await self._lost(bound, generation, str(judgement.reason))
            raise NotMaterialized(f"{bound.name}: {judgement.reason}", field=bound.name)
        recording.artifact(bound.ref, record, now=self._clock.now())
        recording.doubt = graver_doubt(recording.doubt, judgement.doubt)
        recording.model(bound.ref, generation)
        return self._decoded(bound, generation, record, lookup.control.incarnation)

    async def _lost(self, bound: BoundTask, generation: int, what: str) -> NotMaterialized:
        """Ask a worker to build another generation, and return the error that says what is wrong with this one."""
        place, told = lost_model(bound.ref), str(generation).encode()
        before = await self._store.get(place)
        if before != told:
            await self._store.swap(place, before, told)
        return NotMaterialized(
            f"{bound.name}: generation {generation} is {what}; a worker builds another", field=bound.name
        )

    def _reviewed(self, bound: BoundTask, generation: int) -> Lookup | None:
        """Read what a kept model is judged by now; ``None`` if the whole record must be read, which copies it."""
        kept = self._kept.get((bound.ref, generation))
        if kept is None or self._review is None:
            return None
        lookup = self._review(kept.record)
        is_same = lookup is not None and lookup.control.incarnation == kept.incarnation
        return lookup if is_same else None

    def _decoded(self, bound: BoundTask, generation: int, record: Record, incarnation: int) -> Any:
        kept = self._kept.get((bound.ref, generation))
        if kept is None or kept.record.stamp != record.stamp:  # an emptied store numbers from 1 again
            try:
                model = bound.decode(self._payload(bound, generation, record))
            except msgspec.DecodeError as error:
                raise NotMaterialized(
                    f"{bound.name}: its value is of another type ({error}); run its batch lane, or raise version=",
                    field=bound.name,
                ) from error
            bare = msgspec.structs.replace(record, payload=b"")
            kept = self._kept[bound.ref, generation] = Kept(bare, incarnation, model)
            older = sorted(g for ref, g in list(self._kept) if ref == bound.ref)[:-KEPT]
            for old in older:
                self._kept.pop((bound.ref, old), None)
        return kept.model

    def _payload(self, bound: BoundTask, generation: int, record: Record) -> Any:
        if self._folder is None:
            return record.payload
        path = self._folder / f"{bound.name}-{generation}-{record.stamp.hex()}"
        if not path.exists():
            aside = path.with_suffix(f".{os.getpid()}")
            aside.write_bytes(record.payload)
            aside.replace(path)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
