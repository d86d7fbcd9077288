"""Draws requests from a log: each is equally likely, so that a key that is asked for often is drawn often."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from parbake.errors import MissingDependency


class DrawnRequests(msgspec.Struct, frozen=True):
    """Requests that were drawn from a log.

    ``keys`` has the cache's key of each request, so that it may have a key more than once. ``are_encoded`` says whether
    the log has its keys as addresses have them, percent-encoded. ``notes`` say what its reader left out or merged.
    """

    keys: list[str]
    are_encoded: bool = False
    notes: tuple[str, ...] = ()


def draw(
    log: Path, count: int, *, kind: str = "", key_pattern: str | None = None, key: str = "{key}",
    seed: int | None = None, progress: Callable[[int, int], None] | None = None,
) -> DrawnRequests:  # fmt: skip
    """Draw requests, with replacement.

    Args:
        log: The log, of any kind that ``parbake plan`` reads.
        count: How many requests are drawn.
        kind: The kind of the log; told by its content if empty.
        key_pattern: What the key of an access log is.
        key: The cache's key, with ``{key}`` for the key in the log.
        seed: Seed of the draw.
        progress: Called with the bytes that are read and their total.

    Raises:
        BadInput: The log cannot be read, or has no request.
        MissingDependency: What reads logs is not installed.
    """
    try:
        from parbake_planner.logs.read_requests import read_requests
        from parbake_planner.logs.recognition import ACCESS
    except ImportError as missing:
        raise MissingDependency.of("reading a log", "plan", field="numpy") from missing
    read = read_requests(log, now=time.time(), given=kind, key_pattern=key_pattern, progress=progress)
    requests = read.log.key[~read.log.signal]
    drawn = random.Random(seed).choices(requests, k=count)  # noqa: S311 - a sample needs no secret
    return DrawnRequests(
        [key.replace("{key}", read.log.names[code]) for code in drawn],
        read.kind == ACCESS,
        # A plan leaves windows of time out, and a draw does not.
        tuple(note.partition("; the windows")[0] for note in read.log.notes),
    )
