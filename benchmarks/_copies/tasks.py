"""The tasks of the rounds: a fact that a database holds, and a policy that a file holds.

``DATABASE``, ``STORE`` and ``TRUTH``, a folder of policies, are addresses; ``JOURNAL`` is a path. With ``SHORT=1``
reports follow each other quickly, and the store trusts nothing after a second of silence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import parbake as pb
from parbake.adapters._postgresql import reports
from parbake.adapters.postgresql import PostgresqlSource

IS_SHORT = os.environ.get("SHORT") == "1"
SHORT_SILENCE = "1s"
SHORT_MAX_SILENCE = "2500 ms"
"""More than the short silence, twice the pause between two reports, and what clocks may differ by."""
if IS_SHORT:
    reports.REPORT_S = 0.3
    reports.LASTING_S = 0.0
    reports.CLOCKS_APART_S = 0.2
CONTRACT = {"freshness_sla": "24h", "fallback_if_stale": pb.Recompute(), "owner": "benchmark"}
tasks = pb.Registry()


class Facts(pb.View):
    """The captured table."""

    families = ("fact",)

    def number(self, name: str) -> int:
        """One row's number."""
        self.entity(f"fact/{name}")
        return int(self.rows("SELECT n FROM facts WHERE id = :id", id=name)[0][0])


@tasks.artifact(invalidated_by=[pb.fence("fact")], **CONTRACT)
def fact(name: str, *, facts: pb.Source[Facts]) -> int:
    """The number of a row."""
    return facts.number(name)


@tasks.artifact(invalidated_by=[pb.fence("policy/{name}")], **CONTRACT)
def policy(name: str) -> int:
    """The number that a file holds."""
    return int((Path(os.environ["TRUTH"]) / name).read_text())


def make_app(environment: Mapping[str, str]) -> pb.App:
    """Return an app over the store and the database that an environment names."""
    journal = environment.get("JOURNAL")
    source = PostgresqlSource(environment["DATABASE"], families=["fact"], views=[Facts])
    return pb.App(
        tasks,
        sources=[source],
        store=environment["STORE"],
        durability=pb.Durability(journal=journal),
        silence_limit=SHORT_SILENCE if IS_SHORT else "10s",
        open=["policy"],
    )
