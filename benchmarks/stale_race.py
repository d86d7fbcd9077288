"""The forced race: does an old value survive its own invalidation?

A computation reads its input and is held. The input changes, and the cache is told by its own documented means; that
completes. The computation goes on and stores what it made. Then everybody reads: old or new?

A forced race shows that something is possible, not how often it happens. Each library is used as its documentation
shows, with its locks on where it has them, and in several ways: deleted, invalidated as a group, written through.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import tempfile
from dataclasses import asdict
from typing import Any

import _peers
from _race import READS, ROUNDS, SHORT_TTL_S, Build, Contestant, Truth, measure_all
from _report import Goal, report

import parbake as pb

PEERS = ("dogpile", "cashews", "aiocache", "django")
COLUMNS = (
    "library",
    "version",
    "used",
    "forced",
    "old served in",
    "reads old",
    f"old for (TTL {SHORT_TTL_S} s)",
    "note",
)


def parbake_on(store: str, used: str) -> Build:
    """Build a contestant: one fenced task over a store."""

    def build(truth: Truth, ttl_s: int) -> Contestant:
        tasks = pb.Registry()

        @tasks.artifact(
            freshness_sla=f"{ttl_s}s",
            invalidated_by=[pb.fence("fact/{key}")],
            fallback_if_stale=pb.Recompute(),
            owner="bench",
        )
        async def value(key: str) -> int:  # noqa: ARG001  # the key is what it is stored by
            return await truth.aread()

        app = pb.App(tasks, store=f"{store}{ttl_s}" if store.startswith("lmdb") else store)

        async def get(key: str) -> int:
            return (await app.serve(value, key)).unwrap()

        return Contestant(used, get, lambda key, _: app.touch(f"fact/{key}"), "the late value's stamp is too low")

    return build


def parbake_side() -> dict[str, Any]:
    """Parbake's outcome, in the form that a peer's script prints."""
    with tempfile.TemporaryDirectory() as folder:
        builds = [
            parbake_on("memory://", "serve, touch (memory)"),
            parbake_on(f"lmdb://{folder}/store", "serve, touch (lmdb)"),
        ]
        rows = [asdict(outcome) for outcome in asyncio.run(measure_all(builds))]
    return {"library": "parbake", "version": importlib.metadata.version("parbake"), "rows": rows}


def figures_of(sides: list[dict[str, Any]]) -> dict[str, float]:
    """Rounds with an old value, by library and the way it was used."""
    return {f"{side['library']}: {row['used']}": row["stale_rounds"] for side in sides for row in side["rows"]}


def cells(side: dict[str, Any], row: dict[str, Any]) -> tuple[object, ...]:
    """One line of the table."""
    return (
        side["library"],
        side["version"],
        row["used"],
        row["forced"],
        f"{row['stale_rounds']} of {ROUNDS} rounds",
        f"{row['stale_reads']} of {row['reads']}",
        f"{row['old_for_s']:.1f} s",
        row["note"],
    )


def main() -> None:
    """Race everybody and report."""
    sides = [parbake_side(), *(_peers.run(f"stale_{peer}.py") for peer in PEERS)]
    ours = sum(row["stale_rounds"] for row in sides[0]["rows"])
    forced = sum(row["forced"] for row in sides[0]["rows"])
    print(f"A forced race, {ROUNDS} rounds each with {READS} reads after the invalidation had completed and the")
    print("computation had stored its result. It shows what is possible, not how often it happens.\n")
    report(
        "stale_race",
        COLUMNS,
        [cells(side, row) for side in sides for row in side["rows"]],
        figures=figures_of(sides),
        goals=[
            Goal("parbake: races forced", forced, "races", f"= {2 * ROUNDS}", met=forced == 2 * ROUNDS),
            Goal("parbake: rounds with an old value", ours, "rounds", "= 0", met=ours == 0),
        ],
    )


if __name__ == "__main__":
    main()
