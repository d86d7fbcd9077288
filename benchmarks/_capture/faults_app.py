"""The app of the rounds: a value per row, which a view reads."""

from __future__ import annotations

import os

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource


class Facts(pb.View):
    """The captured table."""

    families = ("fact",)

    def value(self, name: str) -> int:
        """One row's number."""
        self.entity(f"fact/{name}")
        return int(self.rows("SELECT n FROM facts WHERE id = :id", id=name)[0][0])


tasks = pb.Registry()


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="benchmark"
)
def fact(name: str, *, facts: pb.Source[Facts]) -> int:
    """The number of a row."""
    return facts.value(name)


source = PostgresqlSource(os.environ.get("DATABASE", "postgresql:///shop"), families=["fact"], views=[Facts])
app = pb.App(tasks, sources=[source], store=os.environ.get("STORE", "memory://"), worker="none")
