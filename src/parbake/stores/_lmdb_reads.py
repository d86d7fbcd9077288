"""Reads of an LMDB store: of ranges of items, and whether another thread is inside a read."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Collection, Iterator
from types import CodeType, FrameType
from typing import Any

LOOK_S, PATIENCE_S = 0.0005, 5.0
"""Interval and limit, in seconds, of the wait for reads to end before a fork."""


def have_reads_ended(reads: Collection[CodeType], waits: CodeType) -> bool:
    """Wait until no other thread reads; ``False`` if a read has not ended in time.

    Args:
        reads: The code of the methods that read.
        waits: The code of the method in which a read waits for a fork to end before it starts.
    """
    ends = time.monotonic() + PATIENCE_S
    while any(_reads(frame, reads, waits) for frame in _other_threads()):
        if time.monotonic() > ends:
            return False
        time.sleep(LOOK_S)
    return True


def _other_threads() -> Iterator[FrameType]:
    """The current frame of every other thread."""
    for thread, frame in sys._current_frames().items():  # noqa: SLF001  # documented for this kind of use
        if thread != threading.get_ident():
            yield frame


def _reads(frame: FrameType | None, reads: Collection[CodeType], waits: CodeType) -> bool:
    """Whether a thread is inside a read, and is not waiting for a fork to end before it starts one.

    This avoids counting reads, which would slow each of them down too much.
    """
    while frame is not None and frame.f_code is not waits:
        if frame.f_code in reads:
            return True
        frame = frame.f_back
    return False


def list_items(txn: Any, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """List items with a prefix in byte order.

    Args:
        txn: A transaction.
        prefix: The prefix of the names.
        start: The first name.
        limit: The greatest number of items.
    """
    items: list[tuple[bytes, bytes]] = []
    with txn.cursor() as cursor:
        if cursor.set_range(max(prefix, start)):
            for key, value in cursor:
                if not key.startswith(prefix) or len(items) == limit:
                    break
                items.append((key, value))
    return items


def count_items(txn: Any, prefix: bytes) -> int:
    """Count the items with a prefix."""
    with txn.cursor() as cursor:
        if not cursor.set_range(prefix):
            return 0
        return sum(1 for _ in itertools.takewhile(lambda key: key.startswith(prefix), cursor.iternext(values=False)))
