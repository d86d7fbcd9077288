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
OPENING_BACKUPS = 0.3
"""The share of openings that are copied after the store has recorded them, and before its side file does."""
LAST_BACKUP = 0.5
"""The share of restores that use the last copy."""
BEFORE_REPLACED = 0.6
"""The share of restores that set the disk back to when the present file took the place of another one."""


class Backup(msgspec.Struct, frozen=True):
    """A copy of the file and its side file: how many commits it has, the side file's numbers, and the file's birth."""

    commits: int
    side: tuple[int, ...]
    birth: int

    @property
    def is_closed(self) -> bool:
        """Whether no process had the store open."""
        return self.side[openings.END] == openings.IS_CLOSED


class FileDisk(Disk):
    """A disk with one file, a side file, and the memory of the machine. Copies come back only while no process runs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(f"files {seed}")
        self._birth = 1
        self._last_birth = 1
        self.side = [0] * 8
        self.users: dict[str, Callable[[], bool]] = {}
        """For each process that has opened the store, whether it is alive."""
        self._notes: dict[str, list[int]] = {}
        self._has_memory = self._rng.random() < WITH_MEMORY
        self.has_journal = self._rng.random() < WITH_JOURNAL
        self._backups: list[Backup] = []
        self._before_replaced: Backup | None = None
        self._only_memory_knows = False

    @property
    def identity(self) -> str:
        """The name of the file, by the rule of the product."""
        return openings.name_file(INODE, self._birth)

    def note(self, identity: str = "") -> list[int] | None:
        """The note in memory about a file, by default the present one; ``None`` where there is no such memory."""
        return self._notes.setdefault(identity or self.identity, [0] * 8) if self._has_memory else None

    def end_commit(self, *, backups: float = BACKUPS) -> None:
        """End the open commit, and make a copy now and then: after a share ``backups`` of the commits."""
        super().end_commit()
        if self._rng.random() < backups:
            self.back_up()

    def opened(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Note that a process has opened the store, and so has compared it with what its witnesses say."""
        self.users[name] = is_alive
        self._only_memory_knows = False

    def is_in_use(self) -> bool:
        """Whether a running process has the store open."""
        return any(is_alive() for is_alive in self.users.values())

    def close(self) -> None:
        """Let all processes close the store, and make a copy of it."""
        if self.is_in_use():
            openings.witness_close(0, self.side)
            self.back_up()

    def replace(self) -> None:
        """Let the content be in another file, as after the folder was copied, while no process runs."""
        self._before_replaced = self._backups[-1] if self._backups else None
        self._last_birth += 1
        self._birth = self._last_birth

    def back_up(self) -> None:
        """Copy the file and its side file."""
        self._backups.append(Backup(self.commits, tuple(self.side), self._birth))

    def fail_over(self, commits: int) -> int:
        """Put an older copy in place, or only kill the processes; returns the number of commits that were lost."""
        kind, backup = self._choose_restore()
        is_restarted = self._is_machine_restarted(kind, backup)
        if backup is not None:
            commits, self.side[:] = self.commits - backup.commits, backup.side
        elif kind in ("killed", "power cut"):
            commits = 0
        lost = self.undo(commits)
        if kind in ("copied back", "copied with side file"):
            self.replace()
        elif backup is not None:
            self._birth = backup.birth
            self._only_memory_knows = self._is_told_by_memory(backup)
        self._backups = [backup for backup in self._backups if backup.commits <= self.commits]
        if self._before_replaced not in self._backups:
            self._before_replaced = None
        if is_restarted:
            self._notes.clear()
        self.host = f"{kind}{', and the machine was started again' if is_restarted else ''}"
        return lost

    def _choose_restore(self) -> tuple[Restore, Backup | None]:
        """What happens, and the copy of file and side file, if one is used."""
        kind = self._rng.choice(RESTORES)
        backup = self._choose_backup()
        before = self._before_replaced
        if before is not None and self._can_undo(before) and self._rng.random() < BEFORE_REPLACED:
            kind, backup = "snapshot", before
        if kind == "power cut" and self._only_memory_knows:
            return "killed", None
        if kind not in WITH_SIDE_FILE:
            return kind, None
        if backup is None or (kind == "snapshot" and self._is_told_by_memory(backup) and not self._remembers(backup)):
            return "killed", None
        return kind, backup

    def _is_machine_restarted(self, kind: Restore, backup: Backup | None) -> bool:
        """Whether the machine is started again; not if only its memory knows more than a snapshot in place."""
        if kind in ("killed", "power cut"):
            return kind == "power cut"
        needs_memory = kind == "snapshot" and backup is not None and self._is_told_by_memory(backup)
        return self._rng.random() < 0.5 and not self._only_memory_knows and not needs_memory

    def _choose_backup(self) -> Backup | None:
        """A copy from which the disk still knows the way."""
        recent = [backup for backup in self._backups if self._can_undo(backup)]
        if not recent:
            return None
        return recent[-1] if self._rng.random() < LAST_BACKUP else self._rng.choice(recent)

    def _can_undo(self, backup: Backup) -> bool:
        return self.commits - backup.commits <= len(self._undo)

    def _is_told_by_memory(self, backup: Backup) -> bool:
        """Whether nothing but the memory of the machine tells that a copy of everything is not the last state."""
        return backup.is_closed and not self.has_journal

    def _remembers(self, backup: Backup) -> bool:
        note = self._notes.get(openings.name_file(INODE, backup.birth))
        return note is not None and note[openings.WORD] != 0
