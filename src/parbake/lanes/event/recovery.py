"""Recovery after a loss: outboxes are replayed and withdrawals repeated, and then the store is trusted again.

A store that is found on another host (a restart, a failover, a restored copy) is in an incarnation that is not trusted.
Recovery replays every outbox from the position that the store still knows, repeats the rollbacks that were logged
outside it, and blesses the incarnation that it saw at its start. If the store has lost data again meanwhile, the
blessing is refused and recovery starts again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from parbake.errors import BadInput, DamagedStore, OutdatedStore, StoreError, StoreUnreachable
from parbake.lanes.event.replayability import Replayability
from parbake.ports.generations import (
    Journal,
    OpeningJournal,
    QuarantineJournal,
    RemembersOpenings,
    StoreNote,
    StoreOpening,
)
from parbake.ports.store import Store
from parbake.process.private_files import make_file
from parbake.process.writable import check_writable
from parbake.protocol.control import Control, Quarantine

_log = logging.getLogger("parbake.recovery")


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the journal: a task was put in quarantine, or cleared, or a store was opened, or noted.

    A line about a store names no task, so that an earlier version reads it as the clearing of none.
    """

    task: str
    quarantine: Quarantine | None
    opening: StoreOpening | None = None
    note: StoreNote | None = None


class FileJournal:
    """Withdrawn generations, quarantines and notes of stores in a file of JSON lines, each synced before it counts.

    A line is the list of the generations that are withdrawn, or an object that names a task and its quarantine, or the
    opening of a store, or a note of one.
    """

    def __init__(self, path: str | Path) -> None:
        """Choose a file that a restore of the store does not touch."""
        if not str(path):
            raise BadInput("journal='': expected the path of a file", field="journal")
        self._path = Path(path).absolute()  # a process that changes its folder later goes on writing to the same file
        self._is_ours = False

    def check(self) -> None:
        """Raise an error unless the file is a journal that can be written, or could be created; blocking."""
        self._lines()
        check_writable(self._path, field="journal", error=BadInput)

    def append(self, generations: list[int]) -> None:
        """Add generations, durably; blocking. Raises :class:`StoreError` when the file cannot be written."""
        self._write(generations)

    def read(self) -> list[int]:
        """Return every generation that was ever added; blocking."""
        return [generation for line in self._lines() if isinstance(line, list) for generation in line]

    def note_quarantine(self, task: str, entry: Quarantine | None) -> None:
        """Add a quarantine or its end, durably; blocking. Raises as :meth:`append` does."""
        self._write(_Line(task, entry))

    def quarantines(self) -> dict[str, Quarantine]:
        """Return the quarantines that were not cleared since, by task; blocking."""
        last = {line.task: line.quarantine for line in self._lines() if isinstance(line, _Line)}
        return {task: entry for task, entry in last.items() if entry is not None}

    def note_opening(self, opening: StoreOpening) -> None:
        """Add an opening, durably; blocking. Raises as :meth:`append` does."""
        self._write(_Line("", None, opening))

    def openings(self) -> dict[int, int]:
        """Return the word of the last opening that was added of each store; blocking."""
        return dict(line.opening for line in self._lines() if isinstance(line, _Line) and line.opening)

    def note_store(self, note: StoreNote) -> None:
        """Add a note of a store, durably; blocking. Raises as :meth:`append` does."""
        self._write(_Line("", None, note=note))

    def store_notes(self) -> list[StoreNote]:
        """Return every note of a store; blocking."""
        return [line.note for line in self._lines() if isinstance(line, _Line) and line.note]

    def _write(self, line: list[int] | _Line) -> None:
        if not self._is_ours:
            self._lines()  # refuses a file that is not a journal
            self._is_ours = True
        try:
            make_file(self._path)
            with self._path.open("ab+") as file:
                # A line that a crash has cut short is ended first, so that the next line stays separate.
                file.seek(-1 if file.tell() else 0, os.SEEK_END)
                is_cut = file.read(1) not in (b"", b"\n")
                file.write((b"\n" if is_cut else b"") + msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"journal {self._path}: {error}", field="journal") from error

    def _lines(self) -> list[list[int] | _Line]:
        """Return all lines that can be read. A line that a crash cut short was never acknowledged.

        Raises :class:`BadInput` for a file that contains lines, but no line of a journal.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"journal {self._path}: {error}", field="journal") from error
        found = [self._line(number, raw) for number, raw in enumerate(lines, 1)]
        if lines and not any(line is not None for line in found):
            raise BadInput(f"journal={str(self._path)!r} is not a journal: name a file of its own", field="journal")
        return [line for line in found if line is not None]

    def _line(self, number: int, raw: bytes) -> list[int] | _Line | None:
        try:
            return msgspec.json.decode(raw, type=list[int] | _Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("journal %s, line %d cannot be read and is skipped: %s", self._path, number, error)
            return None


class Recovery:
    """Blesses an incarnation once its outboxes have been replayed."""

    def __init__(self, store: Store, journal: Journal | None, replayability: Replayability) -> None:
        """``replayability`` knows whether a replay of the outboxes restores every change that the store has lost."""
        self._store = store
        self._journal = journal
        self._replayability = replayability
        self._looked_at = 0

    async def check_journal(self) -> None:
        """Raise :class:`BadInput` for a journal that cannot be written, which would be met only when it is needed."""
        if isinstance(self._journal, FileJournal):
            await asyncio.to_thread(self._journal.check)

    def confirm_opening(self) -> None:
        """Compare the store with the opening that the journal tells of, and add the current one; blocking.

        A snapshot of a disk brings a store and all that lies beside it back, but not a journal elsewhere. Raises
        :class:`StoreError` if one of them cannot be read. A store that cannot be opened yet is compared later; nothing
        is served from it before.
        """
        if not isinstance(self._journal, OpeningJournal) or not isinstance(self._store, RemembersOpenings):
            return
        words = self._journal.openings()
        try:
            current = self._store.confirm_opening(words)
        except (DamagedStore, OutdatedStore, StoreUnreachable):
            return
        try:
            if words.get(current.store) != current.word:
                self._journal.note_opening(current)
        except StoreError as error:  # the next opening is compared with the one before
            _log.warning("%s", error)

    async def doubted(self) -> int:
        """The incarnation that waits for its blessing; 0 if the store is trusted.

        Quarantines that the store has lost are restored first.
        """
        control = await self.recalled()
        return 0 if control.is_trusted else control.incarnation

    async def recalled(self) -> Control:
        """The store's control record, with the quarantines of the journal.

        In an incarnation that is new to this process, quarantines that the store lacks are restored, because the store
        may have been emptied, or restored from an older copy.
        """
        _, control = await self._store.stamp()
        if control.incarnation != self._looked_at:
            await asyncio.to_thread(self.confirm_opening)  # another store may have taken the place of the one before
            _, control = await self._store.stamp()
            seen = control.incarnation
            await self._replayability.begin(control)
            control = await self._quarantined(control)
            self._looked_at = seen
        return control

    async def _quarantined(self, control: Control) -> Control:
        """Restore the quarantines of the journal that the store lacks; returns the control record."""
        if not isinstance(self._journal, QuarantineJournal):
            return control
        for task, entry in (await asyncio.to_thread(self._journal.quarantines)).items():
            known = control.quarantined.get(task)
            if known is None or (known.cleared and known.at < entry.at):  # an earlier one was cleared
                control = await self._store.quarantine(task, entry)
                _log.warning("%s is in quarantine again: the store had lost the quarantine", task)
        return control

    async def note_quarantine(self, task: str, entry: Quarantine | None) -> None:
        """Write a quarantine, or its end, to the journal outside the store, before it is acknowledged."""
        await self._replayability.check()
        if isinstance(self._journal, QuarantineJournal):
            await asyncio.to_thread(self._journal.note_quarantine, task, entry)
            await self._replayability.renew()

    async def bless(self, seen: int) -> None:
        """Trust an incarnation if its outboxes were replayed after it was seen.

        Values from before the loss are kept only if the replay restored everything, that is if every change has an
        outbox row and rollbacks are logged outside the store.
        """
        lack = await self._replayability.lack()
        if not lack and self._journal is not None:
            await self._store.withdraw(await asyncio.to_thread(self._journal.read))
        await self._store.bless(seen, raise_floor=bool(lack))
        kept = f"discarded: {lack}" if lack else "kept"
        _log.warning("incarnation %d is trusted again; the values from before it are %s", seen, kept)

    async def note_withdrawn(self) -> None:
        """Write the withdrawn generations to the journal outside the store, before a rollback is acknowledged."""
        await self._replayability.check()
        if self._journal is not None:
            _, control = await self._store.stamp()
            await asyncio.to_thread(self._journal.append, list(control.withdrawn))
            await self._replayability.renew()
