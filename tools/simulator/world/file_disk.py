"""A store in a file, as LMDB's: it is closed or killed, and older copies of the file are put in its place."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from parbake.stores import _lmdb_openings as openings
from simulator.world.disk import Disk

Restore: TypeAlias = Literal["killed", "power cut", "copied over", "copied back", "copied with side file", "snapshot"]
RESTORES: tuple[Restore, ...] = (
    "killed", "power cut", "copied over", "copied back", "copied with side file", "snapshot",
)  # fmt: skip
"""Nothing is lost; the same, and the memory of the machine is; a copy overwrites the file; a copy is another file with
the number of the old one; a copy of file and side file is another file; the disk is set back as a whole."""
WITH_SIDE_FILE = ("copied with side file", "snapshot")
INODE = 7
"""The number of the file, which a copy in its place gets again."""
WITH_MEMORY = 0.75
"""The share of histories in which processes can write notes to the memory of the machine."""
WITH_JOURNAL = 0.5
"""The share of histories in which the journal, which lies elsewhere, tells of the openings."""
BACKUPS = 0.03
"""The share of commits after which somebody makes a copy of the file and of its side file."""

LAST_BACKUP = 0.5
"""The share of restores that use the last copy."""


class Backup(msgspec.Struct, frozen=True):
    """A copy of the file and its side file: how many commits it has, and the side file's numbers."""

    commits: int
    side: tuple[int, ...]

    @property
    def is_closed(self) -> bool:
        """Whether no process had the store open."""
        return self.side[openings.END] == openings.IS_CLOSED


class FileDisk(Disk):
    """A disk with one file, a side file, and the memory of the machine. Copies come back only while no process runs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(f"files {seed}")
        self.commits, self.birth = 0, 1
        self.side = [0] * 8
        self.users: dict[str, Callable[[], bool]] = {}
        """For each process that has opened the store, whether it is alive."""
        self._notes: dict[str, list[int]] = {}
        self._has_memory = self._rng.random() < WITH_MEMORY
        self.has_journal = self._rng.random() < WITH_JOURNAL
        self._backups: list[Backup] = []

    @property
    def identity(self) -> str:
        """The name of the file, by the rule of the product."""
        return openings.name_file(INODE, self.birth)

    def note(self) -> list[int] | None:
        """The note in memory about the file; ``None`` where there is no such memory."""
        return self._notes.setdefault(self.identity, [0] * 8) if self._has_memory else None

    def end_commit(self) -> None:
        """End the open commit, and make a copy now and then."""
        self.commits += bool(self._open)
        super().end_commit()
        if self._rng.random() < BACKUPS:
            self.back_up()

    def is_in_use(self) -> bool:
        """Whether a running process has the store open."""
        return any(is_alive() for is_alive in self.users.values())

    def close(self) -> None:
        """Let all processes close the store, and make a copy of it."""
        if self.is_in_use():
            openings.witness_close(0, self.side)
            self.back_up()

    def back_up(self) -> None:
        """Copy the file and its side file."""
        self._backups.append(Backup(self.commits, tuple(self.side)))

    def fail_over(self, commits: int) -> int:
        """Put an older copy in place, or only kill the processes; returns the number of commits that were lost."""
        kind = self._rng.choice(RESTORES)
        is_restarted = kind != "killed" and (kind == "power cut" or self._rng.random() < 0.5)
        backup = self._choose_backup()
        if kind in WITH_SIDE_FILE and backup is None:
            kind = "killed"
        if kind == "snapshot" and backup is not None and self._is_unnoticeable(backup, is_restarted=is_restarted):
            is_restarted, kind = False, "snapshot" if self._has_memory else "killed"
        if kind in ("killed", "power cut"):
            commits = 0
        elif kind in WITH_SIDE_FILE and backup is not None:
            commits, self.side[:] = self.commits - backup.commits, backup.side
        lost = self.undo(commits)
        self.commits -= lost
        self.birth += kind in ("copied back", "copied with side file")
        self._backups = [backup for backup in self._backups if backup.commits <= self.commits]
        if is_restarted:
            self._notes.clear()
        self.host = f"{kind}{', and the machine was started again' if is_restarted else ''}"
        return lost

    def _choose_backup(self) -> Backup | None:
        """A copy from which the disk still knows the way."""
        recent = [backup for backup in self._backups if self.commits - backup.commits <= len(self._undo)]
        if not recent:
            return None
        return recent[-1] if self._rng.random() < LAST_BACKUP else self._rng.choice(recent)

    def _is_unnoticeable(self, backup: Backup, *, is_restarted: bool) -> bool:
        """Whether nothing is left that has seen more than a copy of everything."""
        return backup.is_closed and (is_restarted or not self._has_memory) and not self.has_journal
