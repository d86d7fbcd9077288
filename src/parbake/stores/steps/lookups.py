"""How a store reads: the records of a key, what judges them, and the caches of what every read decodes.

A lookup reads by ``get``, from one snapshot of a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from parbake.errors import DamagedRecord, ForeignStore
from parbake.ports.records import Lookup, RecordSnapshot, StoreState
from parbake.protocol.check import newness
from parbake.protocol.control import READ_FORMATS, Control
from parbake.protocol.record import Header, Record, Stamp, decode, split
from parbake.stores.steps.item_names import BEATS, CONTROL, SEQUENCE, base_key, base_of, overlay_of

_UNHEARD: Mapping[str, float] = {}

Get = Callable[[bytes], bytes | None]


class Parsed:
    """Caches the control record and the heartbeats, and decodes them only when their bytes change."""

    def __init__(self) -> None:
        self._common: tuple[int, Control, Mapping[str, float]] | None = None
        self._control: tuple[bytes, Control] | None = None
        self._beats: tuple[bytes, dict[str, float]] | None = None
        self._as_control = msgspec.msgpack.Decoder(Control).decode
        self._as_beats = msgspec.msgpack.Decoder(dict[str, float]).decode

    def common(self, get: Get, snapshot: int) -> tuple[int, Control, Mapping[str, float]]:
        """The control record and the heartbeats of a snapshot; the same snapshot number means the same values."""
        kept = self._common
        if kept is None or kept[0] != snapshot:
            kept = self._common = (snapshot, self.control(get(CONTROL) or b""), self.beats(get(BEATS)))
        return kept

    def control(self, raw: bytes) -> Control:
        """Decode the control record; raises :class:`ForeignStore` for a store of another format, or a damaged one."""
        kept = self._control
        if kept is None or kept[0] != raw:
            try:
                kept = self._control = (raw, self._as_control(_of_this_format(raw)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnreadableState.of("control record", error) from error
        return kept[1]

    def beats(self, raw: bytes | None) -> Mapping[str, float]:
        """Decode the heartbeats."""
        if raw is None:
            return _UNHEARD
        kept = self._beats
        if kept is None or kept[0] != raw:
            try:
                kept = self._beats = (raw, self._as_beats(raw))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnreadableState.of("record of heartbeats", error) from error
        return kept[1]


class UnreadableState(ForeignStore):
    """A record by which all others are judged is damaged, or was written by somebody else."""

    @classmethod
    def of(cls, what: str, error: Exception) -> UnreadableState:
        """Make the error.

        Args:
            what: The record.
            error: Why it cannot be decoded.
        """
        return cls(
            f"the store's {what} cannot be read ({error}), so nothing in the store can be trusted; delete the store to "
            "have everything computed again, and look who else writes to it",
            field="store",
        )


class _Format(msgspec.Struct):
    """The format number in a control record. The first format did not record one."""

    format: int = 1


_as_format = msgspec.msgpack.Decoder(_Format).decode


def _of_this_format(raw: bytes) -> bytes:
    """Return a stored control record if this version reads the format of the store."""
    found = _as_format(raw).format
    if found not in READ_FORMATS:
        raise ForeignStore(
            f"this store was created by another version of parbake: it has format {found}, and this version reads "
            f"{' and '.join(map(str, READ_FORMATS))}; choose another store=, or delete this one to have everything "
            "computed again",
            field="store",
        )
    return raw


def whole(raws: Iterable[bytes | None]) -> tuple[tuple[Record, ...], int]:
    """The undamaged ones among some stored records, and the number of damaged ones."""
    records: list[Record] = []
    damaged = 0
    for raw in raws:
        if raw is None:
            continue
        try:
            records.append(decode(raw))
        except DamagedRecord:
            damaged += 1
    return tuple(records), damaged


def read(get: Get, parsed: Parsed, task: str, key: bytes, generation: int) -> Lookup:
    """Read one snapshot of a key: records, watermarks, control record and heartbeats.

    Args:
        get: Reads one item.
        parsed: The cache of decoded records.
        task: The task's name.
        key: The encoded key.
        generation: The generation to read instead of the current one; 0 for the current one.
    """
    control = parsed.control(get(CONTROL) or b"")
    current = generation or control.pointer(task)
    records, damaged = whole([get(overlay_of(task) + key), get(base_key(current, key)) if current else None])
    return Lookup(control, records, marks_of(get, records), parsed.beats(get(BEATS)), damaged)


def glimpse(get: Get, common: tuple[int, Control, Mapping[str, float]], task: str, key: bytes) -> RecordSnapshot | None:
    """Read the newest record of a key in one snapshot; ``None`` if a full :func:`read` is needed.

    Args:
        get: Reads one item.
        common: Number, control record and heartbeats of the snapshot.
        task: The task's name.
        key: The encoded key.
    """
    _, control, beats = common
    try:
        raw = get(overlay_of(task) + key)
        found = None if raw is None else split(raw)
        current = control.pointers.get(task)
        if current is not None and (raw := get(base_of(current.generation) + key)) is not None:
            base = split(raw)
            if found is None or newness(base[0]) > newness(found[0]):
                found = base
    except DamagedRecord:  # a full read finds the undamaged records, and counts the damaged ones
        return None
    if found is None:
        return None
    header, payload = found
    marks: dict[str, bytes] = {}
    for tag, name in header.meta.tags.named:
        mark = get(name)
        if mark is not None:
            marks[tag] = mark
    return RecordSnapshot(control, header, payload, marks, beats)


def review(get: Get, common: tuple[int, Control, Mapping[str, float]], record: Record) -> Lookup:
    """Look up what a record that was read before is judged by, in one snapshot.

    Args:
        get: Reads one item.
        common: Number, control record and heartbeats of the snapshot.
        record: The record.
    """
    _, control, beats = common
    return Lookup(control, (record,), marks_of(get, (record,)), beats)


def look_again(get: Get, parsed: Parsed, record: Record) -> Lookup:
    """Look up what an already read record is judged by, for a store whose snapshots have no number.

    Args:
        get: Reads one item.
        parsed: The cache of decoded records.
        record: The record.
    """
    marks = marks_of(get, (record,))
    beats = parsed.beats(get(BEATS))
    return Lookup(parsed.control(get(CONTROL) or b""), (record,), marks, beats)


def tags_of(records: Sequence[Header]) -> dict[str, None]:
    """All tags of some records, without duplicates."""
    return {tag: None for record in records for tag, _ in record.meta.tags.named}


def marks_of(get: Get, records: Sequence[Header]) -> dict[str, bytes]:
    """The watermarks of all tags of some records; a tag that was never raised is absent."""
    marks: dict[str, bytes] = {}
    for record in records:
        for tag, name in record.meta.tags.named:
            raw = get(name)
            if raw is not None:
                marks[tag] = raw
    return marks


def stamp(get: Get, parsed: Parsed) -> StoreState:
    """The counter and the control record."""
    control = parsed.control(get(CONTROL) or b"")
    return StoreState(Stamp(control.incarnation, int.from_bytes(get(SEQUENCE) or b"", "big")), control)
