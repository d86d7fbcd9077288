"""The connection of a simulated process to a store in a file; the rules of its openings are the product's own."""

from __future__ import annotations

from collections.abc import Mapping

from parbake.ports.generations import StoreOpening
from parbake.stores import _lmdb_openings as openings
from parbake.stores._lmdb_openings import FoundFile
from simulator.processes.sim_stores import SimStore
from simulator.world.file_disk import BACKUPS, OPENING_BACKUPS, FileDisk
from simulator.world.process_state import ProcessState


class SimFileStore(SimStore):
    """One process's store in a file: it is opened at the first use, and witnesses each commit."""

    def __init__(self, disk: FileDisk, process: ProcessState) -> None:
        """Create the store of a process that has just started, and has nothing open."""
        super().__init__(disk, process)
        self._file = disk
        self._base = -1
        disk.users.pop(process.name, None)

    def confirm_opening(self, words: Mapping[int, int]) -> StoreOpening:
        """See :class:`parbake.ports.generations.RemembersOpenings`."""
        self._settle()
        current = openings.confirm_opening(self._file, words, self._new_number)
        self._end_commit()
        return current

    def _settle(self) -> None:
        if self._base >= 0:
            return
        disk, process = self._file, self._process
        is_first = not disk.is_in_use()
        found = FoundFile(disk.identity, disk.commits, is_first, disk.side, disk.note())
        settled = openings.settle_opening(disk, found, self._new_number, 1 + process.rng.getrandbits(62))
        if settled.replaced:
            openings.retire_note(disk.note(settled.replaced))
        disk.end_commit(backups=OPENING_BACKUPS if is_first else BACKUPS)
        openings.witness_opening(settled, disk.side, found.note, is_first=is_first)
        self._base = settled.opening.base
        disk.opened(process.name, lambda: process.is_alive)

    def _end_commit(self) -> None:
        super()._end_commit()
        while openings.witness_commit(self._base + self._file.commits, self._file.side, self._file.note()):
            pass
