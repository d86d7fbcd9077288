"""The check of every read, and the rule for conditional writes.

``killed_by`` is the whole guarantee in one function. A record is served only if its stamp reaches every tag that it is
fenced by, nothing that it was built from is withdrawn, its models are current, it has not expired, and the store's
incarnation is blessed and descends from the stamp's. What is left is in doubt while a source is silent, see
``longest_silence``. That is asked last: an outage must not hide that a value is known to be outdated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from parbake.protocol.cause import Cause, Reason
from parbake.protocol.control import Control
from parbake.protocol.record import INCARNATION_BYTES, Header
from parbake.protocol.tags import family

Marks = Mapping[str, bytes]
_NO_FAMILIES: Collection[str] = ()
_STORE_UNTRUSTED = Reason(Cause.STORE_UNTRUSTED)
_BELOW_FLOOR = Reason(Cause.BELOW_FLOOR)
_INCARNATION_LOST = Reason(Cause.INCARNATION_LOST)


def killed_by(
    record: Header,
    control: Control,
    marks: Marks,
    *,
    now: float,
    also_fenced: Collection[str] = _NO_FAMILIES,
    pointers: Mapping[str, int] | None = None,
) -> Reason | None:
    """Return why a record may not be served, or ``None`` if it may be.

    Args:
        record: The record's header.
        control: The store's control record.
        marks: The watermark of each of the record's tags that was ever raised.
        now: The current time, in epoch seconds.
        also_fenced: The families that the *consumer* fences, even if the record's own contract tolerates them.
        pointers: The unpromoted generations of a run that reads its own output, by task.
    """
    if control.blessed != control.incarnation:
        return _STORE_UNTRUSTED
    stamp, tags, floor = record.stamp, record.meta.tags, control.floor
    if stamp < floor:
        return _BELOW_FLOOR
    ancestry = control.ancestry  # has_lived_through, inlined because every read runs it
    if ancestry and stamp[:INCARNATION_BYTES] not in ancestry:
        return _INCARNATION_LOST
    for tag in tags.fences if marks else ():
        mark = marks.get(tag)
        if mark is not None and stamp < mark:
            return Reason(Cause.TAG_CHANGED, tag)
    if also_fenced and (reason := _for_a_consumer(record, floor, marks, also_fenced)):
        return reason
    if record.valid_until <= now or tags.built_from or control.withdrawn:
        return _lineage(record, control, now, pointers)
    return None


def _for_a_consumer(record: Header, floor: bytes, marks: Marks, also_fenced: Collection[str]) -> Reason | None:
    """The reason why a consumer must not use what the record's own contract tolerates."""
    for tag, seen in _tolerated(record, also_fenced):
        if seen < marks.get(tag, floor):
            return Reason(Cause.TAG_CHANGED, tag)
    return None


def _tolerated(record: Header, also_fenced: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The tags that fence a record only for a consumer, each with the stamp at which it was read."""
    tags = record.meta.tags
    return (tag for tag in (*tags.refreshes, *tags.tolerated) if family(tag[0]) in also_fenced)


def longest_silence(
    record: Header, silent: Mapping[str, float], also_fenced: Collection[str] = _NO_FAMILIES
) -> tuple[str, float] | None:
    """Return the family that fences a record and has been silent for the longest; ``None`` if none is silent.

    Args:
        record: The record's header.
        silent: The families whose source was not heard recently, with the seconds since it was.
        also_fenced: The families that the *consumer* fences.
    """
    fences = [*record.meta.tags.fences, *(tag for tag, _ in _tolerated(record, also_fenced))]
    found = [(silent[name], name) for name in map(family, fences) if name in silent]
    return (max(found)[1], max(found)[0]) if found else None


def _lineage(record: Header, control: Control, now: float, pointers: Mapping[str, int] | None) -> Reason | None:
    if record.valid_until <= now:
        return Reason(Cause.VALID_UNTIL_PASSED)
    if record.meta.generation in control.withdrawn:
        return Reason(Cause.GENERATION_WITHDRAWN)
    for built in record.meta.tags.built_from:
        if built.generation in control.withdrawn:
            return Reason(Cause.INPUT_WITHDRAWN, built.task)
        if built.is_model:
            current = (pointers or {}).get(built.task) or control.pointer(built.task)
            if current != built.generation:
                return Reason(Cause.MODEL_REPLACED, built.task)
    return None


def is_pending(record: Header, marks: Marks) -> bool:
    """Whether a refresh tag was raised after the stamp at which it was read."""
    return any(seen < marks.get(tag, b"") for tag, seen in record.meta.tags.refreshes)


def may_replace(stored: Header, new: Header, *, stored_is_alive: bool) -> bool:
    """The write rule: a dead record may always be replaced, a live one only by a newer one.

    Args:
        stored: The stored record's header.
        new: The new record's header.
        stored_is_alive: Whether the stored record may be served.
    """
    return not stored_is_alive or newness(new) > newness(stored)


def newness(record: Header) -> tuple[bytes, float]:
    """The order of records: by stamp, and for equal stamps by the time of the computation.

    The fence needs only the stamp. Without the time, a record past its SLA could not be replaced before some event
    advances the counter, and every request would compute it again.
    """
    return record.stamp, record.computed_at
