"""The judges of recorded histories: versions inside values against acknowledgements, and compare-and-set operations."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation of a client, in seconds on its clock.

    ``read`` shows ``version`` (``None``: no value was returned), ``ack`` acknowledges it; ``get`` saw ``seen``;
    ``swap`` went from ``seen`` to ``new`` if ``done``, and nobody knows when that is ``None``.
    """

    op: str
    begin: float
    end: float
    key: str
    where: str = ""
    version: int | None = None
    seen: str = ""
    new: str = ""
    done: bool | None = None


def behind(events: Iterable[Event]) -> list[str]:
    """The reads that began after a version was acknowledged and showed an older one."""
    acks: dict[str, list[tuple[float, int]]] = defaultdict(list)
    reads: list[Event] = []
    for event in events:
        if event.op == "ack" and event.version is not None:
            acks[event.key].append((event.end, event.version))
        elif event.op == "read" and event.version is not None:
            reads.append(event)
    for known in acks.values():
        known.sort()
        highest = 0
        for n, (end, version) in enumerate(known):
            highest = max(highest, version)
            known[n] = (end, highest)
    found = []
    for read in reads:
        known = acks[read.key]
        before = bisect_left(known, (read.begin, -1))
        if before and read.version is not None and read.version < known[before - 1][1]:
            found.append(f"{read.where} {read.key}: showed {read.version}, {known[before - 1][1]} was acknowledged")
    return found


def is_linearizable(operations: Sequence[Event], initial: str = "") -> bool:
    """Whether some order of ``get`` and ``swap``, within the time each took, explains every outcome.

    Wing and Gong's search with Lowe's memory of what was tried. An operation of unknown outcome may take effect at any
    time after it began, or never.
    """
    ops = sorted(operations, key=lambda op: op.begin)
    ends = [math.inf if op.op == "swap" and op.done is None else op.end for op in ops]
    certain = (1 << len(ops)) - 1
    for n, end in enumerate(ends):
        certain &= ~(1 << n) if end == math.inf else certain
    tried: set[tuple[int, str]] = set()
    todo = [(0, initial)]
    while todo:
        done, value = todo.pop()
        if done & certain == certain:
            return True
        if (done, value) in tried:
            continue
        tried.add((done, value))
        left = [n for n in range(len(ops)) if not done >> n & 1]
        first_end = min(ends[n] for n in left)
        for n in left:
            if ops[n].begin > first_end:
                break
            after = _after(ops[n], value)
            if after is not None:
                todo.append((done | 1 << n, after))
    return False


def _after(op: Event, value: str) -> str | None:
    """The value once an operation took effect; ``None`` when its outcome contradicts that."""
    if op.op == "get":
        return value if op.seen == value else None
    if op.done is False:
        return value if op.seen != value else None
    return op.new if op.seen == value else None
