"""Real servers under real faults: does a read ever show less than what was acknowledged before it began?

``--rounds 200 --seed 1``; half of them on LMDB and half on Valkey, side by side, or on the stores that ``--stores``
names, such as ``postgresql``. ``--plant`` turns the fence off: then violations must be found. A round that fails keeps
its history, and its name is printed with the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from _faults_round import Round, play, stopped
from _faults_world import FAULTS, World
from _report import Goal, percentile, report

COLUMNS = ("store", "fault", "rounds", "reads", "no value", "acked writes", "refused", "compare-and-set",
           "violations", "out p50 s", "out max s")  # fmt: skip
LONGEST_S = 15 * 60.0


async def rounds_on(kind: str, home: Path, options: argparse.Namespace, share: int) -> tuple[list[Round], int]:
    """Play so many rounds on one store, or until the time is up; returns them and how many events were lost."""
    world = World(kind, home / kind, deaf=options.plant)
    found: list[Round] = []
    deadline = time.monotonic() + options.seconds
    try:
        await world.start()
        while len(found) < share and time.monotonic() < deadline:
            one = await play(world, len(found), options.seed)
            found.append(one)
            keep(one, home, options.seed)
            if sys.stderr.isatty() or len(found) % 10 == 0:
                print(f"{kind}: {len(found)} of {share} rounds", file=sys.stderr)
    finally:
        await stopped(world)
    return found, world.lost


def keep(one: Round, home: Path, seed: int) -> None:
    """Write a failing round's history down and name it."""
    if not one.violations:
        return
    path = home / f"{one.store}-{one.number}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in one.events))
    first = "; ".join(one.violations[:3])
    print(f"seed {seed}, {one.store} round {one.number} ({one.fault}): {first}; history in {path}", file=sys.stderr)


def row(store: str, fault: str, rounds: list[Round]) -> tuple[object, ...]:
    """One line of the table."""
    events = [event for one in rounds for event in one.events]
    counts = {op: sum(event.op == op for event in events) for op in ("read", "ack", "get", "swap")}
    nothing = sum(event.op == "read" and event.version is None for event in events)
    lasting = [one.lasting_s for one in rounds]
    return (
        store, fault, len(rounds), counts["read"], nothing, counts["ack"], sum(one.refused for one in rounds),
        counts["get"] + counts["swap"], sum(len(one.violations) for one in rounds), percentile(lasting, 50),
        max(lasting),
    )  # fmt: skip


async def play_all(options: argparse.Namespace, home: Path) -> tuple[list[Round], int]:
    """All stores side by side; the last ones play a round more if the rounds cannot be divided."""
    kinds = options.stores.split(",")
    shares = [(options.rounds + n) // len(kinds) for n in range(len(kinds))]
    played = await asyncio.gather(
        *(rounds_on(kind, home, options, share) for kind, share in zip(kinds, shares, strict=True))
    )
    return [one for rounds, _ in played for one in rounds], sum(lost for _, lost in played)


def main() -> None:
    """Play and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=LONGEST_S)
    parser.add_argument("--plant", action="store_true")
    parser.add_argument("--stores", default="lmdb,valkey")
    options = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # processes are killed, not the machine
    home = Path(tempfile.mkdtemp(prefix="parbake-faults-", dir=os.environ.get("TMPDIR") or memory))
    started = time.monotonic()
    found, lost = asyncio.run(play_all(options, home))
    table = [
        row(store, fault, chosen)
        for store, faults in FAULTS.items()
        for fault in dict.fromkeys(faults)
        if (chosen := [one for one in found if (one.store, one.fault) == (store, fault)])
    ]
    violations = sum(len(one.violations) for one in found)
    if not violations:
        shutil.rmtree(home)
    reads = sum(int(str(line[3])) for line in table)
    report(
        "faults",
        COLUMNS,
        table,
        figures={"rounds": len(found), "reads": reads, "violations": violations, "events_lost": lost,
                 "seed": options.seed, "seconds": round(time.monotonic() - started, 1)},
        goals=[
            Goal("violations", violations, "", "= 0", met=violations == 0),
            Goal("rounds", len(found), "", f">= {options.rounds}", met=len(found) >= options.rounds),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
