"""Damaged records: a million random changes of stored bytes, then reads of records that were damaged in LMDB.

First, encoded records of many shapes are changed and decoded: each must be refused as damaged. Then all records of 100
keys are damaged in an LMDB store, round by round: the next read of a key must compute it again, and the one after that
must find the new record. A change that gives the same bytes, or another whole record, is not damage: it is drawn again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial

from _report import Goal, report, show
from rich.console import Console
from rich.progress import track

import parbake as pb
from parbake.errors import DamagedRecord
from parbake.protocol.record import LANES, Built, Meta, Record, Stamp, Tags, decode, encode
from parbake.stores.lmdb import LmdbStore
from parbake.stores.steps.item_names import overlay_key

RECORDS, MUTATIONS, LARGEST, KEYS, ROUNDS = 500, 1_000_000, 5_000, 100, 300
FIELDS = ((0, 1), (1, 1), (2, 2), (4, 16), (20, 8), (28, 8), (36, 4))
"""Place and size of format, lane, flags, stamp, both times and the length in a record."""
ON_STDERR = Console(stderr=True)
OUTCOMES = REFUSED, DECODED, UNCAUGHT = "refused", "decoded to something else", "uncaught errors"
SERVED, FAILED, MOST = "damaged records served", "failed reads", "most computations per damaged key"
SEEN = ("damaged records", "counted as damaged", "computations", "right reads", SERVED, FAILED, MOST)
Change = Callable[[bytes, bytes, random.Random], bytes]


def masked(mask: Callable[[random.Random], int], raw: bytes, _other: bytes, drawn: random.Random) -> bytes:
    """Change one to eight bytes, each by a mask of its bits."""
    changed = bytearray(raw)
    for _ in range(drawn.randint(1, 8)):
        changed[drawn.randrange(len(raw))] ^= mask(drawn)
    return bytes(changed)


def extended(raw: bytes, _other: bytes, drawn: random.Random) -> bytes:
    """Put more bytes at the end, at the beginning or anywhere."""
    at, size = drawn.choice((len(raw), 0, drawn.randrange(len(raw)))), drawn.randint(1, 64)
    return raw[:at] + drawn.choice((bytes(size), drawn.randbytes(size))) + raw[at:]


def swapped(raw: bytes, _other: bytes, drawn: random.Random) -> bytes:
    """Let two ranges change places."""
    a, b, c, d = sorted(drawn.choices(range(len(raw) + 1), k=4))
    return raw[:a] + raw[c:d] + raw[b:c] + raw[a:b] + raw[d:]


def zeroed(raw: bytes, _other: bytes, drawn: random.Random) -> bytes:
    """Write zeros over a range."""
    start, end = sorted((drawn.randrange(len(raw)), drawn.randint(1, len(raw))))
    return raw[:start] + bytes(end - start) + raw[end:]


def spliced(raw: bytes, other: bytes, drawn: random.Random) -> bytes:
    """Join the beginning of one record to the end of another, half the time at the same place."""
    at = drawn.randrange(len(raw))
    return raw[:at] + other[drawn.choice((at, drawn.randrange(len(other)))) :]


def header_field(raw: bytes, _other: bytes, drawn: random.Random) -> bytes:
    """Write an extreme or random value over a field of the header."""
    start, size = drawn.choice(FIELDS)
    extremes = (bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\x80" + bytes(size - 1))
    return raw[:start] + drawn.choice((*extremes, drawn.randbytes(size))) + raw[start + size :]


CHANGES: dict[str, Change] = {
    "bytes changed": partial(masked, lambda drawn: drawn.randrange(1, 256)),
    "bits flipped": partial(masked, lambda drawn: 1 << drawn.randrange(8)),
    "cut": lambda raw, _other, drawn: raw[: drawn.randrange(len(raw))],
    "extended": extended,
    "two ranges swapped": swapped,
    "a range zeroed": zeroed,
    "two records spliced": spliced,
    "a header field overwritten": header_field,
}


def damage(raw: bytes, raws: Sequence[bytes], whole: Collection[bytes], drawn: random.Random) -> tuple[str, bytes]:
    """Return a kind of change, and the record so changed."""
    while True:
        kind = drawn.choice(tuple(CHANGES))
        changed = CHANGES[kind](raw, drawn.choice(raws), drawn)
        if changed not in whole:
            return kind, changed


def drawn_record(drawn: random.Random) -> bytes:
    """Encode a record of any lane, with or without tags and a trace, and a value of 0 to 5,000 bytes."""
    stamp = Stamp(drawn.getrandbits(64), drawn.getrandbits(64)).pack()
    names = tuple(f"fact/{drawn.getrandbits(32)}" for _ in range(drawn.choice((0, 1, 2, 5, 40))))
    stamped = tuple((name, stamp) for name in names[::3])
    built = tuple(Built(f"task{n}@1", drawn.getrandbits(63), is_model=n == 0) for n in range(drawn.randrange(3)))
    hashed, key, trace = (drawn.randbytes(drawn.choice((0, size))) for size in (16, 8, 500))
    tags, payload = Tags(names, stamped, built, stamped[::2]), drawn.randbytes(int(LARGEST * drawn.random() ** 3))
    meta = Meta(tags, drawn.getrandbits(63), "1", hashed, drawn.random(), key, drawn.random(), trace)
    until, absent = drawn.choice((float("inf"), 2e9)), drawn.random() < 0.2
    return encode(Record(stamp, drawn.uniform(0, 2e9), until, drawn.choice(LANES), absent, meta, payload))


def outcome(raw: bytes) -> str:
    """What decoding comes to: one of ``OUTCOMES``."""
    try:
        decode(raw)
    except DamagedRecord:
        return REFUSED
    except Exception:  # noqa: BLE001  # any other is what is looked for
        return UNCAUGHT
    return DECODED


def mutate(drawn: random.Random, mutations: int) -> Counter[tuple[str, str]]:
    """How often each kind of change came to each outcome."""
    raws = [drawn_record(drawn) for _ in range(RECORDS)]
    whole, found = frozenset(raws), Counter[tuple[str, str]]()
    for _ in track(range(mutations), "mutations", console=ON_STDERR):
        kind, changed = damage(drawn.choice(raws), raws, whole, drawn)
        found[kind, outcome(changed)] += 1
    return found


async def spoil(store: LmdbStore, names: Collection[bytes], drawn: random.Random) -> None:
    """Damage some stored items, behind the app's back."""
    found = await store._several(names)  # noqa: SLF001  # damage is planted where it occurs
    raws = [found[name] for name in names]
    rows = [(name, damage(raw, raws, frozenset(raws), drawn)[1]) for name, raw in zip(names, raws, strict=True)]
    await store._put(rows)  # noqa: SLF001  # (the same)


def judged(got: pb.Served[str] | BaseException, value: str, computed: int) -> str:
    """What a read came to; where nothing was computed since the damage, it is the damage that was served."""
    if isinstance(got, BaseException) or not got.has_value:
        return FAILED
    return "right reads" if got.value == value and computed else SERVED


async def read_damaged(url: str, drawn: random.Random) -> Counter[str]:
    """Damage all records of a task in a store, and read each key twice, round by round."""
    tasks, tag, calls, seen = pb.Registry(), pb.fence("fact/{key}"), Counter[str](), Counter[str]()
    right = {f"k{n}": drawn.randbytes(drawn.randrange(LARGEST // 2 + 1)).hex() for n in range(KEYS)}

    @tasks.artifact(freshness_sla="24h", invalidated_by=[tag], fallback_if_stale=pb.Recompute(), owner="bench")
    def fact(key: str) -> str:
        calls[key] += 1
        return right[key]

    app = pb.App(tasks, store=url)
    names = [overlay_key(fact.ref, b"s" + key.encode()) for key in right]
    await asyncio.gather(*(app.serve(fact, key) for key in right))
    store = app.engine.store
    assert isinstance(store, LmdbStore)
    for _ in track(range(ROUNDS), "rounds over LMDB", console=ON_STDERR):
        await spoil(store, names, drawn)
        calls.clear()
        for _ in range(2):
            read = await asyncio.gather(*(app.serve(fact, key) for key in right), return_exceptions=True)
            seen.update(judged(got, right[key], calls[key]) for key, got in zip(right, read, strict=True))
        seen.update({"damaged records": KEYS, "computations": calls.total()})
        seen[MOST] = max(seen[MOST], 0, *calls.values())
    seen["counted as damaged"] = app.counters.damaged["fact"]
    await app.close()
    return seen


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=MUTATIONS, metavar="N", help="records to change and decode")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="drawn by default")
    chosen, started = parser.parse_args(), time.monotonic()
    print(f"seed {chosen.seed}; {KEYS} keys over LMDB in {ROUNDS} rounds, each read twice\n")
    found = mutate(random.Random(f"{chosen.seed}/mutations"), chosen.mutations)
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(read_damaged(f"lmdb://{folder}/store", random.Random(f"{chosen.seed}/store")))
    show(("change", *OUTCOMES), [(kind, *(found[kind, what] for what in OUTCOMES)) for kind in CHANGES])
    print()
    for (_, what), count in found.items():
        seen[what] += count
    figures = {"seed": chosen.seed, "mutations": found.total(), "seconds": round(time.monotonic() - started, 1)}
    figures |= {what.replace(" ", "_"): seen[what] for what in (*OUTCOMES, *SEEN)}
    none = {DECODED: "records", UNCAUGHT: "records", SERVED: "reads", FAILED: "reads"}
    goals = [Goal(what, seen[what], unit, "= 0", met=seen[what] == 0) for what, unit in none.items()]
    goals.append(Goal(MOST, seen[MOST], "computations", "<= 1", met=seen[MOST] <= 1))
    report("damage", ("over LMDB", "count"), [(what, seen[what]) for what in SEEN], figures=figures, goals=goals)


if __name__ == "__main__":
    main()
