"""The state of one history that its parts share, drawn from one seed."""

from __future__ import annotations

import asyncio
import random
from importlib.util import find_spec
from typing import Literal

from parbake.ports.generations import StoreNote, StoreOpening
from simulator.world.copied_disk import CopiedDisk
from simulator.world.disk import Disk
from simulator.world.fault_selection import FaultSelection
from simulator.world.file_disk import FileDisk
from simulator.world.reader_table import ReaderTable
from simulator.world.sim_tasks import EPOCH, KEYS
from simulator.world.system_of_record import OFFERS, SystemOfRecord

StoreModel = Literal["embedded", "snapshot", "single", "copied", "files"]
BUSY = 0.06
"""The share of histories in which every key is read twice as often."""
HONOURED = 0.8
"""The share of histories in which a run's lease excludes other runs. Leases save work; no promise depends on them."""
TWO_PROGRAMS = 0.3
"""The share of histories in which each process runs either version of the program."""
WITH_CACHES = 0.25 if find_spec("numpy") else 0.0
"""The share of histories in which servers have a semantic cache, which needs numpy."""


INFERRED = 0.3
"""The share of histories in which nobody promises that every change can be read again: each process finds it out."""
SEPARATE_JOURNALS = 0.3
"""The share of those in which each process has a journal of its own, by mistake."""
LATER_JOURNALS = 0.25
"""The share of those in which the store is in use before its processes have a journal."""
WITH_WAITERS = 0.25
"""The share of histories in which writers wait for all stores in the database, and the database goes back."""


class SimJournal:
    """A journal of withdrawn generations that survives every process and every store."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.notes: list[StoreNote] = []

    def append(self, generations: list[int]) -> None:
        """Add generations."""
        self.generations += generations

    def read(self) -> list[int]:
        """Return all generations."""
        return list(self.generations)

    def copied(self) -> SimJournal:
        """A copy of the journal."""
        copy = type(self)()
        copy.become(self)
        return copy

    def become(self, other: SimJournal) -> None:
        """Hold what another journal holds."""
        self.generations = list(other.generations)
        self.notes = list(other.notes)

    def note_store(self, note: StoreNote) -> None:
        """Add a note of a store."""
        self.notes.append(note)

    def store_notes(self) -> list[StoreNote]:
        """Return all notes of stores."""
        return list(self.notes)


class SimOpeningJournal(SimJournal):
    """A journal that also tells of the last opening of a store in a file."""

    def __init__(self) -> None:
        super().__init__()
        self._words: dict[int, int] = {}

    def note_opening(self, opening: StoreOpening) -> None:
        """Add an opening."""
        self._words[opening.store] = opening.word

    def openings(self) -> dict[int, int]:
        """Return the last opening of each store."""
        return dict(self._words)


class World:
    """The random numbers, the trace, the systems of record, the disk, and what was drawn for the whole history."""

    def __init__(self, seed: int, store_model: StoreModel, *, trace: bool = False) -> None:
        """Draw the properties of this history. The order of the draws is part of the meaning of a seed."""
        self.seed = seed
        self.rng = random.Random(f"{store_model} {seed}")
        self.trace: list[str] | None = [] if trace else None
        self.store_model = store_model
        self.step = self.run = 0
        self.run_of: dict[int, int] = {}
        self.began: dict[int, int] = {}
        self.policies = SystemOfRecord("policies", {"policy": KEYS}, told=["policy"])
        self.replayable: bool | None = self.rng.random() < 0.6
        self.is_inferred = self._is_drawn("inferred", INFERRED)
        if self.is_inferred:
            self.replayable = None
        told = ["product", OFFERS, "taste", *(["memo"] if self.replayable else [])]
        self.shop = SystemOfRecord("shop", dict.fromkeys(("product", OFFERS, "taste", "memo"), KEYS), told=told)
        if self.is_inferred:  # the outbox should tell of memos, and does not
            self.shop.declared = [*told, "memo"]
        self.systems = (self.policies, self.shop)
        self.acked_to = {system.name: 0 for system in self.systems}
        self.disk = _disk(seed, store_model)
        is_told = isinstance(self.disk, FileDisk) and self.disk.has_journal
        self._new_journal: type[SimJournal] = SimOpeningJournal if is_told else SimJournal
        self.journals: dict[str, SimJournal] = {}
        self.has_separate_journals = self.is_inferred and self._is_drawn("separate", SEPARATE_JOURNALS)
        is_later = self.is_inferred and self._is_drawn("later journals", LATER_JOURNALS)
        # Openings of a store in a file are told from the first one on.
        self.has_first_journals = is_told or not is_later
        self.faults = FaultSelection(self.rng)
        self.slowness_s = self.rng.choice([0.002, 0.02, 0.15])
        self.slow_items_s = self.rng.choice([0.005, 0.005, 0.005, 0.05])
        self.slow_polls_s = self.rng.choice([0.0, 0.0, 0.3, 0.8])
        self.reads_at_once = [4, 8, 12, 16] if self._is_drawn("busy", BUSY) else [2, 4, 6, 8]
        self.honours_leases = self._is_drawn("leases", HONOURED)
        self.has_two_programs = self._is_drawn("programs", TWO_PROGRAMS)
        self.has_caches = self._is_drawn("asking", WITH_CACHES)
        # What the third kind of store adds is only how losses are noticed.
        has_waiters = (
            store_model in ("embedded", "snapshot", "single")
            and not self.has_caches
            and self._is_drawn("waiting", WITH_WAITERS)
        )
        self.readers = ReaderTable() if has_waiters else None

    def journal_of(self, process: str) -> SimJournal:
        """The journal that a process uses, which is the same for all in most histories."""
        name = process if self.has_separate_journals else ""
        if name not in self.journals:
            self.journals[name] = self._new_journal()
        return self.journals[name]

    def _is_drawn(self, what: str, share: float) -> bool:
        """Draw with separate random numbers, so that all other draws are the same as without this one."""
        return random.Random(f"{what} {self.store_model} {self.seed}").random() < share

    def true_now(self) -> float:
        """The correct time, in seconds since the epoch."""
        return EPOCH + asyncio.get_running_loop().time()

    def say(self, what: str) -> None:
        """Add a line to the trace, if there is one."""
        if self.trace is not None:
            self.trace.append(f"{asyncio.get_running_loop().time():8.3f} #{self.step:<3} {what}")

    def begun(self, generation: int, run: int) -> None:
        """Record that a run got a generation; its first generation marks the begin of the run."""
        self.run_of[generation] = run
        self.began.setdefault(run, generation)

    def system_of(self, subject: str) -> SystemOfRecord:
        """The system of record that holds an entity."""
        return self.policies if subject.startswith("policy") else self.shop


def _disk(seed: int, store_model: StoreModel) -> Disk:
    if store_model == "files":
        return FileDisk(seed)
    return CopiedDisk(seed) if store_model == "copied" else Disk()
