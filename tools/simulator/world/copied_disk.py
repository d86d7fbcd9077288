"""A disk whose data names its copy, as PostgreSQL's does: it is promoted, restarted, or set back to an older copy."""

from __future__ import annotations

import random

from parbake.adapters._postgresql.copies import SeenPosition, ServerState
from simulator.world.disk import REMEMBERED, Disk

COPY = b"\0"
"""The item that names the copy."""
COMMIT, CHECKPOINT = 1000, 1
"""What a commit and a checkpoint add to the log; a commit is always longer than what some starts add."""
ELSEWHERE = 1_000_000
"""What other applications on the server may add before anybody connects."""


class CopiedDisk(Disk):
    """A failover also changes the timeline; a restart loses nothing; an older copy looks like the one before it.

    ``session`` numbers the server's lives: a connection of an earlier one is broken. ``knowing`` holds what the running
    processes have seen. Only they can notice an older copy, so it is put in place only if each has seen more.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(f"copies {seed}")
        self._ends: list[int] = []
        self.position, self.checkpoint, self.session, self.timeline = 0, 0, 1, 1
        self.knowing: dict[str, SeenPosition] = {}
        self.is_unnoticed = False

    def end_commit(self) -> None:
        """End the open commit, and write it to the log."""
        if self._open:
            self.position += COMMIT
            self._ends.append(self.position)
            del self._ends[:-REMEMBERED]
        super().end_commit()

    def fail_over(self, commits: int) -> int:
        """Be promoted, restarted or set back; returns the number of commits that were lost."""
        kind = self._rng.choice(["promoted", "restarted", "set back"])
        left = self._ends[: len(self._ends) - commits]
        behind = left[-1] if left else 0
        if kind == "set back" and any(seen.number and seen.position <= behind for seen in self.knowing.values()):
            kind = "promoted"
        lost = 0 if kind == "restarted" else super().fail_over(commits)
        if lost:
            del self._ends[-lost:]
            self.position = self._ends[-1] if self._ends else 0
        self.timeline += kind == "promoted"
        self.is_unnoticed = kind == "set back" or (self.is_unnoticed and kind == "restarted")
        self.session += 1
        self.checkpoint = self.position
        self.position += CHECKPOINT + self._rng.choice([0, ELSEWHERE])
        self.host = f"host {self.session} {kind}"
        return lost

    def state(self) -> ServerState:
        """What a new connection is told."""
        return ServerState("sim", self.timeline, str(self.session), "", self.position, self.checkpoint)
